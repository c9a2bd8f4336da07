"""The TLS layer: connections within connections, and packets saved."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from holdfast.paths import tls
from holdfast.relay import certificate


class Wire(asyncio.Transport):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def take(self) -> bytes:
        data, self.writes = b"".join(self.writes), []
        return data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        pass


class Heard(asyncio.Protocol):
    """Keeps what came."""

    def __init__(self) -> None:
        self.data = b""
        self.transport: tls.TlsTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, tls.TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data


class Small(asyncio.BufferedProtocol):
    """Takes a little at a time, as picows does, and hands it on."""

    def __init__(self, then: Any) -> None:
        self._buffer = bytearray(100)
        self._then = then

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._then(bytes(self._buffer[:nbytes]))


class Pair:
    """A client and a server, joined by hand."""

    def __init__(self, context: SSL.Context, inner: asyncio.BaseProtocol, *, held: bool = False):
        self.up, self.down = Wire(), Wire()
        self.served = Heard()
        self.client = tls.TlsLayer(
            tls.client_context(classic=True), inner, failed=pytest.fail, held=held
        )
        self.server = tls.TlsLayer(context, self.served)
        self.server.connection_made(self.down)
        self.client.connection_made(self.up)

    def shake(self) -> None:
        for _ in range(3):
            self.server.data_received(self.up.take())
            self.client.data_received(self.down.take())


@pytest.fixture
def context(tmp_path: Path) -> SSL.Context:
    certificate.load_or_make(tmp_path, "relay.example", 1_700_000_000_000)
    return tls.server_context(tmp_path / "tls.crt", tmp_path / "tls.key")


async def test_a_connection_within_another_leaves_what_that_one_has_read_alone(
    context: SSL.Context,
) -> None:
    heard = Heard()
    inside = Pair(context, heard)
    inside.shake()
    outside = Pair(context, Small(inside.client.data_received))
    outside.shake()
    sent = os.urandom(16_000), os.urandom(9_000)
    assert inside.served.transport is not None
    assert outside.served.transport is not None
    sealed = []
    for piece in sent:
        inside.served.transport.write(piece)
        await asyncio.sleep(0.01)
        sealed.append(inside.down.take())
    # Most of a record comes first; its end and what follows come together.
    for part in (sealed[0][:15_000], sealed[0][15_000:] + sealed[1]):
        outside.served.transport.write(part)
        await asyncio.sleep(0.01)
        outside.client.data_received(outside.down.take())
    assert heard.data == b"".join(sent)


@pytest.mark.parametrize("held", [False, True])
async def test_the_end_of_a_held_handshake_leaves_with_the_first_words(
    context: SSL.Context, held: bool
) -> None:
    heard = Heard()
    pair = Pair(context, heard, held=held)
    pair.server.data_received(pair.up.take())
    pair.client.data_received(pair.down.take())
    assert heard.transport is not None
    assert bool(pair.up.writes) is not held
    heard.transport.write(b"first words")
    await asyncio.sleep(0.01)
    assert len(pair.up.writes) == (1 if held else 2)
    pair.server.data_received(pair.up.take())
    await asyncio.sleep(0.01)
    assert pair.served.data == b"first words"
