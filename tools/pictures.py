"""The README's pictures: a new person's first minutes, in real Chromium, on a fresh `make run`, and
the observatory of a made-up country.

Everything in them is what the product did: a name, Echo, an invitation that a second home
accepts, emoji compared on both sides, a search. Run it with `make pictures`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT / "tests"))

from browser import CHROMIUM, FLAGS, Person  # noqa: E402

from holdfast.sound import wav  # noqa: E402
from holdfast.testing.listening import speech  # noqa: E402
from holdfast.testing.processes import Program  # noqa: E402

SMALL: ViewportSize = {"width": 360, "height": 740}
TALK = (
    ("amina", "Did the pharmacy open in the end?"),
    ("lena", "Yes, until six. I’ll pass by after work."),
    ("amina", "The bridge is closed again, so take the ferry. It leaves every half hour."),
    ("lena", "Good to know. Shall I bring the chargers?"),
    ("amina", "Both, please. And bread, if the bakery has any left."),
    ("lena", "On my way. Bringing both chargers."),
)


class Given(Program):
    """A node that somebody else started, by its address."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name, Path(name), [])
        self.address = address


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder) / "run"
        command = [sys.executable, "-u", ROOT / "tools" / "run.py", "--data", data, "--port", "0"]
        run = subprocess.Popen(
            [*map(str, command), "--no-browser"], stdout=subprocess.PIPE, text=True
        )
        second: Program | None = None
        try:
            address = first_address(run)
            port = (data / "relay.port").read_text().strip()
            second = second_home(Path(folder) / "second", relay_address(data, port))
            voice = Path(folder) / "voice.wav"
            speak(voice)
            microphone = f"--use-file-for-fake-audio-capture={voice}"
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS, microphone]
            )
            lena = Person(browser, Given("lena", address), device_scale_factor=2)
            amina = Person(browser, second)
            tour(lena, amina)
            observatory(browser, Path(folder) / "watch")
            browser.close()
        finally:
            if second is not None:
                second.stop()
            run.terminate()
            run.wait(20)
    print(f"Pictures are in {OUT.relative_to(ROOT)}.")
    return 0


def first_address(run: subprocess.Popen[str]) -> str:
    """The launch link that `make run` prints."""
    assert run.stdout is not None
    for line in run.stdout:
        found = re.search(r"http://127\S+", line)
        if found:
            return found[0]
    raise SystemExit("make run did not start")


def relay_address(data: Path, port: str) -> str:
    """The running relay's address, out of its own log of this run."""
    from holdfast.relay.keys import Secrets

    return str(Secrets(data / "relay").home("127.0.0.1", int(port)))


def second_home(home: Path, relay: str) -> Program:
    """Another person's node."""
    arguments = ["node", "--home", str(home), "--relay", relay, "--port", "0", "--no-browser"]
    return Program("amina", home, arguments).start()


def speak(path: Path) -> None:
    """Real speech for the microphone."""
    with wav.Writer(path) as out:
        for clip in speech(2):
            for frame in wav.read(clip, format="g722"):
                out.write(frame)


def sound(lena: Person) -> None:
    """A voice note to Echo that comes back, and a call in which one hears oneself."""
    page = lena.page
    page.set_viewport_size({"width": 900, "height": 620})
    page.get_by_role("button", name="Record a voice note").click()
    bar = page.get_by_role("group", name="Recording a voice note")
    expect(bar).to_contain_text("0:06", timeout=20_000)
    bar.get_by_role("button", name="Send").click()
    notes = page.get_by_role("slider", name="Voice note")
    expect(notes).to_have_count(2, timeout=20_000)
    page.locator("article.msg").last.get_by_role("button", name="Play").click()
    page.wait_for_timeout(2_500)
    take(page, "voice")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0, timeout=20_000)
    page.set_viewport_size(SMALL)
    page.get_by_role("button", name="Call", exact=True).click()
    screen = page.locator("section.call")
    expect(screen).to_have_attribute("data-state", "talking", timeout=30_000)
    expect(screen.locator(".turn")).to_contain_text("is speaking", timeout=30_000)
    page.wait_for_timeout(3_000)
    take(page, "call")
    screen.get_by_role("button", name="Hang up").click()
    expect(screen).to_have_count(0, timeout=20_000)


def blocked(lena: Person) -> None:
    """A call to Echo through which the simulator's switches are thrown; here, up to the cut."""
    page = lena.page
    page.set_viewport_size(SMALL)
    page.get_by_role("button", name="Simulator", exact=True).click()
    page.get_by_role("button", name="Try a call while it is being blocked").click()
    screen = page.locator("section.call")
    for name, said in (("call-throttled", "squeezed"), ("call-cut", "is cut")):
        expect(screen.locator(".said")).to_contain_text(said, timeout=60_000)
        page.wait_for_timeout(3_000)
        take(page, name)
    screen.get_by_role("button", name="Stop, and all off").click()
    expect(screen.locator(".sentence")).to_contain_text("Clear line", timeout=60_000)
    take(page, "call-again")
    screen.get_by_role("button", name="Hang up").click()
    expect(screen).to_have_count(0, timeout=20_000)


