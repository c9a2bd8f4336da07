"""The page of a relay that lies: what it is given by the relay, it shows only if it verifies."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from holdfast.core.caps import Home
from holdfast.core.channel import posts
from holdfast.core.chat import content
from holdfast.drive.logs import Appended, LogEvent, Logs
from holdfast.paths import websocket
from holdfast.relay import reading
from holdfast.testing.channels import Writer

pytestmark = pytest.mark.timeout(180)


def kept(writer: Writer, home: Home, records: list[bytes]) -> None:
    """The relay has these."""

    async def keep() -> None:
        there = asyncio.Event()
        left = len(records)

        def hear(event: LogEvent) -> None:
            nonlocal left
            left -= isinstance(event, Appended)
            if not left:
                there.set()

        logs = Logs(websocket.connect, lambda: 0, secrets.token_bytes, hear)
        logs.create(writer.caps, home)
        for record in records:
            logs.append(writer.caps, home, secrets.token_bytes(16), record, 600)
        async with asyncio.timeout(60):
            await there.wait()
        await logs.stop()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(keep())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)  # Playwright has this thread's loop
    thread.start()
    thread.join()
    assert not failed, failed


def forged(writer: Writer) -> bytes:
    text = content.encode(content.Text(bytes(16), 7, "<img src=x onerror=alert(1)> vote for me"))
    other = Writer("finder")
    number, prev = writer.chain.last
    return posts.write(writer.link, other.key, number + 1, prev, 7, "said", text, other.entropy)[1]


def opened(town, writer: Writer, records: list[bytes], change: Callable[[str], str]) -> Page:
    kept(writer, writer.link.homes[0], records)
    context = town._browser.new_context(ignore_https_errors=True, locale="en-GB")
    page: Page = context.new_page()

    def serve(route: Route) -> None:
        script = change(reading._file("page.js").decode())
        route.fulfill(body=script, content_type="text/javascript")

    page.route("**/page.js", serve)
    page.goto(writer.link.address())
    expect(page.get_by_text("one", exact=True)).to_be_visible()
    return page


def test_what_does_not_verify_is_not_shown_and_what_lacks_is_said(town) -> None:
    home = Home.parse(town.relay.address)
    writer = Writer("lies", (home,))
    one, two, three, four = (writer.say(text) for text in ("one", "two", "three", "four"))
    page = opened(town, writer, [b"garbage", one, four, three, forged(writer), one], str)
    expect(page.get_by_role("listitem")).to_have_count(4)  # three posts, and what is missing
    assert page.locator("li p").all_text_contents() == ["four", "three", "one"]
    expect(page.get_by_text("Missing here: 1").first).to_be_visible()
    expect(page.get_by_text("vote for me")).to_have_count(0)

    forks = Writer("forks", (home,))
    records = [forks.say("one"), forks.say("two"), forks.fork("other", 2)]
    page = opened(town, forks, records, str)
    expect(page.get_by_text("Do not rely on this channel for now")).to_be_visible()
    expect(page.get_by_text("other", exact=True)).to_have_count(0)
    assert two not in records


def test_twin_a_page_that_does_not_verify_shows_it(town) -> None:
    writer = Writer("twin", (Home.parse(town.relay.address),))
    one = writer.say("one")
    check = 'need(await subtle.verify("Ed25519", link.verifier, signature, signed));'

    def change(script: str) -> str:
        assert check in script
        return script.replace(check, "")

    page = opened(town, writer, [one, forged(writer)], change)
    expect(page.get_by_text("vote for me")).to_be_visible()
    expect(page.locator("li img")).to_have_count(0)
