"""A channel in two browsers: make it, post, read it, and what a reader sees of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(180)


def test_an_owner_posts_and_a_reader_reads(town) -> None:
    anna, boris = town.person("a"), town.person("b")
    anna.onboard("Anna")
    boris.onboard("Boris")
    anna.page.get_by_role("button", name="New group").click()
    anna.page.get_by_role("button", name="Make a channel instead").click()
    anna.page.get_by_label("What is the channel called?").fill("Town news")
    anna.page.get_by_label("What is it about?").fill("What happens here")
    anna.page.get_by_role("button", name="Make the channel").click()
    expect(anna.page.get_by_role("log").get_by_text("You made the channel.")).to_be_visible()
    anna.write("The bridge is closed")
    expect(anna.page.get_by_role("button", name="Record")).to_have_count(0)
    anna.page.get_by_role("button", name="About \u2068Town news\u2069").last.click()
    link = anna.page.get_by_label("For Holdfast", exact=True).input_value()

    boris.accept(link)
    expect(boris.message("The bridge is closed")).to_be_visible()
    expect(boris.page.get_by_text("Only its owner writes here.")).to_be_visible()
    expect(boris.page.get_by_label("Message", exact=True)).to_have_count(0)
    boris.page.get_by_role("button", name="About \u2068Town news\u2069").last.click()
    main = boris.page.get_by_role("main")
    expect(main.get_by_text("Every post is here and signed")).to_be_visible()
    expect(main.get_by_text("What happens here")).to_be_visible()
    main.get_by_role("button", name="Stop reading").click()
    expect(boris.page.get_by_role("navigation").get_by_text("Town news")).to_have_count(
        0, timeout=30_000
    )
    assert anna.errors == boris.errors == []
