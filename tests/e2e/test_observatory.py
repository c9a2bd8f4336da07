"""The observatory's page in Chromium: with and without JavaScript, on phones, by keyboard."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser, Page, expect

from holdfast.watch.ledger import raw
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE

pytestmark = pytest.mark.timeout(240)
EDITOR = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
NOTE = 'Two operators\nsay so: "yes", \\o/ 🙂, да'
QUICK = """
import runpy
from holdfast.watch import crowd
crowd.FIRST = 10
runpy.run_module("holdfast.cli", run_name="__main__")
"""
"""The program, where work takes a moment."""
SLOW = 64_000 / 8
"""Bytes a second of a phone where the network is throttled."""
FIRST = 5.0
"""Seconds in which the first screen is there over that, but for the time to connect."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an observatory of three regions in which calls are blocked."""
    folder = tmp_path_factory.mktemp("watch")
    places = parse(SAMPLE.read_bytes())
    few = tuple(region for region in places.regions if region.code in ("VEL", "NOR", "KAR"))
    path = folder / "few.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(places, regions=few)))
    (folder / "w").mkdir()
    (folder / "w" / "editors").write_text(raw(EDITOR).hex() + "\n")
    command = [sys.executable, "-c", QUICK, "watch", "--no-wait", "--simulate", "3"]
    command += ["--days", "8", "--data", str(folder / "w"), "--places", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        address = run.stdout.readline().strip().rstrip("/")
        try:
            until = time.monotonic() + 120
            # It is served while the month is played; the last of its stories is waited for.
            last = b"Calls are blocked in Karsk and Velin"
            while last not in urllib.request.urlopen(address + "/", timeout=60).read():
                assert time.monotonic() < until
                time.sleep(0.3)
            yield address
        finally:
            run.terminate()
            run.wait(20)


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page, with what a test asks for as its options."""
    options = {"viewport": {"width": 1280, "height": 860}, **getattr(request, "param", {})}
    context = browser.new_context(**options)  # type: ignore[arg-type]
    one = context.new_page()
    errors: list[str] = []
    one.on("pageerror", lambda error: errors.append(str(error)))
    one.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    yield one
    context.close()
    assert errors == []


@pytest.mark.parametrize("page", [{}, {"java_script_enabled": False}], indirect=True)
def test_from_the_headline_to_the_evidence(page: Page, root: str) -> None:
    page.goto(root + "/")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Calls are blocked in Karsk and Velin")
    expect(page.get_by_text("Nothing here happened.")).to_be_visible()
    expect(page.get_by_role("img", name="on the world map")).to_be_visible()
    expect(page.get_by_role("link", name="Velin: calls blocked")).to_be_visible()
    heading.get_by_role("link").click()
    expect(page.get_by_role("heading", name="What speaks against it")).to_be_visible()
    expect(page.get_by_role("img", name="Calls: attempts that succeed")).to_be_visible()
    expect(page.get_by_role("img", name="Calls: complaints each half hour")).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("table")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the evidence").click()
    assert download.value.suggested_filename.endswith(".zip")
    page.get_by_role("link", name="Русский").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("блокируют звонки")
    assert page.locator("html").get_attribute("lang") == "ru"


@pytest.mark.parametrize(
    ("page", "function"),
    [({}, "Calls"), ({"java_script_enabled": False}, "Text")],
    indirect=["page"],
)
def test_is_it_only_me(page: Page, root: str, function: str) -> None:
    page.goto(root + "/")
    page.get_by_label("Region", exact=True).select_option("VEL")
    page.get_by_label("Operator").select_option("veltel")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("status")).to_contain_text("No.")
    page.get_by_label("Region", exact=True).select_option("NOR")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("status")).to_contain_text("It looks so")
    page.get_by_role("link", name="Tell us").click()
    expect(page.get_by_label("Region", exact=True)).to_have_value("NOR")
    page.get_by_label(function, exact=True).check()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("it counts")


@pytest.mark.parametrize(
    ("page", "works"),
    [({}, True), ({"java_script_enabled": False}, False)],
    indirect=["page"],
)
def test_two_behind_one_address(page: Page, root: str, works: bool) -> None:
    page.set_viewport_size({"width": 320, "height": 740})
    for _ in range(2):
        page.goto(root + "/report")
        page.get_by_label("Region", exact=True).select_option("NOR")
        page.get_by_label("Operator").select_option("veltel")
        page.get_by_label("Mobile internet").check()
        page.get_by_role("button", name="Send").click()
    if works:
        expect(page.get_by_role("status")).to_contain_text("it counts")
    else:
        expect(page.get_by_text("Thousands may share one address")).to_be_visible()
        expect(page.get_by_text("needs JavaScript")).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 320


def test_an_editor_confirms_in_the_browser(page: Page, root: str) -> None:
    page.set_viewport_size({"width": 320, "height": 740})
    page.goto(root + "/ru/editors")
    key = page.get_by_label("Файл с вашим ключом")
    key.set_input_files({"name": "key", "mimeType": "", "buffer": b"too short"})
    expect(page.get_by_role("status")).to_contain_text("не ключ редактора")
    key.set_input_files({"name": "key", "mimeType": "", "buffer": b"e" * 32})
    expect(page.get_by_text("нужен JavaScript")).to_have_count(0)
    card = page.locator("#list section").filter(has_text="звонки").first
    card.get_by_role("textbox").fill(NOTE)
    card.get_by_role("button", name="Подтвердить").click()
    expect(page.get_by_role("status")).to_have_text("Сохранено с подписью.")
    expect(card.get_by_role("listitem").filter(has_text="Two operators")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    card.get_by_role("link").click()
    expect(page.get_by_text("Подтвердил редактор")).to_be_visible()
    expect(page.get_by_text("Two operators say so")).to_be_visible()


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_an_editor_without_javascript_is_told_of_the_command(page: Page, root: str) -> None:
    page.goto(root + "/editors")
    expect(page.get_by_text("“holdfast watch edit”")).to_be_visible()
    expect(page.locator("#key")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_nothing_scrolls_sideways(page: Page, root: str, width: int, direction: str) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(root + "/events")
    event = page.locator(".events a").first.get_attribute("href")
    for path in ("/", "/ru/", "/events", f"/ru{event}", str(event), "/region/VEL", "/data",
                 "/report", "/card/VEL", "/reach", "/ru/reach", "/editors"):  # fmt: skip
        page.goto(root + path)
        page.evaluate("way => { document.documentElement.dir = way }", direction)
        page.evaluate("() => { document.documentElement.style.fontSize = '150%' }")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path


def test_a_keyboard_gets_everywhere(page: Page, root: str) -> None:
    page.goto(root + "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        names.append(page.evaluate("() => document.activeElement.textContent.trim()"))
    told = " ".join(names)
    assert "Look" in told and "VEL" in told and "All events" in told
    small = page.evaluate(
        """() => [...document.querySelectorAll('main a, main button, main select, header a')]
        .filter(one => !one.closest('svg, p'))
        .map(one => one.getBoundingClientRect())
        .filter(box => box.height && (box.height < 24 || box.width < 24)).length"""
    )
    assert small == 0


def test_what_is_drawn_is_also_said(page: Page, root: str) -> None:
    page.goto(root + "/")
    silent = page.evaluate(
        """() => [...document.querySelectorAll('svg, img')].filter(one =>
        !one.getAttribute('aria-label') && one.getAttribute('aria-hidden') !== 'true'
        && !one.hasAttribute('alt') && !one.closest('[aria-hidden=true]')).length"""
    )
    assert silent == 0
    levels = page.evaluate(
        "() => [...document.querySelectorAll('h1,h2,h3')].map(one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert page.get_by_role("main").count() == page.get_by_role("navigation").count() == 1


@pytest.mark.parametrize("page", [{"viewport": {"width": 360, "height": 740}}], indirect=True)
def test_the_first_screen_comes_over_64_kbits(page: Page, root: str) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("Network.enable")
    sizes: dict[str, int] = {}
    urls: dict[str, str] = {}
    tools.on("Network.responseReceived",
             lambda said: urls.update({said["requestId"]: said["response"]["url"]}))  # fmt: skip
    tools.on("Network.loadingFinished",
             lambda said: sizes.update({said["requestId"]: said["encodedDataLength"]}))  # fmt: skip
    page.goto(root + "/", wait_until="networkidle")
    found = {urls[one].removeprefix(root): int(size) for one, size in sizes.items() if one in urls}
    needed = found["/"] + found["/style.css"]
    assert needed < FIRST * SLOW * 0.5, found
    assert sum(found.values()) < FIRST * SLOW, found
