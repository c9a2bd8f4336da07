"""Voice notes, pictures and files between two browsers."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Locator, expect
from playwright.sync_api import TimeoutError as Waited

from holdfast.sound import wav
from holdfast.sound.voice import power

pytestmark = pytest.mark.timeout(240)


def png(width: int, height: int) -> bytes:
    """A picture of noise: large, and no two are alike."""
    rows = b"".join(b"\0" + random.randbytes(width * 3) for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(rows, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def attach(person, *paths: Path) -> None:
    """Choose files as the button does."""
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Attach a file").click()
    chooser.value.set_files([str(path) for path in paths])


def save(person, link: Locator) -> bytes:
    """Press Save, and read what came; once more, if the page moved just then."""
    try:
        with person.page.expect_download(timeout=15_000) as download:
            link.click()
    except Waited:
        with person.page.expect_download() as download:
            link.click()
    return Path(download.value.path()).read_bytes()


def last(person) -> Locator:
    """The newest message."""
    return person.page.locator("article.msg").last


def say(person, seconds: str) -> None:
    """Record a voice note until its clock shows so much, and send it."""
    person.page.get_by_role("button", name="Record a voice note").click()
    bar = person.page.get_by_role("group", name="Recording a voice note")
    expect(bar).to_contain_text(seconds)
    bar.get_by_role("button", name="Send").click()
    expect(bar).to_have_count(0)
    expect(person.page.get_by_label("Message", exact=True)).to_be_focused()


def test_a_voice_note_is_recorded_and_heard(town, tmp_path) -> None:
    anna, boris = town.pair()
    say(anna, "0:02")
    say(anna, "0:01")
    for person in (anna, boris):
        expect(person.page.get_by_role("slider", name="Voice note")).to_have_count(2)
    assert anna.page.locator(".item .last").inner_text() == "You: \u2068Voice note, 0:01\u2069"

    first = boris.page.locator("article.msg").first
    seek = first.get_by_role("slider")
    bars = seek.locator("rect").evaluate_all("all => all.map(r => r.getAttribute('y'))")
    assert len(set(bars)) > 1
    expect(first.get_by_role("button", name="Play")).to_have_attribute("aria-disabled", "false")
    id_ = (first.get_attribute("id") or "").removeprefix("m")
    origin = boris.page.url.split("/#")[0].rstrip("/")
    answer = boris.context.request.get(f"{origin}/files/{id_}")
    assert answer.headers["content-type"] == "audio/ogg"
    note = tmp_path / "voice.ogg"
    note.write_bytes(answer.body())
    frames = list(wav.read(note))
    shown = re.search(r"of 0:0(\d)", seek.get_attribute("aria-valuetext") or "")
    assert shown is not None
    assert abs(len(frames) * 0.02 - int(shown[1]) - 0.5) < 0.6
    assert max(power(frame) for frame in frames) > 1e-4

    # Seek with the arrow keys, remember, play on while another screen is open, then the next.
    seek.press("End")
    seek.press("ArrowLeft")
    one_second = re.compile(r"^0:01 of")
    expect(seek).to_have_attribute("aria-valuetext", one_second)
    boris.page.reload()
    boris.open("Anna")
    expect(seek).to_have_attribute("aria-valuetext", one_second)
    first.focus()
    first.press(" ")
    expect(first.get_by_role("button", name="Pause")).to_be_visible()
    first.press(" ")
    expect(seek).to_have_attribute("aria-valuetext", re.compile(r"^0:0[12] of"))
    first.press(">")
    first.press(">")
    expect(first.get_by_role("button", name="Speed")).to_have_text("2×")
    first.press("<")
    expect(first.get_by_role("button", name="Speed")).to_have_text("1.5×")
    seek.press("Home")
    first.focus()
    first.press(" ")
    expect(first.get_by_role("button", name="Pause")).to_be_visible()
    boris.page.get_by_role("button", name="Settings").click()
    playing = boris.page.get_by_role("complementary", name="Playing")
    expect(playing).to_be_visible()
    expect(playing).to_have_count(0)
    boris.open("Anna")
    expect(boris.page.get_by_role("button", name="Pause")).to_have_count(0)
    assert anna.errors == boris.errors == []


def test_a_recording_is_kept_or_deleted_but_never_lost(town) -> None:
    anna, boris = town.pair()
    record = anna.page.get_by_role("button", name="Record a voice note")
    bar = anna.page.get_by_role("group", name="Recording a voice note")
    record.click()
    expect(bar).to_contain_text("0:01")
    anna.page.get_by_role("button", name="Settings").click()
    anna.open("Boris")
    expect(bar).to_contain_text("Recorded, not sent yet")
    bar.get_by_role("button", name="Delete this recording").click()
    expect(bar).to_have_count(0)
    anna.page.get_by_role("button", name="Undo").click()
    bar.get_by_role("button", name="Send").click()
    expect(boris.page.get_by_role("slider", name="Voice note")).to_be_visible()

    # Without a network, and until the microphone is gone.
    anna.page.evaluate(
        """() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (what) => (window.asked = await ask(what));
        }"""
    )
    town.relay.stop()
    record.click()
    expect(bar).to_contain_text("0:01")
    anna.page.evaluate("window.asked.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(anna.page.get_by_role("alert")).to_contain_text("What was recorded is kept")
    bar.get_by_role("button", name="Send").click()
    expect(anna.page.get_by_text("Waits for the network. Sends by itself.")).to_be_visible()
    town.relay.start()
    expect(boris.page.get_by_role("slider", name="Voice note")).to_have_count(2, timeout=60_000)

    anna.allow()
    record.click()
    expect(anna.page.get_by_role("alert")).to_contain_text("Allow it beside the address")
    anna.write("So I write.")
    expect(boris.message("So I write.")).to_be_visible()
    assert anna.errors == boris.errors == []


def test_a_picture_and_a_file_arrive_as_they_were(town, tmp_path) -> None:
    anna, boris = town.pair()
    small = tmp_path / "harbour.png"
    small.write_bytes(png(320, 200))
    file = tmp_path / "timetable.pdf"
    file.write_bytes(random.randbytes(3_000_000))
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    attach(anna, small, file, empty)

    picture = boris.page.get_by_role("button", name="Open picture: harbour.png")
    picture.click()
    viewer = boris.page.get_by_role("dialog", name="harbour.png")
    shown = viewer.get_by_role("img", name="harbour.png")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", 320)
    assert save(boris, viewer.get_by_role("link", name="Save")) == small.read_bytes()
    boris.page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(picture).to_be_focused()
    thumb = picture.locator("img").get_attribute("src") or ""
    assert thumb.startswith("data:image/jpeg;base64,") and len(thumb) < 17_000

    there = boris.message("timetable.pdf")
    get, saved = there.get_by_role("button", name="Get"), there.get_by_role("link", name="Save")
    expect(get.or_(saved).first).to_be_visible()
    if get.is_visible():
        get.click()
    assert save(boris, saved) == file.read_bytes()
    expect(anna.message("timetable.pdf")).to_contain_text("they have it")
    nothing = boris.message("0 byte").get_by_role("link", name="Save")
    assert save(boris, nothing) == b""

    # Answer a file, react to it, take it back.
    there.focus()
    there.press("r")
    expect(boris.page.locator(".answering")).to_contain_text("timetable.pdf")
    boris.write("Thank you")
    expect(anna.message("Thank you").locator(".quote")).to_contain_text("timetable.pdf")
    mine = anna.message("timetable.pdf").first
    mine.focus()
    mine.press("e")
    anna.page.get_by_role("menuitem", name="❤️").click()
    expect(there.locator(".react")).to_contain_text("1")
    mine.focus()
    mine.press("Enter")
    anna.page.get_by_role("menuitem", name="Take back for both").click()
    expect(boris.page.get_by_role("log").get_by_text("Taken back")).to_be_visible(timeout=20_000)
    assert anna.errors == boris.errors == []


def test_a_large_picture_is_sent_smaller_if_one_likes(town, tmp_path) -> None:
    anna, boris = town.pair()
    large = tmp_path / "Photo 1.png"
    large.write_bytes(png(1800, 900))
    attach(anna, large, large)
    choices = anna.page.get_by_role("list", name="Files being sent")
    smaller = choices.get_by_role("button", name="Send smaller")
    expect(smaller).to_have_count(2)
    smaller.first.click()
    expect(smaller).to_have_count(1)
    choices.get_by_role("button", name="As it is").click()
    expect(choices).to_have_count(0)
    pictures = boris.page.locator(".picture")
    expect(pictures).to_have_count(2)
    received = []
    for at in range(2):
        message = boris.page.locator("article.msg").nth(at)
        get = message.get_by_role("button", name="Get")
        picture = message.get_by_role("button", name="Open picture")
        expect(get.or_(message.locator(".picture[aria-disabled=false]")).first).to_be_visible()
        if get.is_visible():
            get.click()
        expect(picture).to_have_attribute("aria-disabled", "false", timeout=30_000)
        picture.click()
        link = boris.page.get_by_role("dialog").get_by_role("link", name="Save")
        received.append(save(boris, link))
        boris.page.keyboard.press("Escape")
    assert received[1] == large.read_bytes()
    assert received[0][:2] == b"\xff\xd8" and b"Exif" not in received[0]
    assert len(received[0]) < len(received[1])
    expect(boris.page.get_by_role("button", name="Open picture: Photo 1.jpg")).to_have_count(1)
    assert anna.errors == boris.errors == []


def test_files_come_by_drop_and_by_paste(town) -> None:
    anna, boris = town.pair()
    anna.page.evaluate(
        """() => {
            const parcel = (name, type) => {
                const data = new DataTransfer();
                data.items.add(new File(["by hand"], name, { type }));
                return data;
            };
            const fire = (on, event) => on.dispatchEvent(event);
            const can = { bubbles: true, cancelable: true };
            const dropped = { ...can, dataTransfer: parcel("dropped.txt", "text/plain") };
            const log = document.querySelector("[role=log]");
            fire(log, new DragEvent("dragover", dropped));
            if (fire(log, new DragEvent("drop", dropped))) throw new Error("the page is left");
            const clipboardData = parcel("pasted.bin", "");
            fire(document.getElementById("compose"),
                new ClipboardEvent("paste", { ...can, clipboardData }));
        }"""
    )
    links = [
        boris.message(name).get_by_role("link", name="Save")
        for name in ("dropped.txt", "pasted.bin")
    ]
    for link in links:  # what still comes moves what is pressed
        expect(link).to_be_visible()
    for link in links:
        assert save(boris, link) == b"by hand"
    assert last(anna).inner_text().startswith("BIN")
    assert anna.errors == boris.errors == []


def test_an_upload_that_is_refused_is_tried_again_or_dropped(town, tmp_path) -> None:
    anna, boris = town.pair()
    file = tmp_path / "list.txt"
    file.write_bytes(b"bread, batteries")
    full = "The disk is full; make room, then try again."
    anna.page.route("**/files", lambda route: route.fulfill(status=507, body=full))
    attach(anna, file)
    attach(anna, file)
    stuck = anna.page.get_by_role("list", name="Files being sent")
    expect(stuck.get_by_role("alert")).to_have_text([full, full])

    # What is not sent yet goes with the page, so the browser asks.
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    anna.page.on("dialog", stay)
    anna.page.close(run_before_unload=True)
    expect(stuck.get_by_role("button", name="Cancel")).to_have_count(2)
    stuck.get_by_role("button", name="Cancel").first.click()
    assert asked == ["beforeunload"]

    anna.page.unroute("**/files")
    stuck.get_by_role("button", name="Try again").click()
    saved = boris.message("list.txt").get_by_role("link", name="Save")
    assert save(boris, saved) == file.read_bytes()
    expect(stuck).to_have_count(0)
    expect(boris.page.locator("article.msg")).to_have_count(1)
