"""A second computer becomes a device of the same person, in two browsers, and is removed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(240)


def test_somebody_links_a_second_computer_and_removes_it(town) -> None:
    anna, boris = town.pair()
    anna.write("from before")
    expect(boris.message("from before")).to_be_visible()
    anna.page.get_by_role("button", name="Settings").click()
    anna.page.get_by_role("button", name="Link a new device").click()
    code = anna.page.get_by_label("Code of the device")
    expect(code).to_be_visible()
    second = town.person("second")
    second.page.get_by_role("button", name="This is another device of mine").click()
    second.page.get_by_label("Code of the device").fill("holdfast:nothing")
    second.page.get_by_role("button", name="Link this device").click()
    expect(second.page.get_by_role("alert")).to_be_visible()
    second.page.get_by_label("Code of the device").fill(code.input_value())
    second.page.get_by_label("What this device is called").fill("The laptop")
    second.page.get_by_role("button", name="Link this device").click()
    shown = []
    for one in (anna, second):
        emoji = one.page.locator("ol.emoji")
        expect(emoji).to_be_visible()
        shown.append(emoji.inner_text())
    assert shown[0] == shown[1]
    expect(anna.page.get_by_text("Look at the new device")).to_be_visible()
    for one in (anna, second):
        one.page.get_by_role("button", name="They are the same").click()
    second.open("Boris")
    expect(second.message("from before")).to_be_visible()
    boris.write("to both")
    expect(second.message("to both")).to_be_visible()
    second.write("from the laptop")
    expect(boris.message("from the laptop")).to_be_visible()
    expect(boris.page.get_by_role("log").get_by_text("more device now")).to_be_visible()
    second.page.get_by_role("button", name="New group").click()
    second.page.get_by_role("button", name="Make a channel instead").click()
    second.page.get_by_label("What is the channel called?").fill("Town news")
    second.page.get_by_role("button", name="Make the channel").click()
    second.write("The bridge is closed")
    anna.open("Town news")
    expect(anna.message("The bridge is closed")).to_be_visible()
    expect(
        anna.page.get_by_text("on another device of yours: \u2068The laptop\u2069")
    ).to_be_visible()
    expect(anna.page.get_by_label("Message", exact=True)).to_have_count(0)
    second.open("Boris")
    anna.page.get_by_role("button", name="Settings").click()
    anna.page.get_by_role("button", name="Remove", exact=True).first.click()
    anna.page.get_by_role("button", name="Remove this device").click()
    expect(anna.page.get_by_text("The laptop", exact=True)).to_have_count(0)
    expect(second.page.get_by_text("This device was removed by your first one.")).to_be_visible()
    anna.open("Boris")
    expect(anna.message("from the laptop")).to_be_visible()
    assert anna.errors == [] and boris.errors == [] and second.errors == []
