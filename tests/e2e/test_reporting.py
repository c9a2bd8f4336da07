"""Telling an observatory from the interface: set up once, then two taps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from browser import Town
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(240)
PATIENCE = 60_000


def test_what_fails_is_told_in_two_taps(town: Town, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "holdfast.cli", "watch", "--no-wait", "--data"]
    with subprocess.Popen(
        [*command, str(tmp_path / "w")], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        root = run.stdout.readline().strip()
        try:
            lena = town.person("a")
            lena.onboard("Lena")
            lena.page.locator("button.pathline").first.click()
            lena.page.get_by_role("button", name="Tell the observatory").click()
            page = lena.page.locator(".report")
            page.get_by_label("Address of the observatory").fill(root)
            page.get_by_role("button", name="Look").click()
            page.get_by_label("Region").select_option("VEL", timeout=PATIENCE)
            page.get_by_label("Operator").select_option("sayat")
            page.get_by_role("button", name="Use it").click()

            page.get_by_role("button", name="Calls", exact=True).click(timeout=PATIENCE)
            page.get_by_role("button", name="Send").click()
            expect(page.get_by_text("It counts.")).to_be_visible(timeout=PATIENCE)
            expect(page.get_by_text("Velin, Sayat")).to_be_visible()
            lena.page.set_viewport_size({"width": 360, "height": 740})
            assert lena.page.evaluate("() => document.documentElement.scrollWidth") <= 360
            lena.page.screenshot(path=tmp_path / "report.png")
            page.get_by_role("button", name="Tell nobody any more").click()
            expect(page.get_by_label("Address of the observatory")).to_be_visible()
            assert lena.errors == []
        finally:
            run.terminate()
            run.wait(20)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "w").rglob("*.journal"))
    assert b"sayat" in kept and b"Lena" not in kept
