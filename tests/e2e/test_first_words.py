"""What a new person does first, in a browser."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from holdfast.node.client import Client

pytestmark = pytest.mark.timeout(180)


def test_two_people_meet_write_and_verify(town) -> None:
    anna, boris = town.pair()
    anna.write("Did the pharmacy open in the end?")
    expect(boris.message("Did the pharmacy open")).to_be_visible()
    expect(anna.page.locator(".state")).to_contain_text("Read ")

    bubble = boris.message("Did the pharmacy open")
    bubble.focus()
    bubble.press("r")
    boris.write("Yes, until six.")
    answer = anna.message("Yes, until six.")
    expect(answer.locator(".quote")).to_contain_text("Did the pharmacy open")

    answer.focus()
    answer.press("e")
    anna.page.get_by_role("menuitem", name="❤️").click()
    expect(boris.message("Yes, until six.").locator(".react")).to_contain_text("1")

    box = boris.page.get_by_label("Message", exact=True)
    box.press("ArrowUp")
    expect(box).to_have_value("Yes, until six.")
    box.fill("Yes, until seven.")
    box.press("Enter")
    expect(anna.message("Yes, until seven.")).to_contain_text("edited")

    boris.write("A slip of the pen")
    slip = boris.message("A slip of the pen")
    slip.hover()
    slip.get_by_role("button", name="What to do with this message").click()
    boris.page.get_by_role("menuitem", name="Take back for both").click()
    expect(anna.page.get_by_role("log").get_by_text("Taken back")).to_be_visible(timeout=20_000)

    for person, name in ((anna, "Boris"), (boris, "Anna")):
        person.page.get_by_role("button", name=f"About \u2068{name}\u2069").last.click()
        person.page.get_by_role("button", name="Compare emoji").click()
        ask = person.page.get_by_role("button", name="Compare emoji")
        join = person.page.get_by_role("button", name="Compare now")
        expect(ask.or_(join)).to_be_visible()
        ask.or_(join).click()
    expect(anna.page.locator(".emoji li")).to_have_count(7)
    expect(boris.page.locator(".emoji li")).to_have_count(7)
    assert anna.page.locator(".emoji").inner_text() == boris.page.locator(".emoji").inner_text()
    for person in (anna, boris):
        person.page.get_by_role("button", name="They are the same").click()
    expect(anna.page.get_by_text("is verified.")).to_be_visible()
    expect(boris.page.get_by_text("is verified.")).to_be_visible()
    anna.open("Boris")
    expect(anna.page.get_by_role("main").get_by_text("Verified", exact=True)).to_be_visible()

    anna.page.get_by_label("Search everything").fill("pharm")
    expect(anna.page.locator("mark")).to_have_text("pharmacy")
    anna.page.locator(".item").filter(has_text="pharmacy").first.click()
    expect(anna.message("Did the pharmacy open").first).to_be_focused()
    assert anna.errors == boris.errors == []


def test_nothing_is_fetched_from_elsewhere(town) -> None:
    anna, boris = town.pair()
    anna.write("Look at https://example.org/map.png and http://127.0.0.1:1/x")
    expect(boris.message("example.org")).to_be_visible()
    for person in (anna, boris):
        origin = person.node.address.split("/#")[0].replace("http://", "")
        assert all(
            url.split("://")[1].startswith(origin) for url in person.requests if "://" in url
        )
        link = person.message("example.org").get_by_role("link").first
        assert link.get_attribute("rel") == "noopener noreferrer"


def test_a_passphrase_locks_and_unlocks(town) -> None:
    anna = town.person("a")
    anna.onboard("Anna", "correct horse battery")
    anna.node.stop()
    anna.node.start()
    anna.page.goto(anna.node.address)
    anna.page.get_by_label("Passphrase").fill("wrong")
    anna.page.get_by_role("button", name="Unlock").click()
    expect(anna.page.get_by_role("alert")).to_have_text("That is not the passphrase.")
    anna.page.get_by_label("Passphrase").fill("correct horse battery")
    anna.page.get_by_role("button", name="Unlock").click()
    expect(anna.page.get_by_label("Search everything")).to_be_visible()


def test_a_launch_link_works_once(town) -> None:
    anna = town.person("a")
    anna.onboard("Anna")
    assert "#" not in anna.page.url
    anna.page.reload()
    expect(anna.page.get_by_label("Search everything")).to_be_visible()
    stranger = anna.context.browser.new_context().new_page()
    stranger.goto(anna.node.address)
    expect(stranger.get_by_text("Open Holdfast from its program")).to_be_visible()
    stranger.context.close()


def test_language_theme_and_a_small_window(town) -> None:
    anna, _boris = town.pair()
    anna.write("A long-winded-word-that-does-not-want-to-break-anywhere-at-all-" * 3)
    page = anna.page
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option("ru")
    expect(page.get_by_role("heading", name="Настройки")).to_be_visible()
    page.get_by_label("Цвета").select_option("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    for width in (320, 360, 760, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        for screen in ("Настройки", "Пригласить"):
            if width < 760:
                page.get_by_role("button", name="Назад").click()
            page.get_by_role("button", name=screen).first.click()
            expect(page.get_by_role("main")).to_be_visible()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{screen} is {wide} wide in a window of {width}"
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_role("button", name="Назад").click()
    page.get_by_role("navigation").get_by_role("button", name="Boris").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_is_written_without_a_relay_says_so_and_goes_out(town) -> None:
    anna, boris = town.pair()
    town.relay.stop()
    expect(anna.page.get_by_text("The server does not answer.").first).to_be_visible()
    anna.write("Written in the dark")
    expect(anna.page.get_by_text("Waits for the network. Sends by itself.")).to_be_visible()
    town.relay.start()
    expect(boris.message("Written in the dark")).to_be_visible(timeout=60_000)
    expect(anna.page.get_by_text("The server does not answer.")).to_have_count(0)


def test_a_draft_stays_and_typing_shows(town) -> None:
    anna, boris = town.pair()
    anna.page.get_by_label("Message", exact=True).press_sequentially("half a thou")
    expect(boris.page.get_by_role("log").get_by_text("is writing")).to_be_visible()
    anna.page.get_by_role("button", name="Settings").click()
    anna.open("Boris")
    expect(anna.page.get_by_label("Message", exact=True)).to_have_value("half a thou")


def test_a_conversation_can_be_saved_and_deleted(town) -> None:
    anna, boris = town.pair()
    boris.write("Keep this")
    expect(anna.message("Keep this")).to_be_visible()
    anna.page.get_by_role("button", name="About \u2068Boris\u2069").last.click()
    with anna.page.expect_download() as download:
        anna.page.get_by_role("button", name="Save it for a program (JSON)").click()
    saved = json.loads(download.value.path().read_text())
    with anna.page.expect_download() as download:
        anna.page.get_by_role("button", name="Save the conversation as a page").click()
    assert ">Keep this</p>" in download.value.path().read_text()
    assert [m["text"] for m in saved if m["kind"] == "text"] == ["Keep this"]
    anna.page.get_by_role("button", name="Delete contact and conversation").click()
    anna.page.get_by_role("dialog").get_by_role(
        "button", name="Delete contact and conversation"
    ).click()
    expect(anna.page.get_by_text("Nobody here yet.")).to_be_visible()


def test_a_jump_into_a_long_conversation_leaves_no_hole(town) -> None:
    anna, boris = town.pair()

    async def talk() -> None:
        async with Client.connect(boris.node.directory) as client:
            await client.node.send("Anna", "The needle")
            for number in range(150):
                await client.node.send("Anna", f"Straw {number}")

    with ThreadPoolExecutor(1) as thread:  # the browser's driver has a loop on this one
        thread.submit(asyncio.run, talk()).result()
    expect(anna.message("Straw 149")).to_be_visible(timeout=60_000)
    anna.page.reload()
    anna.page.get_by_label("Search everything").fill("needle")
    anna.page.locator(".item").filter(has_text="needle").first.click()
    expect(anna.message("The needle")).to_be_focused()
    boris.write("And the thread")
    anna.page.get_by_label("Search everything").fill("")
    expect(anna.page.get_by_role("navigation").get_by_text("And the thread")).to_be_visible()
    expect(anna.message("And the thread")).to_have_count(0)
    anna.page.get_by_role("button", name="To the newest messages").click()
    expect(anna.message("And the thread")).to_be_visible()
    texts = anna.page.locator("article.msg .words").all_inner_texts()
    straws = [int(text.split()[1]) for text in texts if text.startswith("Straw")]
    assert straws == list(range(straws[0], 150)), "every message between is there, in order"


def test_the_keyboard_alone_is_enough(town) -> None:
    anna, boris = town.pair()
    for text in ("One", "Two", "Three"):
        anna.write(text)
    page = anna.page
    box = page.get_by_label("Message", exact=True)
    box.fill("unfinished")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Attach a file")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(anna.message("Three")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(anna.message("Two")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Reply")).to_be_focused()
    items = page.get_by_role("menuitem").all_inner_texts()
    for _ in range(items.index("Edit") - items.index("Reply")):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Edit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(box).to_have_value("Two")
    box.fill("Two and a half")
    box.press("Enter")
    expect(boris.message("Two and a half")).to_contain_text("edited")
    expect(box).to_have_value("unfinished")
    page.keyboard.press("Control+k")
    page.keyboard.type("sett")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+?")
    expect(page.get_by_role("dialog")).to_contain_text("go to anything")


def test_a_page_without_its_node_says_so_and_keeps_what_it_shows(town) -> None:
    anna, _boris = town.pair()
    anna.write("Still here")
    anna.page.get_by_label("Message", exact=True).fill("not lost")
    anna.node.stop()
    expect(anna.page.get_by_text("does not answer. Trying again").first).to_be_visible()
    expect(anna.message("Still here")).to_be_visible()
    expect(anna.page.get_by_label("Message", exact=True)).to_have_value("not lost")
    anna.page.get_by_label("Message", exact=True).press("Enter")
    expect(anna.page.get_by_role("alert")).to_contain_text("does not answer")
    expect(anna.page.get_by_label("Message", exact=True)).to_have_value("not lost")


def test_whoever_writes_faster_than_the_node_takes_it_loses_no_word(town) -> None:
    anna, boris = town.pair()
    anna.write("Zero")
    box = anna.page.get_by_label("Message", exact=True)
    os.kill(anna.node.pid, signal.SIGSTOP)
    try:
        for text in ("One", "Two", "Three"):
            expect(box).to_have_value("")
            box.fill(text)
            box.press("Enter")
        box.fill("and wh")
    finally:
        os.kill(anna.node.pid, signal.SIGCONT)
    expect(boris.message("Three")).to_be_visible()
    assert boris.page.locator("article.msg .words").all_inner_texts() == [
        "Zero", "One", "Two", "Three",
    ]  # fmt: skip
    expect(box).to_have_value("and wh")


def test_a_page_whose_node_began_anew_says_how_to_open_it(town) -> None:
    anna = town.person("a")
    anna.onboard("Anna")
    port = anna.node.address.split(":")[2].split("/")[0]
    anna.node.stop()
    arguments = anna.node.arguments()
    arguments[arguments.index("--port") + 1] = port
    anna.node.start()
    expect(anna.page.get_by_text("Open Holdfast from its program")).to_be_visible(timeout=30_000)
    anna.page.goto(anna.node.address)
    anna.page.reload()
    expect(anna.page.get_by_label("Search everything")).to_be_visible()
