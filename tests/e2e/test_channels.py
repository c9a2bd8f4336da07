"""A channel in two browsers: make it, post, read it, and what a reader sees of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.test_files import attach, png
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.timeout(180)


def test_an_owner_posts_and_a_reader_reads(town, tmp_path: Path) -> None:
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
    picture = tmp_path / "bridge.png"
    picture.write_bytes(png(320, 240))
    attach(anna, picture)
    expect(anna.page.locator("article.msg img")).to_be_visible()
    anna.page.get_by_role("button", name="About \u2068Town news\u2069").last.click()
    link = anna.page.get_by_label("For Holdfast", exact=True).input_value()
    anywhere(town, anna.page.get_by_label("For any browser", exact=True).input_value(), link)

    boris.accept(link)
    expect(boris.message("The bridge is closed")).to_be_visible()
    expect(boris.page.locator("article.msg img")).to_be_visible()
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


def shown(picture: Locator, width: int) -> None:
    """The picture is there, whole."""
    expect(picture).to_have_js_property("complete", True)
    expect(picture).to_have_js_property("naturalWidth", width)


def anywhere(town, address: str, link: str) -> None:
    """The page of the relay opens it in a browser that has no node."""
    context = town._browser.new_context(ignore_https_errors=True, locale="ru-RU")
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    expect(page.get_by_role("heading", name="Town news")).to_be_visible()
    expect(page.get_by_text("The bridge is closed")).to_be_visible()
    expect(page.get_by_text("тот, кто отдаёт эту страницу, мог бы её изменить")).to_be_visible()
    expect(page.get_by_label("Ссылка")).to_have_value(link)
    page.get_by_role("button", name="Загрузить картинку").click()
    expect(page.get_by_role("link", name="Сохранить")).to_be_visible()
    shown(page.get_by_role("img", name="Картинка: bridge.png"), 320)
    with page.expect_download() as download:
        page.get_by_role("link", name="Сохранить").click()
    assert download.value.suggested_filename == "bridge.png"
    payload = link.removeprefix("holdfast:")
    assert payload not in page.url and not any(payload in url for url in asked)
    host = address.split("/")[2]
    assert asked and all(url.split("/")[2] == host for url in asked)
    damaged = address[:-4] + ("AAAA" if not address.endswith("AAAA") else "BBBB")
    page.goto("about:blank")
    page.goto(damaged)
    expect(page.get_by_text("Ссылку обрезали")).to_be_visible()
    expect(page.get_by_role("listitem")).to_have_count(0)
    assert errors == []
    context.close()


def test_in_an_open_group_everybody_writes_and_its_owner_removes(town) -> None:
    anna, boris = town.person("a"), town.person("b")
    anna.onboard("Anna")
    boris.onboard("Boris")
    anna.page.get_by_role("button", name="New group").click()
    anna.page.get_by_role("button", name="Make a channel instead").click()
    anna.page.get_by_label("What is the channel called?").fill("Square")
    anna.page.get_by_label("Everybody who has the link writes too").check()
    anna.page.get_by_label("Your name in this group").fill("Olga")
    anna.page.get_by_role("button", name="Make the open group").click()
    anna.write("Who is here?")
    expect(anna.page.get_by_role("button", name="Attach")).to_have_count(0)
    anna.page.get_by_role("button", name="About \u2068Square\u2069").last.click()
    link = anna.page.get_by_label("For Holdfast", exact=True).input_value()
    expect(anna.page.get_by_label("For any browser", exact=True)).to_have_count(0)

    boris.accept(link)
    expect(boris.message("Who is here?")).to_be_visible()
    expect(boris.page.get_by_label("Message", exact=True)).to_have_count(0)
    boris.page.get_by_label("Your name in this group").fill("Boris of the bridge")
    boris.page.get_by_role("button", name="Write under this name").click()
    boris.write("buy my watches")
    boris.write("really, buy them")

    anna.open("Square")
    expect(anna.page.get_by_text("Boris of the bridge · ").first).to_be_visible()
    anna.message("really").focus()
    anna.message("really").press("Enter")
    expect(anna.page.get_by_role("menuitem", name="Remove for everybody")).to_be_visible()
    anna.page.get_by_role("menuitem", name="Silence this writer").click()
    anna.page.evaluate("dispatchEvent(new Event('pagehide'))")  # whoever leaves does not wait
    expect(boris.message("watches")).to_have_count(0, timeout=30_000)
    boris.page.get_by_label("Message", exact=True).fill("again")
    boris.page.get_by_label("Message", exact=True).press("Enter")
    expect(boris.page.get_by_text("silenced you here")).to_be_visible()
    assert anna.errors == boris.errors == []
