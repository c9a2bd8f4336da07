"""active-probe (censors of the Great Firewall's kind): somebody asks the port, in every way they
can think of, whether it is a website or only says so. The relay is compared with the site it shows:
the same folder without a relay, and Debian's nginx beside the same nginx behind a relay."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import setup
from attacks import probing
from attacks.probing import Probe, compare
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.drive import http
from holdfast.drive.http import Request, Response
from holdfast.paths import websocket
from holdfast.paths.base import Channel
from holdfast.relay import certificate, decoy, front
from holdfast.relay.front import Door, Front
from holdfast.relay.upstream import Mirror, Web
from holdfast.testing.tap import Tap

PATH = b"p" * 16
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PIN = hashlib.sha256(KEY.public_key().public_bytes_raw()).digest()


class Quiet:
    def on_frame(self, frame: bytes) -> None: ...

    def on_live(self, frame: bytes) -> None: ...

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None: ...


def accept(channel: Channel, tls_key_hash: bytes, address: str) -> Quiet:
    """A relay's program, as far as a node that connects sees it."""
    proof = KEY.sign(caps.join(b"holdfast/tls/1", tls_key_hash))
    public = KEY.public_key().public_bytes_raw()
    channel.send(wire.encode(wire.Welcome(wire.VERSION, public, proof, 1, 1)))
    return Quiet()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """All patience is that of the test."""
    for module, name in (
        (http, "HEAD_SECONDS"), (http, "IDLE_SECONDS"), (front, "HANDSHAKE_SECONDS"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, probing.PATIENCE)


def pages(folder: Path) -> Path:
    decoy.make_site(folder, lambda n: b"\x07" * n)
    (folder / "sub").mkdir()
    (folder / "sub" / "index.html").write_text("<p>below</p>\n")
    (folder / "style.css").write_text("p { color: green }\n")
    return folder


@asynccontextmanager
async def served(made: Front) -> AsyncIterator[int]:
    try:
        yield await made.listen("127.0.0.1", 0, udp=False)
    finally:
        await made.close()


def own(data: Path) -> certificate.Certificate:
    return certificate.load_or_make(data, probing.HOST, int(time.time() * 1000))


def relay_and_site(data: Path, kind: type[Front] = Front) -> tuple[Front, Front]:
    """Both have one key, one chain and one folder."""
    folder = pages(data / "site")
    made = kind(own(data), [PATH], decoy.Folder(folder), accept)
    return made, Front(own(data), [], decoy.Folder(folder), accept)


def secrets_of(made: Front) -> list[str]:
    home = Home("", 0, PATH, b"")
    seen = made.certificate.key_hash
    return [caps.request_path(home, seen), caps.exchange_path(home, seen)]


def others_of(made: Front) -> list[str]:
    """Paths of another relay under this key, and of this relay under another."""
    seen = made.certificate.key_hash
    found = [(b"q" * 16, seen), (PATH, bytes(32))]
    homes = [(Home("", 0, secret, b""), key) for secret, key in found]
    return [path(*pair) for path in (caps.request_path, caps.exchange_path) for pair in homes]


async def recorded(port: int, classic: bool = False) -> list[Probe]:
    """A node's real connection, played again."""
    async with Tap(Home("127.0.0.1", port, PATH, PIN)) as tap:
        channel = await websocket.connect(tap.home, Quiet(), classic=classic)
        channel.send(b"a frame")
        await asyncio.sleep(0.05)
        said = bytes(tap.sent)  # the handshake and the request, and perhaps the frame
        channel.close()
    end = 5 + int.from_bytes(said[3:5], "big")
    parts = ([said], [said[:end], said[end:]], [said[:end]], [said[end:]], [said[: end // 2]])
    return [
        Probe(f"replay {number}, {eof}", probing.sends(list(part), eof=eof))
        for number, part in enumerate(parts)
        for eof in (False, True)
    ]


def everything(
    seed: int, count: int, made: Front, groups: list[int] = probing.GROUPS
) -> list[Probe]:
    dice = random.Random(seed)
    secrets = secrets_of(made)
    probes = probing.tls_parameters() + probing.hellos(dice, groups)
    probes += probing.requests(dice, secrets, others_of(made)) + probing.second(dice)
    return probes + probing.garbage(dice, count) + probing.fuzzed(dice, secrets, count)


def sample(probes: list[Probe], count: int) -> list[Probe]:
    """Some of each kind; which, is always the same."""
    return random.Random(1).sample(probes, count)


# nginx.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@asynccontextmanager
async def nginx(data: Path, folder: Path) -> AsyncIterator[tuple[int, Web]]:
    """The port of the site itself, and where a relay finds it; one configuration for both."""
    place = data / "nginx"
    place.mkdir()
    tls_port, http_port, h2_port, direct = (free_port() for _ in range(4))
    chain = f"ssl_certificate {data}/tls.crt; ssl_certificate_key {data}/tls.key;"
    site = f"root {folder}; error_page 404 /404.html; absolute_redirect off;"
    patience = f"{probing.PATIENCE:.0f}s"
    (place / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
        events {{ worker_connections 2000; }}
        http {{
          access_log off; server_tokens off;
          client_body_temp_path {place}/1; proxy_temp_path {place}/2; fastcgi_temp_path {place}/3;
          uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;
          types {{ text/html html; text/css css; }}
          client_header_timeout {patience}; client_body_timeout {patience};
          keepalive_timeout {patience}; lingering_timeout {patience};
          ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on;
          server {{ listen 127.0.0.1:{direct} ssl http2; {chain} {site} }}
          server {{ listen 127.0.0.1:{tls_port} ssl http2; listen 127.0.0.1:{http_port};
                    {chain} {site} }}
          server {{ listen 127.0.0.1:{h2_port} http2; {site} }}
        }}"""
    )
    command = [str(setup.web_server()), "-p", str(place), "-c", str(place / "nginx.conf")]
    with (place / "said").open("w") as said:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        for port in (direct, tls_port, http_port, h2_port):
            async with asyncio.timeout(60):
                while not await is_open(port):
                    assert process.returncode is None, (place / "said").read_text()
                    await asyncio.sleep(0.05)
        at = "127.0.0.1"
        yield (
            direct,
            Web.parse(
                f"http://{at}:{http_port}", f"http://{at}:{h2_port}", f"https://{at}:{tls_port}"
            ),
        )
    finally:
        process.kill()
        await process.wait()


async def is_open(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.transport.abort()
        return True
    return False


def before_nginx(data: Path, web: Web, passed: bool = True) -> Front:
    return Front(own(data), [PATH], Mirror(web.http), accept, web if passed else None)


# The proof.


async def against_a_folder(data: Path, kind: type[Front], count: int, seed: int, some: int) -> Any:
    relay, site = relay_and_site(data, kind)
    async with served(relay) as one, served(site) as other:
        probes = everything(seed, count, relay, probing.GROUPS + probing.NEWER_GROUPS)
        probes = sample(probes, some) if some else probes
        probes += probing.known(secrets_of(relay)) + await recorded(one)
        return await compare(probes, one, other), len(probes)


async def against_nginx(
    data: Path, passed: bool, count: int, seed: int, some: int, tries: int = probing.TRIES
) -> Any:
    own(data)
    async with nginx(data, pages(data / "site")) as (direct, web):
        relay = before_nginx(data, web, passed)
        async with served(relay) as port:
            probes = everything(seed, count, relay)
            probes = sample(probes, some) if some else probes
            probes += await recorded(port, classic=True)
            # What two runs of the site itself differ in would be no finding: it is nothing.
            itself = compare(sample(probes, min(40, some)), direct, direct)
            found, clouded = await asyncio.gather(
                compare(probes, port, direct, tries, probing.but_goodbyes), itself
            )
            assert clouded == []
            return found, len(probes)


async def test_a_relay_is_its_folder_to_whoever_asks(tmp_path: Path) -> None:
    differences, _ = await against_a_folder(tmp_path, Front, 40, 1, some=110)
    assert differences == []


async def test_a_relay_is_the_nginx_behind_it_to_whoever_asks(tmp_path: Path) -> None:
    differences, _ = await against_nginx(tmp_path, True, 40, 1, some=110)
    assert differences == []


async def test_two_differences_are_known_and_no_more(tmp_path: Path) -> None:
    """Debian's nginx has a TLS library without ML-KEM, and one with a newer one is not told apart.
    And who agrees on HTTP/2 and never says a word is told another reason in the end."""
    own(tmp_path)
    dice = random.Random(1)
    offer = probing.client_hello(dice, groups=[0x11EC, 0x1D], versions=[0x304])
    probes = [
        Probe("ML-KEM", probing.sends([offer], eof=True)),
        Probe("silence", lambda port: probing.asked(port, [], protocols=[b"h2"])),
    ]
    async with (
        nginx(tmp_path, pages(tmp_path / "site")) as (direct, web),
        served(before_nginx(tmp_path, web)) as port,
    ):
        found = await compare(probes, port, direct, tries=2)
    offered, silent = found
    (ours, *_), (theirs, *_) = offered.one[0], offered.other[0]
    assert ours[-1] == (51, b"\x11\xec") and theirs[-1] == (51, b"\x00\x1d")
    assert ours[:-1] == theirs[:-1]
    assert silent.one[0][:-4] == silent.other[0][:-4] and silent.one[1:] == silent.other[1:]


class HelpfulDoor(Door):
    """A defence off: says what a path is for."""

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        if request.target.encode() in self._sockets:
            return Response(426, (("upgrade", "websocket"),))
        return super().respond(request)


class Helpful(Front):
    door = HelpfulDoor


class HastyDoor(Door):
    """A defence off: waits for a body on a path that looks like its own, and for no other."""

    def take(self, request: Request) -> Response | None:  # type: ignore[override]
        alike = len(request.target) == len(self._exchanges[0]) if self._exchanges else False
        return self.error(405) if alike else None


class Hasty(Front):
    door = HastyDoor


@pytest.mark.parametrize("kind", [Helpful, Hasty])
async def test_twin_a_relay_that_treats_its_paths_otherwise_is_found(
    tmp_path: Path, kind: type[Front]
) -> None:
    relay, site = relay_and_site(tmp_path, kind)
    async with served(relay) as one, served(site) as other:
        probes = probing.known(secrets_of(relay))[:8]
        probes += [p for p in everything(1, 0, relay) if "an exchange in pieces" in p.name]
        assert await compare(probes, one, other, tries=1)


async def test_twin_a_proxy_that_understands_http_is_found(tmp_path: Path) -> None:
    """Without the passage, pages alone would be the site's: its errors, limits and patience not."""
    differences, _ = await against_nginx(tmp_path, False, 0, 1, some=30, tries=1)
    assert len(differences) > 10


def prove(seed: int, count: int, directory: Path) -> dict[str, Any]:
    """`count` probes that are drawn by lot, of each kind, and all that are not."""
    figures = {}
    with pytest.MonkeyPatch.context() as patches:
        hurry(patches)
        for name, run in (
            ("folder", against_a_folder(directory / "folder", Front, count, seed, 0)),
            ("nginx", against_nginx(directory / "nginx", True, count, seed, 0)),
        ):
            (directory / name).mkdir()
            differences, asked = asyncio.run(run)
            assert differences == [], f"{name}: {differences[:5]}"
            figures[f"probes of a relay and its {name}"] = asked
    return figures