def tour(lena: Person, amina: Person) -> None:
    """What a new person does, with a picture of each step."""
    page = lena.page
    page.set_viewport_size(SMALL)
    page.get_by_label("Your name").fill("Lena")
    take(page, "onboarding")
    lena.onboard("Lena")
    page.get_by_role("button", name="Talk to Echo", exact=True).click()
    expect(page.get_by_role("log").get_by_text("I am Echo")).to_be_visible()
    lena.write("Hello, Echo!")
    expect(page.get_by_role("log").get_by_text("You wrote")).to_be_visible()
    sound(lena)
    page.get_by_role("button", name="Back", exact=True).click()

    amina.onboard("Amina Rahal")
    link = lena.invite()
    take(page, "invite")
    amina.accept(link)
    expect(page.get_by_role("log")).to_be_visible()
    people = {"lena": lena, "amina": amina}
    for who, text in TALK:
        people[who].write(text)
        other = amina if who == "lena" else lena
        expect(other.message(text).first).to_be_visible()
    reply(lena, amina)

    for person in (lena, amina):
        person.page.get_by_role("button", name="About").last.click()
        person.page.get_by_role("button", name="Compare emoji").click()
        ask = person.page.get_by_role("button", name="Compare emoji")
        ask.or_(person.page.get_by_role("button", name="Compare now")).click()
    expect(page.locator(".emoji li")).to_have_count(7)
    take(page, "verify")
    for person in (lena, amina):
        person.page.get_by_role("button", name="They are the same").click()
    expect(page.get_by_text("is verified.")).to_be_visible()
    page.get_by_role("button", name="Back", exact=True).first.click()

    page.set_viewport_size({"width": 1200, "height": 780})
    expect(page.get_by_role("main").get_by_text("Verified", exact=True)).to_be_visible()
    page.get_by_label("Message", exact=True).blur()
    take(page, "conversation")
    page.get_by_label("Search everything").fill("ferry")
    expect(page.locator("mark")).to_have_text("ferry")
    page.set_viewport_size(SMALL)
    page.get_by_role("button", name="Back", exact=True).click()
    take(page, "search")
    page.get_by_label("Search everything").fill("")
    page.get_by_role("button", name="Clear line").click()
    page.get_by_text("Details").click()
    take(page, "status")
    page.get_by_role("button", name="Simulator", exact=True).click()
    switch = page.get_by_role("switch", name="Freeze after 16 KB")
    switch.check()
    take(page, "simulator")
    page.get_by_role("button", name="All off").click()
    expect(switch).not_to_be_checked()
    page.get_by_role("button", name="Back", exact=True).click()
    page.locator("button.pathline:visible").first.click()
    blocked(lena)
    page.get_by_role("button", name="Back", exact=True).click()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Colours").select_option("dark")
    page.get_by_label("Language").select_option("ru")
    page.get_by_role("button", name="Назад", exact=True).click()
    page.get_by_role("navigation").get_by_role("button", name="Amina").click()
    take(page, "phone")


def observatory(browser: Browser, data: Path) -> None:
    """A simulated month, played in, and its last event."""
    command = [sys.executable, "-m", "holdfast.cli", "watch", "--no-wait", "--simulate", "7"]
    with subprocess.Popen(
        [*command, "--data", str(data)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        root = run.stdout.readline().strip()
        try:
            wide = browser.new_page(viewport={"width": 1280, "height": 1000})
            wide.goto(root)
            expect(wide.get_by_role("progressbar")).to_have_count(0, timeout=300_000)
            expect(wide.get_by_role("heading", level=1)).to_contain_text("Calls are blocked")
            take(wide, "observatory")
            wide.get_by_role("heading", level=1).get_by_role("link").click()
            expect(wide.get_by_role("heading", name="Why we say so")).to_be_visible()
            take(wide, "observatory-event", whole=True)
            phone = browser.new_page(viewport=SMALL, device_scale_factor=2, color_scheme="dark")
            phone.goto(wide.url.replace("/event/", "/ru/event/"))
            take(phone, "observatory-phone")
        finally:
            run.terminate()
            run.wait(20)


def reply(lena: Person, amina: Person) -> None:
    """A reaction, and an answer to one message."""
    bubble = lena.message("And bread")
    bubble.focus()
    bubble.press("e")
    lena.page.get_by_role("menuitem", name="👍").click()
    expect(amina.page.locator(".react")).to_be_visible()
    chosen = amina.message("Bringing both")
    chosen.focus()
    chosen.press("r")
    amina.write("You are the best.")
    expect(lena.message("You are the best.")).to_be_visible()


def take(page: Page, name: str, whole: bool = False) -> None:
    """One picture, of what is seen or of the whole page."""
    OUT.mkdir(parents=True, exist_ok=True)
    time.sleep(0.4)
    page.screenshot(path=OUT / f"{name}.png", full_page=whole)


if __name__ == "__main__":
    sys.exit(main())
