"""What comes to a relay's UDP port, without a socket: for the targets beside this file."""

from __future__ import annotations

import asyncio
import datetime
import functools
import logging
import os
from collections.abc import Iterator
from typing import Any, cast

from aioquic.h3.connection import FrameType, encode_frame
from aioquic.quic import events
from cryptography.hazmat.primitives.asymmetric import ec
from pylsqpack import Encoder

from holdfast.core.reflect import Mirror
from holdfast.drive.http import Request, Response, plain
from holdfast.paths import h3
from holdfast.paths.base import Channel, Handler
from holdfast.paths.websocket import Accept
from holdfast.relay import certificate, quic
from holdfast.relay.certificate import Certificate

SECRET = "/secret"
ADDRESS = ("192.0.2.1", 4_433)


class Door:
    """A site of one page, and a program that echoes."""

    def __init__(self, shown: Certificate) -> None:
        self.certificate = shown

    def respond(self, request: Request) -> Response:
        assert len(request.body) <= 64 * 1024
        return plain(200, request.target[:50])

    def error(self, status: int) -> Response:
        return plain(status)

    def take(self, request: Request) -> None:
        return None

    def upgrade(self, request: Request, transport: Any, rest: bytes) -> None:
        return None

    def program(self, path: str) -> Accept | None:
        return self._begin if path == SECRET else None

    def reflect(self, data, address, now):
        return Mirror([bytes(16)]).answer(data, address, now, os.urandom)

    def _begin(self, channel: Channel, key: bytes, peer: str) -> Handler:
        return Echo(channel)


class Echo:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def on_frame(self, frame: bytes) -> None:
        self.channel.send(frame)

    def on_live(self, frame: bytes) -> None:
        self.channel.send_live(frame)

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None: ...


class Wire:
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...


@functools.cache
def shown() -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate.make(key, "localhost", datetime.datetime.now(datetime.UTC))
    return Certificate(None, certificate.key_hash(made), (made,), key)  # type: ignore[arg-type]


class Strict(logging.Handler):
    """Whatever is logged as an exception is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            raise record.exc_info[1]


quic._log.addHandler(Strict())
quic._log.propagate = False


async def _port(datagrams: list[bytes]) -> None:
    listener, wire = quic.Listener(cast("Any", Door(shown()))), Wire()
    listener.connection_made(wire)  # type: ignore[arg-type]
    came = 0
    for data in datagrams:
        listener.datagram_received(data, ADDRESS)
        await asyncio.sleep(0)
        came += len(data)
        assert sum(map(len, wire.sent)) <= 3 * came
        assert len(listener.visitors) <= len(datagrams)
    listener.close()
    assert not listener.visitors and not listener.by_id


async def _visit(steps: list[events.QuicEvent]) -> None:
    listener, wire = quic.Listener(cast("Any", Door(shown()))), Wire()
    listener.connection_made(wire)  # type: ignore[arg-type]
    engine = h3.Quic(configuration=listener.config, original_destination_connection_id=bytes(8))
    engine._remote_max_datagram_frame_size = 65_536
    for way in ("bidi", "uni"):
        setattr(engine, f"_remote_max_streams_{way}", 128)
    engine.datagrams_to_send = lambda now: []  # type: ignore[method-assign]
    visitor = quic.Visitor(listener, engine, "")
    visitor.soon = lambda: None  # type: ignore[method-assign]
    visitor.on_event(events.HandshakeCompleted("h3", False, False))
    for step in steps:
        if engine.over or visitor.ended:
            break
        if isinstance(step, (events.StreamDataReceived, events.StreamReset)):
            engine._get_or_create_stream(0, step.stream_id)
        visitor.on_event(step)
        await asyncio.sleep(0)
        assert visitor.http is not None and (visitor.http.held <= h3.MAX_HELD or engine.over)
    for task in list(visitor._answering.values()):
        task.cancel()
    await asyncio.sleep(0)
    listener._timer.cancel()


def port(data: bytes) -> None:
    """Datagrams of anybody, each behind two bytes of length; `+` stands for 1,200 bytes of pad."""
    found = []
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big") % 2_048
        found.append(data[2 : 2 + size].ljust(1_200 if size % 2 else 0, b"\0"))
        data = data[2 + size :]
    asyncio.run(_port(found[:8]))


def visit(data: bytes) -> None:
    """What somebody does who shook hands: a kind and a stream, a length, and bytes, again and
    again."""
    steps: list[events.QuicEvent] = []
    while len(data) >= 3 and len(steps) < 40:
        kind, stream = data[0] >> 4, data[0] & 15
        size = int.from_bytes(data[1:3], "big") % 4_096
        part, data = data[3 : 3 + size], data[3 + size :]
        if kind < 10 and stream % 2 == 0:
            steps.append(events.StreamDataReceived(part, kind == 9, stream))
        elif kind < 12:
            steps.append(events.DatagramFrameReceived(part))
        elif stream % 2 == 0:
            steps.append(events.StreamReset(0, stream))
    asyncio.run(_visit(steps))


def step(stream: int, part: bytes, kind: int = 0) -> bytes:
    """As `visit` reads it."""
    return bytes([kind << 4 | stream]) + len(part).to_bytes(2, "big") + part


def visits() -> Iterator[bytes]:
    """What is usual."""
    control = step(2, b"\0" + encode_frame(FrameType.SETTINGS, b"\x33\x01"))
    tables = step(6, b"\x02") + step(10, b"\x03")
    plain = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
    inside = [
        (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https"),
        (b":authority", b"a"), (b":path", SECRET.encode()), (b"sec-websocket-version", b"13"),
    ]  # fmt: skip
    for headers, last in ((plain, 9), (inside, 0)):
        _, block = Encoder().encode(0, headers)
        asked = step(0, encode_frame(FrameType.HEADERS, block), last)
        more = step(0, encode_frame(FrameType.DATA, b"\0\0\0\2hi")) + step(0, b"\0live", 11)
        yield control + tables + asked + more + step(0, b"", 13)


def first_words() -> bytes:
    """Of a handshake, as `port` reads it."""
    client = h3.Quic(configuration=h3.configuration(is_client=True))
    client.connect(ADDRESS, 0.0)
    ((data, _),) = client.datagrams_to_send(0.0)
    return len(data).to_bytes(2, "big") + data
