"""A group in three browsers: found it, talk in it, remove somebody."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(180)


def test_three_people_in_a_group(town) -> None:
    anna, boris = town.pair()
    vera = town.person("v")
    vera.onboard("Vera")
    vera.accept(anna.invite())
    expect(anna.page.get_by_role("log")).to_be_visible()

    anna.page.get_by_role("button", name="New group").click()
    anna.page.get_by_label("What is the group called?").fill("Choir")
    for name in ("Boris", "Vera"):
        anna.page.get_by_role("checkbox", name=name).check()
    anna.page.get_by_role("button", name="Make the group").click()
    expect(anna.page.get_by_role("log").get_by_text("You made the group.")).to_be_visible()
    for person in (boris, vera):
        person.open("Choir")
        expect(person.page.get_by_role("log").get_by_text("added you")).to_be_visible()
    boris.write("Who sings on Friday?")
    for person in (anna, vera):
        expect(person.message("Who sings on Friday?").locator(".writer")).to_have_text("Boris")
    bubble = vera.message("Who sings on Friday?")
    bubble.focus()
    bubble.press("r")
    vera.write("I do.")
    quote = anna.message("I do.").locator(".quote")
    expect(quote).to_contain_text("Boris")
    anna.message("I do.").focus()
    anna.message("I do.").press("e")
    anna.page.get_by_role("menuitem", name="❤️").click()
    expect(boris.message("I do.").locator(".react")).to_contain_text("1")

    bubble = vera.page.get_by_role("article", name="Boris")
    bubble.focus()
    bubble.press("Enter")
    vera.page.get_by_role("menuitem", name="Report…").click()
    vera.page.get_by_label("What is wrong with it?").fill("I never sing")
    vera.page.get_by_role("button", name="Report", exact=True).click()
    reported = anna.page.get_by_role("log").get_by_text("reported something that")
    expect(reported).to_be_visible()

    anna.page.get_by_role("button", name="About \u2068Choir\u2069").last.click()
    main = anna.page.get_by_role("main")
    expect(main.get_by_text("I never sing")).to_be_visible()
    main.get_by_role("button", name="Remove the message").click()
    expect(main.get_by_text("I never sing")).to_have_count(0)
    expect(vera.page.get_by_role("log").get_by_text("Removed by")).to_be_visible()
    expect(main.get_by_text("The people below, and nobody else.")).to_be_visible()
    expect(main.get_by_text("3 members")).to_be_visible()
    main.get_by_label("Menu: Boris").click()
    main.get_by_role("button", name="Remove", exact=True).click()
    dialog = anna.page.get_by_role("dialog")
    expect(dialog).to_contain_text("They read nothing that is written from now on")
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(main.get_by_text("2 members")).to_be_visible()
    expect(boris.page.get_by_text("You are not in this group any more.")).to_be_visible()
    anna.open("Choir")
    anna.write("Among us two")
    expect(vera.message("Among us two")).to_be_visible()
    assert boris.message("Among us two").count() == 0
    assert anna.errors == boris.errors == vera.errors == []
