"""What a visitor on a slow line waits for, and a newcomer for the sample.

`python bench/watch/page.py [--only NAME] [--seed N]`, with Chromium.

- *line*: the front page and then an event's, over TLS, in Chromium of a phone's size with an empty
  cache, through a line of 64 kbit/s in each direction and 300 ms there and back, which all
  connections share. What counts is what the line carried, handshakes and refused attempts included,
  and when the browser had painted. The first screen is there when the largest thing on it is.
- *sample*: `make demo-watch` that is set up: until a page answers, until it shows an event, until
  the whole month is played.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from holdfast.lab.peers.base import certify

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from browser import CHROMIUM, FLAGS  # noqa: E402

Row = tuple[str, str]
RATE = 64_000 / 8
"""Bytes a second, in each direction."""
DELAY = 0.15
"""Seconds, in each direction."""
PIECE = 1_000
PHONE = {"width": 360, "height": 740}
PAINTED = """() => new Promise(done => new PerformanceObserver(list => {
    const last = list.getEntries().at(-1);
    done([performance.getEntriesByName('first-contentful-paint')[0].startTime, last.startTime,
          performance.getEntriesByType('navigation')[0].loadEventEnd]);
}).observe({type: 'largest-contentful-paint', buffered: true}))"""


class Line:
    """A slow line to one port of this machine: what goes one way waits its turn."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free = [0.0, 0.0]
        self.carried = [0, 0]
        """Bytes there and back."""

    async def open(self) -> asyncio.Server:
        """Its near end, on a free port."""
        return await asyncio.start_server(self._join, "127.0.0.1", 0)

    async def _join(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        far, ask = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(asyncio.CancelledError):  # the browser went away
            await asyncio.gather(self._carry(near, ask, 0), self._carry(far, answer, 1))

    async def _carry(self, come: asyncio.StreamReader, go: asyncio.StreamWriter, way: int) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                when, data = await under_way.get()
                await asyncio.sleep(when - loop.time())
                if not data:
                    break
                go.write(data)
            go.close()

        delivering = asyncio.create_task(deliver())
        data = b"?"
        while data:
            try:
                data = await come.read(PIECE)
            except OSError:
                data = b""
            self._free[way] = max(self._free[way], loop.time()) + len(data) / RATE
            self.carried[way] += len(data)
            under_way.put_nowait((self._free[way] + DELAY, data))
            await asyncio.sleep(self._free[way] - loop.time())
        await delivering


@contextmanager
def program(*command: str) -> Iterator[str]:
    """A program that says its address; ended afterwards."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        try:
            for said in run.stdout:
                if found := re.search(r"https?://\S+", said):
                    yield found[0].rstrip("/")
                    break
        finally:
            run.terminate()
            run.wait(30)


def line(seed: int = 7) -> Iterator[Row]:
    """Over 64 kbit/s."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        certificate, key = certify(Path(directory) / "tls", "127.0.0.1")
        with program(
            "-m", "holdfast.cli", "watch", "--simulate", str(seed), "--no-wait", "--data",
            directory + "/w", "--cert", str(certificate), "--key", str(key),
        ) as address:  # fmt: skip
            yield from asyncio.run(_line(int(address.rpartition(":")[2])))


async def _line(port: int) -> list[Row]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await (await browser.new_context(ignore_https_errors=True)).new_page()
        await page.goto(f"https://127.0.0.1:{port}/")
        while await page.locator("progress").count():
            await page.wait_for_timeout(1000)
            await page.reload()
        rows: list[Row] = []
        for language, path in (("English", ""), ("Russian", "/ru")):
            rows += await _visit(browser, port, language, path)
        await browser.close()
        return rows


async def _visit(browser: Browser, port: int, language: str, path: str) -> list[Row]:
    slow = Line(port)
    server = await slow.open()
    root = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    context = await browser.new_context(ignore_https_errors=True, viewport=PHONE)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(root + path + "/", wait_until="load", timeout=60_000)
    rows = [await _told(page, slow, f"Front page, {language}")]
    link = await page.locator("h1 a").get_attribute("href")
    await page.goto(f"{root}{link}", wait_until="load", timeout=60_000)
    rows.append(await _told(page, slow, f"An event's page after it, {language}"))
    await context.close()
    server.close()
    return rows


async def _told(page: Page, slow: Line, name: str) -> Row:
    first, largest, loaded = await page.evaluate(PAINTED)
    await page.wait_for_timeout(1500)  # an icon may come later
    there, back = slow.carried
    slow.carried = [0, 0]
    return (
        f"{name}, over 64 kbit/s and TLS: first paint, first screen, all of it; bytes down, up",
        f"{first / 1e3:.1f}, {largest / 1e3:.1f}, {loaded / 1e3:.1f} s; {back:,}, {there:,}",
    )


def sample(seed: int = 7) -> Iterator[Row]:
    """Until the sample lives."""
    began = time.monotonic()
    answered = told = 0.0
    os.environ["HOLDFAST_NO_BROWSER"] = "1"
    with program("-u", "tools/demo_watch.py", "--seed", str(seed), "--port", "0") as address:
        while True:
            with urllib.request.urlopen(address + "/", timeout=60) as answer:
                text = answer.read()
            since = time.monotonic() - began
            answered = answered or since
            if b'href="/event/' in text:
                told = told or since
            if b"<progress" not in text:
                break
            time.sleep(0.5)
    yield (
        "`make demo-watch`, set up before: a page answers, shows an event, the month is whole",
        f"{answered:.1f}, {told:.1f}, {since:.1f} s",
    )


ALL = (sample, line)


def figures() -> list[Row]:
    """What `make bench` prints."""
    return [row for each in ALL for row in each()]


def main() -> None:
    """Print rows as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[each.__name__ for each in ALL])
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    os.chdir(ROOT)
    for each in ALL:
        if asked.only in (None, each.__name__):
            for name, value in each(asked.seed):
                print(f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
