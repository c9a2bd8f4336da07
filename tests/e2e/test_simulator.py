"""Playing the censor in a browser: what the page says, and what goes on working."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Person, Town
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(240)
PATIENCE = 100_000


def open_simulator(person: Person) -> None:
    person.page.locator("button.pathline").first.click()
    person.page.get_by_role("button", name="Simulator", exact=True).click()
    expect(person.page.get_by_role("heading", name="Play the censor")).to_be_visible()


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
