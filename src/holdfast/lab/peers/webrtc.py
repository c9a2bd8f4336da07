"""WebRTC in the lab: two Chromiums, signalling by WebSocket, and coturn, which they must use.

Three peers: the way from each Chromium to coturn is UDP, TCP, or TLS on port 443.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import shlex
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import picows
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from holdfast.lab import voice
from holdfast.lab.hosts import Host
from holdfast.lab.peers.base import Running, certify, need, running
from holdfast.lab.play import Call, Stage
from holdfast.lab.town import Town

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Playwright

MEET: Final = "meet.test"
TURN: Final = "turn.test"
SERVERS: Final = {MEET: "203.0.113.50", TURN: "203.0.113.51"}
PAGE: Final = f"https://{MEET}/"
SIGNALLING: Final = f"wss://{MEET}/call"
WAYS: Final = {
    "udp": f"turn:{TURN}:3478?transport=udp",
    "tcp": f"turn:{TURN}:3478?transport=tcp",
    "tls": f"turns:{TURN}:443?transport=tcp",
}
ANY: Final = "any"
"""All of them: what ICE finds best."""
USER, WORD = "caller", "lab"
SPEECH_SECONDS: Final = 120.0
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")


class Switchboard(WSListener):
    """One end of the signalling: what comes goes to all others."""

    def __init__(self, others: set[Switchboard]) -> None:
        self._others = others
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Somebody is there."""
        self._transport = transport
        self._others.add(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """They say something."""
        if frame.msg_type == WSMsgType.TEXT:
            for one in self._others - {self}:
                if one._transport is not None:
                    one._transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """They have gone."""
        self._others.discard(self)


@contextlib.asynccontextmanager
async def signalling(host: Host, certificate: Path, key: Path) -> AsyncIterator[None]:
    """A server on that host, in this process."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    sock = host.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host.address, 443))
    everybody: set[Switchboard] = set()
    server = await picows.ws_create_server(
        lambda request: Switchboard(everybody), sock=sock, ssl=context
    )
    try:
        yield
    finally:
        server.close()
        for one in list(everybody):
            if one._transport is not None:
                one._transport.disconnect()


def settings(host: Host, certificate: Path, key: Path) -> str:
    """coturn's."""
    return f"""
listening-ip={host.address}
relay-ip={host.address}
listening-port=3478
tls-listening-port=443
cert={certificate}
pkey={key}
lt-cred-mech
user={USER}:{WORD}
realm={TURN}
fingerprint
no-cli
no-multicast-peers
log-file=stdout
simple-log
pidfile={certificate.parent}/turn.pid
userdb={certificate.parent}/turn.db
"""


class Side:
    """A Chromium on a host, and in it a page of its own for each time somebody comes."""

    def __init__(self, browser: Browser, way: str) -> None:
        self._browser, self._way = browser, way
        self._context: BrowserContext | None = None
        self.page: Page | None = None

    async def open(self) -> None:
        """Have the application open; it connects by itself."""
        self._context = await self._browser.new_context(ignore_https_errors=True)
        self.page = await self._context.new_page()
        script = Path(__file__).with_suffix(".js").read_text()
        await self.page.route(
            PAGE,
            lambda route: route.fulfill(
                content_type="text/html", body=f"<!doctype html><script>{script}</script>"
            ),
        )
        await self.page.goto(PAGE)
        urls = list(WAYS.values()) if self._way == ANY else [WAYS[self._way]]
        server = {"urls": urls, "username": USER, "credential": WORD}
        await self.page.evaluate("([to, server]) => begin(to, server)", [SIGNALLING, server])

    async def close(self) -> None:
        """Leave."""
        if self._context is not None:
            await self._context.close()
            self._context = self.page = None

    async def when(self, question: str) -> None:
        """Until the page says yes."""
        assert self.page is not None
        await self.page.wait_for_function(f"{question}()", polling=50, timeout=0)

    async def ask(self, what: str) -> str:
        """What a function of the page gives."""
        assert self.page is not None
        return str(await self.page.evaluate(f"{what}()"))


class WebRtcCall(Call):
    """Two pages that talk."""

    def __init__(self, *sides: Side) -> None:
        self._sides = sides

    async def listen(self, seconds: float) -> list[bytes]:
        """See `Call`."""
        await asyncio.gather(*(side.ask("mark") for side in self._sides))
        await asyncio.sleep(seconds)
        said = await asyncio.gather(*(side.ask("since") for side in self._sides))
        return [base64.b64decode(one) for one in said]

    async def end(self) -> None:
        """See `Call`."""
        for side in self._sides:
            await side.close()


class WebRtc(Stage):
    """Anna, who has the censor, calls Boris."""

    columns = ("connect", "call", "in call")

    def __init__(self, town: Town, way: str, anna: Side, boris: Side) -> None:
        super().__init__(town)
        self.peer = f"webrtc-{way}"
        self._anna, self._boris = anna, boris

    async def leave(self, *, forget: bool = True) -> None:
        """See `Stage`."""
        await self._anna.close()

    async def arrive(self) -> None:
        """See `Stage`."""
        await self._anna.open()

    async def connected(self) -> None:
        """See `Stage`."""
        await self._anna.when("connected")

    async def call(self) -> Call:
        """See `Stage`."""
        call = WebRtcCall(self._anna, self._boris)
        try:
            await self._boris.close()
            await self._boris.open()
            await self._boris.when("connected")
            await self._anna.ask("ring")
            for side in (self._anna, self._boris):
                await side.when("talks")
        except BaseException:
            await call.end()
            raise
        return call


async def _browser(playwright: Playwright, host: Host, directory: Path, speech: Path) -> Browser:
    """A Chromium on a host, by a script that enters it."""
    found = next(filter(None, map(shutil.which, CHROMIUM)))
    script = directory / f"chromium-{host.name}"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(host.command([found]))} "$@"\n')
    script.chmod(0o700)
    capture = f"--use-file-for-fake-audio-capture={speech}"
    return await playwright.chromium.launch(executable_path=script, args=[*FLAGS, capture])


@contextlib.asynccontextmanager
async def on_hosts(directory: Path, way: str) -> AsyncIterator[WebRtc]:
    """Servers, and two browsers. Raises `CannotPlay`."""
    need({"turnserver": "coturn"}, ["playwright"])
    if not any(map(shutil.which, CHROMIUM)):
        need({"chromium": "chromium"})
    from playwright.async_api import async_playwright

    speech = directory / "speech.wav"
    voice.record(speech, SPEECH_SECONDS)
    tls = {name: certify(directory / name, name) for name in SERVERS}
    config = directory / "turnserver.conf"
    with Town(SERVERS) as town:
        config.write_text(settings(town.lab[TURN], *tls[TURN]))
        async with (
            signalling(town.lab[MEET], *tls[MEET]),
            running(town.lab[TURN], ["turnserver", "-c", config]) as coturn,
            async_playwright() as playwright,
        ):
            drained = asyncio.create_task(_drain(coturn))
            browsers = [
                await _browser(playwright, host, directory, speech)
                for host in (town.home, town.abroad)
            ]
            try:
                yield WebRtc(town, way, *(Side(browser, way) for browser in browsers))
            finally:
                for browser in browsers:
                    await browser.close()
                drained.cancel()


async def _drain(program: Running) -> None:
    """So that it never waits for us."""
    while await program.line():
        pass


udp, tcp, tls = (functools.partial(on_hosts, way=way) for way in WAYS)
