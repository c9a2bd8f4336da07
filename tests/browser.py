"""The product as people meet it: real programs, real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from holdfast.testing.processes import Processes, Program

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 40_000
"""Milliseconds until something must be seen, on a machine that does other things as well."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
]
DIST = Path(__file__).resolve().parents[1] / "web" / "dist" / "index.html"


class FreshNode(Program):
    """A node that has no name yet."""

    def __init__(self, directory: Path, relay: str, *more: str) -> None:
        arguments = ["node", "--home", str(directory), "--relay", relay, *more]
        super().__init__(directory.name, directory, [*arguments, "--port", "0", "--no-browser"])


class Person:
    """Somebody at a browser of their own, with what the page asked for and complained of."""

    def __init__(self, browser: Browser, node: Program, **options: object) -> None:
        self.node = node
        self.context: BrowserContext = browser.new_context(
            viewport={"width": 1280, "height": 860},
            locale="en-GB",
            **options,  # type: ignore[arg-type]
        )
        self.allow("microphone")
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type == "error" else None,
        )
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(node.address)

    def allow(self, *more: str) -> None:
        """What this person lets the page use; all else is refused without a question."""
        self.context.clear_permissions()
        self.context.grant_permissions(["clipboard-read", "clipboard-write", *more])

    def onboard(self, name: str, passphrase: str = "") -> None:
        """The first screen, filled in."""
        self.page.get_by_label("Your name").fill(name)
        if passphrase:
            self.page.get_by_role("button", name="Add a passphrase").click()
            self.page.get_by_label("Passphrase (optional)").fill(passphrase)
        self.page.get_by_role("button", name="Start", exact=True).click()
        expect(self.page.get_by_label("Search everything")).to_be_visible()

    def invite(self) -> str:
        """A link, taken from the page once it works."""
        self.page.get_by_role("button", name="Invite somebody").first.click()
        link = self.page.get_by_label("The invitation as text")
        expect(link).to_be_visible()
        expect(self.page.get_by_text("Getting the link ready")).to_have_count(0)
        return link.input_value()

    def accept(self, link: str) -> None:
        """Paste a link that one was given."""
        self.page.get_by_role("button", name="Invite somebody").first.click()
        self.page.get_by_label("I was invited").fill(link)
        self.page.get_by_role("button", name="Accept", exact=True).click()
        expect(self.page.get_by_role("log")).to_be_visible()

    def open(self, name: str) -> None:
        """A conversation from the list."""
        self.page.get_by_role("navigation").get_by_role("button", name=name).first.click()
        expect(self.page.get_by_role("log")).to_be_visible()

    def write(self, text: str) -> None:
        """Type and press Enter."""
        box = self.page.get_by_label("Message", exact=True)
        box.fill(text)
        box.press("Enter")
        expect(self.message(text).first).to_be_visible()

    def message(self, text: str) -> Locator:
        """The bubbles that hold a text."""
        return self.page.locator("article.msg").filter(has_text=text)

    def close(self) -> None:
        """Leave."""
        self.context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for one file of tests: Playwright's loop must end before coroutine tests run."""
    assert Path(CHROMIUM).exists(), "Chromium is missing; `make test` installs it"
    assert DIST.exists(), "the web interface is not built; `make setup` builds it"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Town:
    """A relay and people, each with a node and a browser."""

    def __init__(self, browser: Browser, programs: Processes) -> None:
        self._browser = browser
        self._programs = programs
        self.relay = programs.relay()
        self._people: list[Person] = []

    def person(self, directory: str, *more: str, **options: object) -> Person:
        """A node without a name, started with `more` arguments, opened in a browser."""
        node = FreshNode(self._programs.directory / directory, self.relay.address, *more)
        self._programs._all.append(node)
        node.start()
        person = Person(self._browser, node, **options)
        self._people.append(person)
        return person

    def pair(self) -> tuple[Person, Person]:
        """Anna and Boris, who have just met."""
        anna, boris = self.person("a"), self.person("b")
        anna.onboard("Anna")
        boris.onboard("Boris")
        boris.accept(anna.invite())
        expect(anna.page.get_by_role("log")).to_be_visible()
        return anna, boris

    def leave(self) -> None:
        """Close every browser."""
        for person in self._people:
            person.close()


@pytest.fixture
def town(browser: Browser, tmp_path: Path) -> Iterator[Town]:
    with Processes(tmp_path) as programs:
        town = Town(browser, programs)
        try:
            yield town
        finally:
            town.leave()
