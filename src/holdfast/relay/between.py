"""What the processes of a relay do for each other beside keeping logs.

UDP comes to the first process alone, so it lends the datagrams of a connection there to a session
elsewhere; a session of small exchanges has its process, whichever its next connection comes to;
what operators and authorities see is the same everywhere.
Source: spec/log.md, "Datagrams"; spec/paths.md, "Small exchanges".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from holdfast.drive.http import Response
from holdfast.paths.base import Link
from holdfast.relay.certificate import Certificate, Shown
from holdfast.relay.mesh import Mesh, Reply
from holdfast.relay.watching import Number

if TYPE_CHECKING:
    from holdfast.relay.front import Front
    from holdfast.relay.hub import Hub
    from holdfast.relay.session import Connection
    from holdfast.relay.small import Small

UDP: Final = 0
"""The process to which datagrams come."""
NUMBERS_SECONDS: Final = 5.0


class Lending:
    """Between a session in one process and a connection with datagrams in the first."""

    def __init__(self, hub: Hub, mesh: Mesh) -> None:
        self._hub, self._mesh = hub, mesh
        self._far: dict[bytes, _FarSession] = {}
        self._lent: dict[bytes, Connection] = {}
        for what in ("offered", "over", "lend", "lent", "returned", "datagram", "doubted"):
            mesh.serve(what, getattr(self, f"_on_{what}"))
        if mesh.number != UDP:
            hub.offered = lambda token: mesh.tell(UDP, "offered", token)
            hub.withdrawn = lambda token: mesh.tell(UDP, "over", token)
        mesh.left.append(self._left)

    # In the first process.

    def _on_offered(self, other: int, reply: Reply, token: bytes) -> None:
        self._far[token] = session = _FarSession(self, other, token)
        self._hub.beside(session, token)

    def _on_over(self, other: int, reply: Reply, token: bytes) -> None:
        session = self._far.pop(token, None)
        if session is not None:
            self._hub.left_beside(session)
            if session.lender is not None:
                session.lender.alone()

    def _on_lend(self, other: int, reply: Reply, token: bytes, frame: bytes) -> None:
        session = self._far.get(token)
        if session is None or session.lender is None:
            return
        channel = session.lender.channel
        link = channel.link
        if link is not None:
            channel.send_live(frame)
        if link is None or not link.answers:
            self._mesh.tell(other, "doubted", token)

    def tell(self, session: _FarSession, what: str, *values: Any) -> None:
        """The process where the session is."""
        self._mesh.tell(session.where, what, session.token, *values)

    def _left(self, other: int) -> None:
        for token in [t for t, session in self._far.items() if session.where == other]:
            self._on_over(other, _nobody, token)
        if other == UDP:
            for token in list(self._lent):
                self._on_returned(other, _nobody, token)

    # Where the session is.

    def _on_lent(self, other: int, reply: Reply, token: bytes) -> None:
        session = self._hub.waits_beside(token)
        if session is not None:
            self._lent[token] = session
            session.borrow(_FarLender(self, token))

    def _on_returned(self, other: int, reply: Reply, token: bytes) -> None:
        session = self._lent.pop(token, None)
        if session is not None:
            session.alone()

    def _on_datagram(self, other: int, reply: Reply, token: bytes, data: bytes) -> None:
        session = self._lent.get(token)
        if session is not None:
            session.on_live(data)

    def _on_doubted(self, other: int, reply: Reply, token: bytes) -> None:
        session = self._lent.get(token)
        if session is not None:
            session.doubt()

    def lend(self, token: bytes, frame: bytes) -> None:
        """Send a live frame by the datagrams of the first process's connection."""
        self._mesh.tell(UDP, "lend", token, frame)

    def over(self, token: bytes) -> None:
        """The session needs no datagrams any more."""
        if self._lent.pop(token, None) is not None:
            self._mesh.tell(UDP, "over", token)


class _FarSession:
    """In the first process: a session elsewhere, in the place of its `Connection`."""

    lends = False

    def __init__(self, lending: Lending, where: int, token: bytes) -> None:
        self._lending, self.where, self.token = lending, where, token
        self.lender: Connection | None = None
        self.channel: None = None

    def borrow(self, lender: Connection) -> None:
        self.lender = lender
        lender.lent(self)
        self._lending.tell(self, "lent")

    def on_live(self, data: bytes) -> None:
        self._lending.tell(self, "datagram", data)

    def lent(self, to: object) -> None:
        raise AssertionError("a session lends nothing")

    def end(self, code: str, text: str) -> None:
        self.alone()

    def alone(self) -> None:
        self.lender = None
        self._lending.tell(self, "returned")


