"""A backup is made in one browser, and another computer begins with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(240)
WORD = "ten letters or more"


def test_somebody_loses_a_computer_and_goes_on(town, tmp_path: Path) -> None:
    anna, boris = town.pair()
    anna.write("remember this")
    expect(boris.message("remember this")).to_be_visible()
    anna.page.get_by_role("button", name="Settings").click()
    make = anna.page.get_by_role("button", name="Make a backup")
    word = anna.page.get_by_label("Passphrase of the backup")
    word.fill("too short")
    expect(make).to_be_disabled()
    word.fill(WORD)
    make.click()
    expect(anna.page.get_by_text("Ready, with 1 message.")).to_be_visible()
    with anna.page.expect_download() as download:
        anna.page.get_by_role("link", name="Save the file").click()
    file = tmp_path / "kept" / "holdfast.backup"
    file.parent.mkdir()
    shutil.copy(download.value.path(), file)
    anna.node.kill()
    anna.close()
    shutil.rmtree(anna.node.directory)

    again = town.person("again")
    again.page.get_by_role("button", name="I have a backup").click()
    again.page.get_by_label("The backup's file").set_input_files(str(file))
    word = again.page.get_by_label("Passphrase of the backup")
    word.fill("not the passphrase")
    restore = again.page.get_by_role("button", name="Restore", exact=True)
    restore.click()
    expect(again.page.get_by_role("alert")).to_have_text("That is not the passphrase.")
    word.fill(WORD)
    restore.click()
    again.open("Boris")
    expect(again.message("remember this")).to_be_visible()
    expect(again.page.get_by_role("log").get_by_text("You go on with a new device")).to_be_visible()
    again.write("I am back")
    expect(boris.message("I am back")).to_be_visible()
    expect(boris.page.get_by_role("log").get_by_text("Their key has changed")).to_be_visible()
    boris.write("welcome")
    expect(again.message("welcome")).to_be_visible()
    assert boris.errors == []
