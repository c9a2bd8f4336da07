"""html-injection: what somebody writes never becomes part of the page.

Broken elsewhere: Signal Desktop (CVE-2018-10994), Element. The property: a payload in
every field that another person fills in runs no script and fetches nothing. The twin
shows the same payloads as HTML on a page without a policy, and sees them run.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from holdfast.node.client import Client

pytestmark = pytest.mark.timeout(180)

PAYLOADS = (
    "<img src=x onerror=\"document.title='ran'\">",
    "<script>document.title='ran'</script>",
    "<svg onload=\"document.title='ran'\"></svg>",
    "<a href=\"javascript:document.title='ran'\">x</a> javascript:document.title='ran'",
    '"><iframe srcdoc="<script>parent.document.title=\'ran\'</script>"></iframe>',
    "{{constructor.constructor('document.title=1')()}} ${document.title='ran'}",
    "https://example.org/\"onmouseover=\"document.title='ran'",
)


def fill_every_field(writer, contact_of_writer: str) -> None:
    """Through the API, which takes more than the page lets one type."""

    async def run() -> None:
        async with Client.connect(writer.node.directory) as client:
            node = client.node
            last = None
            for payload in PAYLOADS:
                last = await node.send(
                    contact_of_writer, payload, reply_to=last.id if last else None
                )
            assert last is not None
            await node.edit(last.id, PAYLOADS[0] + " edited")
            await node.react(last.id, "<b>x</b>")
            await node.rename_me(PAYLOADS[0][:60])
            await node.create_invitation(many=True, label=PAYLOADS[2])

    with ThreadPoolExecutor(1) as thread:  # the browser's driver has a loop on this one
        thread.submit(asyncio.run, run()).result()


def test_no_payload_becomes_part_of_the_page(town) -> None:
    anna, boris = town.pair()
    fill_every_field(anna, "Boris")
    expect(boris.page.locator("article.msg")).to_have_count(len(PAYLOADS))
    expect(boris.page.locator("article.msg").last).to_contain_text("edited")
    expect(boris.page.locator(".react").first).to_contain_text("<b>x</b>")
    name = boris.page.get_by_role("navigation").locator(".name").first
    expect(name).to_contain_text("<img")
    for box in boris.page.locator("article.msg").all():
        box.hover()
    boris.page.get_by_label("Search everything").fill("onerror")
    expect(boris.page.locator("mark").first).to_be_visible()
    boris.page.get_by_label("Search everything").fill("")
    anna.page.get_by_role("button", name="Invite somebody").first.click()
    expect(anna.page.get_by_label("The invitation as text")).to_be_visible()
    anna.page.get_by_label("I was invited").fill(PAYLOADS[1])
    anna.page.get_by_role("button", name="Accept", exact=True).click()
    expect(anna.page.get_by_role("alert")).to_be_visible()
    for person in (anna, boris):
        page = person.page
        assert "ran" not in page.title()
        for foreign in ("img[src=x]", "iframe", "article svg[onload]", "article b:not(.quote b)"):
            assert page.locator(foreign).count() == 0, foreign
        for link in page.locator("article a").all():
            assert (link.get_attribute("href") or "").startswith(("http://", "https://"))
        origin = person.node.address.split("/#")[0]
        assert [u for u in person.requests if "://" in u and origin.split("//")[1] not in u] == []
        assert person.errors == []


def test_the_policy_stops_a_script_that_got_in(town) -> None:
    """The second wall: even injected markup cannot run, and says so."""
    anna, _ = town.pair()
    attempts = (
        """document.body.insertAdjacentHTML("beforeend",
            "<img src=x onerror=\\"document.title='ran'\\">")""",
        """const image = document.createElement("img");
            image.setAttribute("onerror", "document.title='ran'");
            image.src = "data:,"; document.body.append(image)""",
        """const script = document.createElement("script");
            script.textContent = "document.title='ran'"; document.body.append(script)""",
    )
    for attempt in attempts:
        outcome = anna.page.evaluate(
            f"""() => {{ try {{ {attempt}; return "taken"; }} catch (e) {{ return e.name; }} }}"""
        )
        assert outcome == "TypeError", attempt
    anna.page.wait_for_timeout(300)
    assert "ran" not in anna.page.title()


def test_twin_shown_as_html_without_a_policy_the_payloads_run(browser) -> None:
    ran = []
    for payload in PAYLOADS[:5]:
        page = browser.new_page()
        page.set_content("<title>calm</title><p id=place></p>")
        page.evaluate("(text) => { document.getElementById('place').innerHTML = text }", payload)
        page.wait_for_timeout(300)
        ran.append(page.title() == "ran")
        page.close()
    assert any(ran)


def test_a_text_that_turns_direction_turns_nothing_around_it(town) -> None:
    """An override in a text or a name ends with it: times and words beside it stay in place."""
    anna, boris = town.pair()
    boris.page.get_by_role("button", name="Settings").click()
    boris.page.get_by_label("Your name").fill("\u05d1\u05d5\u05e8\u05d9\u05e1 x")
    boris.page.get_by_role("button", name="Save").first.click()
    boris.open("Anna")
    box = boris.page.get_by_label("Message", exact=True)
    box.fill("evil \u202etxt.exe and \u2067more")
    box.press("Enter")
    bubble = anna.message("evil")
    expect(bubble).to_be_visible()
    words, clock = bubble.locator(".words").bounding_box(), bubble.locator("time").bounding_box()
    assert words and clock and words["x"] + words["width"] <= clock["x"] + 1
    shown = bubble.locator("time").inner_text()
    assert len(shown) == 5 and shown[2] == ":"
    row = anna.page.get_by_role("navigation").locator(".item").first
    name, at = row.locator(".name").bounding_box(), row.locator(".meta").bounding_box()
    assert name and at and name["x"] + name["width"] <= at["x"] + 1
    expect(row.locator(".last")).to_have_css("unicode-bidi", "isolate")
    expect(bubble.locator(".words")).to_have_css("unicode-bidi", "isolate")