class _FarLender:
    """Where the session is: the connection in the first process that lends its datagrams."""

    lends = True
    link = Link(0.0, 0.0, 0, 0)
    """What is known of it here: if it does badly, that process says so (`doubted`)."""

    def __init__(self, lending: Lending, token: bytes) -> None:
        self._lending, self._token = lending, token
        self.channel = self

    def lent(self, to: object) -> None:
        """The node was told already."""

    def on_live(self, data: bytes) -> None:
        raise AssertionError("it is heard where it is")

    def send_live(self, frame: bytes) -> None:
        self._lending.lend(self._token, frame)

    def end(self, code: str, text: str) -> None:
        self._lending.over(self._token)

    def alone(self) -> None:
        self._lending.over(self._token)


class Exchanges:
    """Small exchanges, each in the process of its session."""

    def __init__(self, small: Small, mesh: Mesh) -> None:
        self._small, self._mesh = small, mesh
        self._tasks: set[asyncio.Task[None]] = set()
        small.elsewhere = self._elsewhere
        mesh.serve("exchange", self._on_exchange)

    def _elsewhere(
        self, session: bytes, body: bytes, peer: str, tls_key_hash: bytes, path: bytes
    ) -> Awaitable[Response | None] | None:
        # Nodes choose these at random, and who does not gains nothing.
        owner = int.from_bytes(session[:8], "big") % self._mesh.count
        if owner == self._mesh.number:
            return None
        future: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

        def answered(found: bytes | None) -> None:
            if not future.done():
                future.set_result(None if found is None else self._small.told(found))

        values = (body, peer, tls_key_hash, path)
        self._mesh.ask(owner, "exchange", values, answered, lambda: answered(None))
        return future

    def _on_exchange(self, other: int, reply: Reply, *asked: Any) -> None:
        async def answer() -> None:
            found = await self._small.answer(*asked)
            reply(None if found is None else found.body)

        task = asyncio.get_running_loop().create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Certificates:
    """What the first process gets from an authority, shown by all."""

    def __init__(self, front: Front, mesh: Mesh, read: Callable[[], Certificate]) -> None:
        self._front, self._mesh = front, mesh
        mesh.serve("certificate", lambda *_: front.use(read()))
        mesh.serve("challenge", self._on_challenge)

    def use(self, found: Certificate) -> None:
        """It is on the disk, where the others read it."""
        self._front.use(found)
        for other in self._mesh.others:
            self._mesh.tell(other, "certificate")

    def challenge(self, shown: Shown | None) -> None:
        """See `Front.challenge`."""
        self._front.challenge(shown)
        for other in self._mesh.others:
            self._mesh.tell(other, "challenge", shown and shown.dump())

    def _on_challenge(self, other: int, reply: Reply, dumped: tuple[bytes, bytes] | None) -> None:
        self._front.challenge(None if dumped is None else Shown.load(*dumped))


class Numbers:
    """What an operator watches, of all processes together."""

    def __init__(self, mesh: Mesh, own: Callable[[], Sequence[Number]]) -> None:
        self._mesh, self._own = mesh, own
        mesh.serve("numbers", lambda _, reply: reply([one.value for one in own()]))

    async def gathered(self) -> list[Number]:
        """Of those that answer in time."""
        loop = asyncio.get_running_loop()
        others = self._mesh.others
        futures: list[asyncio.Future[list[float] | None]] = []
        for other in others:
            future: asyncio.Future[list[float] | None] = loop.create_future()

            def answered(
                values: list[float] | None = None,
                future: asyncio.Future[list[float] | None] = future,
            ) -> None:
                if not future.done():
                    future.set_result(values)

            self._mesh.ask(other, "numbers", (), answered, answered)
            loop.call_later(NUMBERS_SECONDS, answered)
            futures.append(future)
        found = [values for values in [await one for one in futures] if values is not None]
        own = self._own()
        return [one.joined([values[at] for values in found]) for at, one in enumerate(own)]


def _nobody(*_: Any) -> None:
    """Asked for no reply."""
