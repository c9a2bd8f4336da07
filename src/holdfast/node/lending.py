"""Datagrams beside a connection that has none: a second one, over UDP, lends it its own.

Whatever becomes of UDP, the session and its stream stay; live frames go by the stream again as soon
as datagrams are not answered. Source: spec/log.md, "Datagrams".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.core.ladder import Ladder
from holdfast.core.seen import QUIC, STREAMS
from holdfast.node.watched import Watched
from holdfast.paths import websocket
from holdfast.paths.base import Attempt, Channel, Handler, Link, Unreachable

AGAIN_SECONDS: Final = 1.0
"""Between two looks whether UDP has rested enough to be tried again."""
ANSWER_SECONDS: Final = 5.0
_DONE: Final = wire.encode(wire.Done(0, "beside"))

Connect = Callable[[Home, Handler, Attempt], Awaitable[Channel]]


class Lender:
    """One connection that lends, as long as both stand."""

    def __init__(self, borrower: Watched) -> None:
        self._borrower = borrower
        self._channel: Channel | None = None
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when it is, with the reason."""

    async def open(self, connect: Connect, home: Home, attempt: Attempt, token: bytes) -> None:
        """Connect and offer; `token` is random, 16 bytes. Raises `Unreachable`."""
        self._channel = await connect(home, self, attempt)
        offer = wire.encode(wire.Beside(token))
        self._channel.send(offer)
        self._borrower.send(offer)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._accepted
        except TimeoutError:
            self.close()
            raise Unreachable("timeout", f"{home.label} did not take the datagrams") from None

    def close(self) -> None:
        """It is not needed any more."""
        if self._channel is not None:
            self._channel.close()

    @property
    def link(self) -> Link | None:
        """How its datagrams fare; None: there are none."""
        taken = self._accepted.done() and not self.over.done()
        return self._channel.link if taken and self._channel is not None else None

    def send_live(self, frame: bytes) -> None:
        """As a datagram."""
        if self._channel is not None:
            self._channel.send_live(frame)

    # A Handler.

    def on_frame(self, frame: bytes) -> None:
        """The relay has joined the two."""
        if frame == _DONE and not self._accepted.done():
            self._accepted.set_result(None)

    def on_live(self, frame: bytes) -> None:
        """A datagram for the session."""
        self._borrower.on_live(frame)

    def on_drained(self) -> None:
        """Nothing is held back."""

    def on_closed(self, reason: str) -> None:
        """It is over; the session is not."""
        if not self.over.done():
            self.over.set_result(reason)
        if not self._accepted.done():
            self._accepted.set_exception(Unreachable("closed", reason))
            self._accepted.exception()  # nobody may be waiting


async def lend(
    borrower: Watched,
    home: Home,
    connect: Connect,
    ladder: Ladder,
    clock: Callable[[], int],
    entropy: Callable[[int], bytes],
) -> None:
    """Have datagrams lent to a connection as long as it stands, whenever UDP gets through."""
    if borrower.path not in STREAMS:
        return
    while not borrower.over:
        if not ladder.rests(home.label, QUIC, clock()):
            await _once(borrower, home, connect, ladder, clock, entropy(16))
        await asyncio.sleep(AGAIN_SECONDS)


async def _once(
    borrower: Watched,
    home: Home,
    connect: Connect,
    ladder: Ladder,
    clock: Callable[[], int],
    token: bytes,
) -> None:
    lender, attempt = Lender(borrower), Attempt()
    try:
        await lender.open(connect, home, attempt, token)
    except Unreachable as error:
        ladder.failed(home.label, QUIC, error.kind, clock())
        return
    began = clock()
    ladder.worked(home.label, QUIC, began, second=True)
    borrower.lender = lender
    try:
        ends: set[asyncio.Future[Any]] = {lender.over, borrower.gone}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        borrower.lender = None
        lender.close()
        stalled = await lender.over == websocket.STALLED
        ladder.ended(home.label, QUIC, stalled, 0, clock() - began, clock())
