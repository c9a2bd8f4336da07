"""The middlebox in user space: a SOCKS5 proxy on loopback in which a censor sits.

    async with Box({("relay.test", 443): ("127.0.0.1", 8443)}) as box:
        ...                        # programs use socks5h://127.0.0.1:PORT, see `box.url`
        box.rules = [Dark()]

It sees streams and datagrams, not packets, and needs no rights; what depends on packets cannot be
played in it. It reaches the places it was given and nothing else, the same for TCP and UDP:
whatever a program asks for, nothing leaves this machine. Source: RFC 1928.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from holdfast.lab.associate import Association
from holdfast.lab.rules import SEGMENT, Act, Dark, Flow, Rule, hardest
from holdfast.lab.scenario import Staging, Turn
from holdfast.paths import hello

READ: Final = 16 * 1024
HELLO_SECONDS: Final = 0.25
"""First bytes that do not go on are held against the rules as they are."""
WINDOW: Final = 64 * 1024
UNDER_WAY: Final = 64
"""Pieces of one direction that are delayed; then its sender waits."""
Place = tuple[str, int]

_NOT_FOUND, _REFUSED, _DONE = 4, 5, 0
_CONNECT, _ASSOCIATE = 1, 3


class Box:
    """`places`: where names that programs use really are. `rules` may be changed at any time."""

    def __init__(self, places: Mapping[Place, Place]) -> None:
        self.places = dict(places)
        self.rules: list[Rule] = []
        self.flows: list[Flow] = []
        """All that were ever opened."""
        self._server: asyncio.Server | None = None
        self._turns: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Flow | None] = {}
        self._free: dict[tuple[int, bool], float] = {}
        """When the line of a rule that has a rate is free again."""

    @property
    def url(self) -> str:
        """For programs; names are resolved in here."""
        assert self._server is not None
        return f"socks5h://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        _narrow(listener)
        self._server = await asyncio.start_server(self._joined, sock=listener, limit=READ)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.calm()
        self.cut()
        await asyncio.gather(*self._running, return_exceptions=True)

    def begin(self, staging: Staging) -> None:
        """From now on all of it is so that can be played here, until `calm`."""
        self.calm()
        self.rules = list(staging.rules)
        if staging.turns:
            self._turns = asyncio.create_task(self._conduct(staging.turns))

    def calm(self) -> None:
        """Nothing is wrong any more."""
        self.rules = []
        if self._turns is not None:
            self._turns.cancel()
            self._turns = None

    async def _conduct(self, turns: Sequence[Turn]) -> None:
        """What happens to a device, as far as it shows here."""
        began, dark = time.monotonic(), Dark()
        for turn in turns:
            await asyncio.sleep(began + turn.at - time.monotonic())
            if turn.what in ("dark", "sleep"):
                self.rules.append(dark)
            elif turn.what in ("light", "wake") and dark in self.rules:
                self.rules.remove(dark)
            if turn.what != "dark":
                self.cut()

    def cut(self) -> None:
        """End every connection, as when a network is left for another."""
        for task in list(self._running):
            task.cancel()

    # One connection.

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = None
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError
            ):
                command, place = await _asked(reader, writer)
                if command == _CONNECT:
                    await self._serve(place, reader, writer)
                else:
                    await self._associate(reader, writer)
        finally:
            self._running.pop(task, None)
            writer.transport.abort()

    async def _associate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Datagrams, until the program closes this connection."""
        made = Association(self._real, lambda: self.rules, self._turn, self.flows.append)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: made, ("127.0.0.1", 0))
        try:
            host, port = transport.get_extra_info("sockname")
            writer.write(bytes((5, _DONE, 0, 1)) + socket.inet_aton(host) + struct.pack(">H", port))
            await writer.drain()
            while await reader.read(READ):
                pass
        finally:
            made.close()

    def _real(self, host: str, port: int) -> Place | None:
        """Where a place is, for those on this network; None: nowhere."""
        diverted = next((to for rule in self.rules if (to := rule.diverts(host))), host)
        if not all(rule.resolves(host) for rule in self.rules):
            return None
        return self.places.get((diverted, port))

    async def _serve(
        self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        flow = Flow(*place, time.monotonic())
        self.flows.append(flow)
        waits = [rule.lookup(flow.host, flow.opened) for rule in self.rules]
        await asyncio.sleep(max(waits, default=0))
        real = self._real(*place)
        if not all(rule.resolves(flow.host) for rule in self.rules):
            await _answer(writer, _NOT_FOUND)
            return
        act = hardest(rule.opens(flow, time.monotonic()) for rule in self.rules)
        if act is Act.RESET:
            await _answer(writer, _REFUSED)
            return
        await self._hold(act)
        try:
            if real is None:
                raise ConnectionRefusedError
            far = socket.socket()
            far.setblocking(False)
            _narrow(far)
            await asyncio.get_running_loop().sock_connect(far, real)
            far_reader, far_writer = await asyncio.open_connection(sock=far, limit=READ)
        except OSError:
            await _answer(writer, _NOT_FOUND if real is None else _REFUSED)
            return
        try:
            await _answer(writer, _DONE)
            first = await _first(reader, flow)
            now = time.monotonic()
            await self._hold(hardest(rule.begins(flow, now) for rule in self.rules))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(flow, reader, far_writer, first))
                both.create_task(self._pump(flow, far_reader, writer, None))
        except* ConnectionError:
            abort(writer)
            abort(far_writer)
        except* _Ended:
            pass
        finally:
            far_writer.transport.abort()

    async def _pump(
        self,
        flow: Flow,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        first: bytes | None,
    ) -> None:
        """One direction; that of the client has first bytes, which were read already."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._carry(under_way, writer))
            data = await reader.read(READ) if first is None else first
            while data:
                await self._pass(flow, data, under_way, sent=first is not None)
                data = await reader.read(READ)
            await under_way.put((0, b""))
        if first is None:
            raise _Ended

    async def _carry(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        """Deliver each piece when it is due."""
        while True:
            due, piece = await under_way.get()
            if not piece:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if writer.is_closing():
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()

    async def _pass(
        self,
        flow: Flow,
        data: bytes,
        under_way: asyncio.Queue[tuple[float, bytes]],
        *,
        sent: bool,
    ) -> None:
        for at in range(0, len(data), SEGMENT):
            piece = data[at : at + SEGMENT]
            flow.packets += 1
            if sent:
                flow.sent += len(piece)
                flow.walk(piece)
            else:
                flow.received += len(piece)
            now = time.monotonic()
            act = hardest(rule.passes(flow, len(piece), now) for rule in self.rules)
            await self._hold(act)
            # A slow line takes the pieces of all connections in turn, and keeps none.
            await asyncio.sleep(self._turn(flow, len(piece), now, sent) - now)
            now = time.monotonic()
            delay = max((rule.delay(flow, now) for rule in self.rules), default=0)
            await under_way.put((now + delay, piece))

    def _turn(self, flow: Flow, size: int, now: float, sent: bool) -> float:
        """When this piece has passed the lines of all rules that have a rate, one each way."""
        until = now
        for rule in self.rules:
            if bits := rule.rate(flow):
                line = id(rule), sent
                self._free[line] = max(now, self._free.get(line, 0)) + size * 8 / bits
                until = max(until, self._free[line])
        return until

    async def _hold(self, act: Act) -> None:
        if act is Act.RESET:
            raise ConnectionResetError
        if act is Act.DROP:
            await asyncio.get_running_loop().create_future()  # until the connection is cut


def _narrow(sock: socket.socket) -> None:
    """What waits for a slow line waits with its sender, as with a line of the usual packets, and
    not by megabytes within this machine."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)


class _Ended(Exception):
    """The far side has closed the connection."""


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, Place]:
    """The SOCKS5 greeting and request: what is wanted, and where. Raises ValueError for anything
    else."""
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    if version != 5:
        raise ValueError
    writer.write(b"\x05\x00")
    version, command, _, kind = await reader.readexactly(4)
    if version != 5 or command not in (_CONNECT, _ASSOCIATE) or kind not in (1, 3, 4):
        raise ValueError
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
    else:
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    return command, (host.lower(), port)


async def _answer(writer: asyncio.StreamWriter, code: int) -> None:
    writer.write(bytes((5, code, 0, 1)) + bytes(6))
    await writer.drain()


async def _first(reader: asyncio.StreamReader, flow: Flow) -> bytes:
    """What the client says first, as far as a censor needs it to know what this is."""
    data = await reader.read(READ)
    with contextlib.suppress(hello.NotHello, TimeoutError):
        async with asyncio.timeout(HELLO_SECONDS):
            while data and flow.hello is None:
                try:
                    flow.hello = hello.read(data)
                except hello.Incomplete:
                    data += await reader.read(READ)
    flow.first = data
    return data


def abort(writer: asyncio.StreamWriter) -> None:
    """Reset a connection."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it may be closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
