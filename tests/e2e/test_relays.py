"""Whose relays there are, how they do and what says so, in a browser; on a phone and in Russian."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Person, Town
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(120)


def fits(person: Person) -> None:
    """Nothing is wider than a small phone, in either language."""
    for language in ("ru", "en"):
        person.page.set_viewport_size({"width": 320, "height": 740})
        choose(person, language)
        assert person.page.evaluate("() => document.documentElement.scrollWidth") <= 320
        person.page.set_viewport_size({"width": 1280, "height": 860})


def choose(person: Person, language: str) -> None:
    where = ["--home", str(person.node.directory)]
    command = [sys.executable, "-m", "holdfast.cli", *where, "settings", f"language={language}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=30)
    expect(person.page.locator("html")).to_have_attribute("lang", language)


def test_relays_of_contacts_are_named_turned_off_and_made_ones_own(
    town: Town, tmp_path: Path
) -> None:
    lena, other = town.person("a"), town.person("b", "--relay", town._programs.relay("far").address)
    lena.onboard("Lena")
    other.onboard("Max")
    other.accept(lena.invite())
    lena.open("Max")

    lena.page.locator("button.pathline").first.click()
    page = lena.page.locator(".page")
    page.locator("summary").click()
    expect(page.get_by_text("What says so")).to_be_visible()
    expect(page.get_by_text("as usual").first).to_be_visible()
    expect(page.get_by_text(re.compile("from .Max"))).to_be_visible()
    fits(lena)
    lena.page.screenshot(path=tmp_path / "status.png", full_page=True)

    lena.page.get_by_role("button", name="Settings").first.click()
    expect(page.get_by_text("Relays of your contacts")).to_be_visible()
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("button", name="Turn on")).to_be_visible()
    page.get_by_role("button", name="Turn on").click()
    page.get_by_role("button", name="Use for everything").click()
    expect(page.get_by_text("Relays of your contacts")).to_have_count(0)
    expect(page.get_by_role("button", name="Remove", exact=True)).to_have_count(2)
    page.get_by_role("button", name="Forget what was learnt of networks").click()
    expect(lena.page.get_by_text("Forgotten")).to_be_visible()
    fits(lena)
    lena.page.screenshot(path=tmp_path / "settings.png", full_page=True)
    assert lena.errors == []
