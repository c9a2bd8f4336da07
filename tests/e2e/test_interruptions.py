"""What happens around a call and a conversation: devices that go and come back, pages that nobody
looks at."""

from __future__ import annotations

import pytest
from browser import PATIENCE
from e2e.test_calls import hears, ring, screen, talk
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.timeout(240)

DEVICES = """
window.streams = [];
window.unplugged = false;
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (window.unplugged) throw new DOMException('none', 'NotFoundError');
    const stream = await open(wanted);
    window.streams.push(stream);
    return stream;
};
window.unplug = (gone) => {
    window.unplugged = gone;
    const track = window.streams.at(-1).getTracks()[0];
    track.stop();
    track.dispatchEvent(new Event('ended'));
};
window.plug = () => {
    window.unplugged = false;
    navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
};
"""
NOTICES = """
window.shown = [];
window.asked = [];
window.taken = 0;
let allowed = 'default';
window.Notification = class {
    static get permission() { return allowed; }
    static async requestPermission() {
        window.asked.push(navigator.userActivation.isActive);
        return (allowed = 'granted');
    }
    constructor(title, options) { window.shown.push({ title, ...options }); }
    close() { window.taken += 1; this.onclose?.(); }
};
window.away = (yes) => {
    Object.defineProperty(document, 'hidden', { get: () => yes, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
};
"""


def before_all(page: Page, script: str) -> None:
    """Have a script run before the page's own."""
    page.add_init_script(script)
    page.reload()


def test_a_microphone_that_is_unplugged_gives_way_to_another(town) -> None:
    anna, boris = town.pair()
    before_all(anna.page, DEVICES)
    anna.open("Boris")
    talk(anna, boris)
    anna.page.evaluate("unplug(false)")
    expect(anna.page.get_by_text("The microphone was unplugged")).to_be_visible()
    hears(boris, anna)
    assert anna.page.evaluate("streams.length") == 2
    assert anna.errors == []


def test_without_any_microphone_the_call_goes_on_and_it_is_said(town) -> None:
    anna, boris = town.pair()
    before_all(anna.page, DEVICES)
    anna.open("Boris")
    talk(anna, boris)
    anna.page.evaluate("unplug(true)")
    card = screen(anna.page).locator(".call-card")
    expect(card.filter(has_text="no microphone")).to_be_visible()
    hears(anna, boris)
    anna.page.evaluate("plug()")
    expect(card.filter(has_text="no microphone")).to_have_count(0)
    hears(boris, anna)


def notices(page: Page, count: int) -> list[dict[str, str]]:
    """What was shown, once it is so many. A function that Playwright waits for is refused by the
    page's policy."""
    for _ in range(PATIENCE // 50):
        if len(found := page.evaluate("shown")) >= count:
            break
        page.wait_for_timeout(50)
    assert len(found) == count
    return found


def test_notices_are_asked_for_by_a_press_and_say_who_and_not_what(town) -> None:
    anna, boris = town.pair()
    before_all(boris.page, NOTICES)
    page = boris.page
    expect(page.get_by_role("navigation")).to_be_visible()
    offer = page.get_by_role("region", name="Notifications")
    expect(offer).to_have_count(0)
    anna.write("the harbour at nine")
    expect(offer).to_be_visible()
    assert page.evaluate("asked") == []
    offer.get_by_role("button", name="Show them").click()
    expect(offer).to_have_count(0)
    assert page.evaluate("asked") == [True]

    anna.write("seen already")
    expect(page.get_by_text("seen already").first).to_be_visible()
    assert page.evaluate("shown") == []
    page.evaluate("away(true)")
    anna.write("the secret place")
    (message,) = notices(page, 1)
    ring(anna, boris)
    call = notices(page, 2)[1]
    assert message["title"] == "New message from Anna"
    assert call["title"] == "Anna is calling"
    assert "secret" not in str(message) + str(call)
    page.evaluate("away(false)")
    assert page.evaluate("taken") == 2
    page.get_by_role("button", name="Decline").click()
    assert boris.errors == []
