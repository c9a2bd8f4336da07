"""Playing the censor in a browser: what the page says, and what goes on working."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Person, Town
from playwright.sync_api import expect

ECHO = Path(__file__).parents[2] / "examples" / "echo.py"
pytestmark = pytest.mark.timeout(240)
PATIENCE = 100_000


def open_simulator(person: Person) -> None:
    person.page.locator("button.pathline").first.click()
    person.page.get_by_role("button", name="Simulator", exact=True).click()
    expect(person.page.get_by_role("heading", name="Play the censor")).to_be_visible()


@pytest.fixture
def echo(town: Town) -> Iterator[str]:
    """The link of the contact that says back what it hears."""
    node = town._programs.node("Echo", town.relay.address)
    with subprocess.Popen(
        [sys.executable, ECHO, node.directory], stdout=subprocess.PIPE, text=True
    ) as bot:
        assert bot.stdout is not None
        yield bot.stdout.readline().strip()
        bot.terminate()


def test_what_is_switched_on_is_seen_told_and_got_through(town: Town, tmp_path: Path) -> None:
    lena, other = town.person("a", "--simulator"), town.person("b")
    lena.onboard("Lena")
    other.onboard("Max")
    other.accept(lena.invite())
    expect(lena.page.get_by_role("log")).to_be_visible()

    open_simulator(lena)
    page = lena.page.locator(".simulator")
    expect(page.get_by_text("this computer only")).to_be_visible()
    cut = page.get_by_role("switch", name="Cut the internet")
    cut.check()
    lena.open("Max")
    lena.write("Sent into nothing")
    expect(lena.page.get_by_text("Sends by itself")).to_be_visible()
    open_simulator(lena)
    expect(page.get_by_text("No internet.").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="All off").click()
    expect(cut).not_to_be_checked()
    expect(other.message("Sent into nothing")).to_be_visible(timeout=PATIENCE)

    page.get_by_role("switch", name="Freeze after 16 KB").check()
    lena.open("Max")
    for number in range(12):
        lena.write(f"Piece {number} of a long story " + "and so on " * 200)
    expect(other.message("Piece 11")).to_be_visible(timeout=PATIENCE)
    open_simulator(lena)
    expect(page.get_by_text("cuts connections short").first).to_be_visible(timeout=PATIENCE)
    lena.page.screenshot(path=tmp_path / "simulator.png")
    lena.page.set_viewport_size({"width": 360, "height": 740})
    assert lena.page.evaluate("() => document.documentElement.scrollWidth") <= 360
    lena.page.screenshot(path=tmp_path / "simulator-360.png")
    assert lena.errors == []


def test_a_call_to_echo_is_blocked_step_by_step_until_told_to_stop(town: Town, echo: str) -> None:
    lena = town.person("a", "--simulator", "--echo", echo)
    lena.onboard("Lena")
    lena.page.clock.install()
    open_simulator(lena)
    lena.page.get_by_role("button", name="Try a call while it is being blocked").click()
    call = lena.page.locator("section.call")
    said = call.locator(".said")
    expect(said).to_contain_text("Nothing is blocked yet", timeout=PATIENCE)
    lena.page.clock.fast_forward(10_000)
    expect(said).to_contain_text("UDP is blocked")
    open_simulator(lena)
    expect(lena.page.get_by_role("switch", name="Block UDP")).to_be_checked()
    lena.page.locator(".dock .open").click()
    lena.page.get_by_role("button", name="Stop, and all off").click()
    expect(said).to_have_text("")
    call.get_by_text("Play the censor").click()
    switches = call.get_by_role("switch")
    expect(switches).to_have_count(6)
    for switch in switches.all():
        expect(switch).not_to_be_checked()
    expect(call).to_have_attribute("data-state", "talking")
    assert lena.errors == []
