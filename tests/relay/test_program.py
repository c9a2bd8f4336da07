"""The relay as its operator starts it, over loopback TLS."""

import asyncio
import secrets
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.core import wire
from holdfast.core.caps import Caps, Home
from holdfast.drive.logs import Appended, CaughtUp, Created, Down, LogEvent, Logs, Received, Up
from holdfast.paths import quic, websocket
from holdfast.paths.base import Unreachable
from holdfast.relay import certificate, program
from holdfast.relay.keys import RelayError, Secrets, now_ms
from holdfast.relay.limits import RelayLimits
from holdfast.relay.program import decoy_of, run


@asynccontextmanager
async def relay(data: Path, port: int = 0, **about: Any) -> AsyncIterator[Home]:
    stop = asyncio.Event()
    said: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(
        run(data, ("127.0.0.1", port), say=said.put_nowait, stop=stop, **about)
    )
    first = asyncio.create_task(said.get())
    await asyncio.wait([task, first], return_when=asyncio.FIRST_COMPLETED, timeout=20)
    if task.done():
        first.cancel()
        task.result()
    yield Home.parse(first.result())
    stop.set()
    await task


class Node:
    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self._came = asyncio.Event()
        self.logs = Logs(websocket.connect, now_ms, secrets.token_bytes, self._event)

    def _event(self, event: LogEvent) -> None:
        self.events.append(event)
        self._came.set()

    def count(self, kind: type[object]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def until(self, kind: type[object], count: int = 1) -> None:
        async with asyncio.timeout(60):
            while self.count(kind) < count:
                self._came.clear()
                await self._came.wait()


async def test_first_words_over_tls(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay") as home:
        log = Caps.make(secrets.token_bytes(128))
        alice, bob = Node(), Node()
        alice.logs.create(log, home)
        alice.logs.follow(log, home, 0)
        await alice.until(CaughtUp)
        for i in range(100):
            bob.logs.append(
                log.only("append"), home, secrets.token_bytes(16), b"%d" % i * 500, 3600
            )
        await bob.until(Appended, 100)
        await alice.until(Received, 100)
        bodies = [e.body for e in alice.events if isinstance(e, Received)]
        assert bodies == [b"%d" % i * 500 for i in range(100)]
        await alice.logs.stop()
        await bob.logs.stop()


async def test_the_same_relay_after_a_restart(tmp_path: Path) -> None:
    node = Node()
    log = Caps.make(secrets.token_bytes(128))
    async with relay(tmp_path / "relay") as home:
        node.logs.create(log, home)
        node.logs.append(log, home, secrets.token_bytes(16), b"kept", 3600)
        await node.until(Appended)
    await node.until(Down)
    async with relay(tmp_path / "relay", port=home.port) as again:
        assert again == home
        node.logs.follow(log, home, 0)
        node.logs.retry()
        await node.until(Received)
        await node.until(Up, 2)
        await node.logs.stop()


SITE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("about", "is_open"),
    [
        ({}, True),
        ({"udp": False}, False),
        ({"decoy": decoy_of(SITE)}, False),  # that server would not answer over UDP
        ({"decoy": decoy_of(SITE), "udp": True}, True),
    ],
)
async def test_udp_is_open_unless_it_is_a_mark(
    tmp_path: Path, about: dict[str, Any], is_open: bool
) -> None:
    async with relay(tmp_path / "relay", **about) as home:
        raw = Raw()
        if is_open:
            (await quic.connect(home, raw)).close()
            await raw.closed.wait()
        else:
            with pytest.raises(Unreachable) as caught:
                await quic.connect(home, raw)
            assert caught.value.kind == "refused"


class Raw:
    """Hears a channel and says nothing."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed = asyncio.Event()

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def on_live(self, frame: bytes) -> None: ...

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None:
        self.closed.set()


async def test_another_pin_is_not_spoken_to(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay") as home:
        node = Node()
        node.logs.open(replace(home, pin=b"\1" * 32))
        await node.until(Down)
        assert node.count(Up) == 0
        await node.logs.stop()


async def test_a_malformed_frame_ends_that_connection_alone(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay") as home:
        node = Node()
        node.logs.open(home)
        await node.until(Up)

        raw = Raw()
        channel = await websocket.connect(home, raw)
        channel.send(b"\xc1 nonsense")
        async with asyncio.timeout(60):
            await raw.closed.wait()
        bye = wire.decode_relay(raw.frames[-1])
        assert isinstance(bye, wire.Bye) and bye.code == "malformed"
        node.logs.create(Caps.make(secrets.token_bytes(128)), home)
        await node.until(Created)
        assert node.count(Down) == 0
        await node.logs.stop()


async def test_an_address_has_only_so_many_connections(tmp_path: Path) -> None:
    limits = RelayLimits(connections_per_address=1)
    async with relay(tmp_path / "relay", limits=limits) as home:
        first, second = Node(), Node()
        first.logs.open(home)
        await first.until(Up)
        second.logs.open(home)
        await second.until(Down)
        down = next(e for e in second.events if isinstance(e, Down))
        assert "connections it may have" in down.why
        await first.logs.stop()
        second.logs.retry()
        await second.until(Up, second.count(Up) + 1)
        await second.logs.stop()


async def test_two_relays_do_not_share_a_directory(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay"):
        with pytest.raises(RelayError, match="another relay is using"):
            async with relay(tmp_path / "relay"):
                pass


async def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    async with relay(tmp_path / "one") as home:
        with pytest.raises(RelayError, match="another program uses it"):
            async with relay(tmp_path / "two", port=home.port):
                pass


async def test_a_certificate_that_was_renewed_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "RELOAD_SECONDS", 0.05)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        certificate.load_or_make(tmp_path / name, "relay.example", now_ms())
    cert, key = tmp_path / "old" / "tls.crt", tmp_path / "old" / "tls.key"
    stop = asyncio.Event()
    said: asyncio.Queue[str] = asyncio.Queue()
    say = said.put_nowait
    task = asyncio.create_task(
        run(tmp_path / "r", ("127.0.0.1", 0), cert=cert, key=key, say=say, stop=stop)
    )
    home = Home.parse(await said.get())

    async def shown() -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, (home.host, home.port))

    assert await shown() == cert.read_text()
    cert.write_text("damaged")
    await asyncio.sleep(0.2)  # what was shown before still is
    assert (await shown()).startswith("-----BEGIN")
    for name in ("tls.key", "tls.crt"):
        (tmp_path / "new" / name).replace(tmp_path / "old" / name)
    async with asyncio.timeout(60):
        while await shown() != cert.read_text():
            await asyncio.sleep(0.05)
    node = Node()  # and nodes come by it, though it has another key
    node.logs.open(home)
    await node.until(Up)
    await node.logs.stop()
    stop.set()
    await task


def test_secrets_are_kept_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "relay"
    first, second = Secrets(data), Secrets(data)
    assert first.pin == second.pin and first.paths == second.paths
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for name in ("relay.key", "paths"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    (data / "relay.key").write_bytes(b"short")
    with pytest.raises(RelayError, match="damaged"):
        Secrets(data)
