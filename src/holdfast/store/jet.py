"""JetStream of a NATS cluster as the cluster store needs it: requests in the order in which they
were made, acknowledgements by callback, batches of records without a consumer.

Requests: JetStream's API by JSON over core NATS; batched direct reads are ADR-31 of
nats-architecture-and-design, which nats-py has no call for.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

PATIENCE: Final = 5.0
"""Seconds after which a request that was not answered has failed; nobody knows whether it was
carried out."""
SUBSCRIPTION_BYTES: Final = 64 * 1024 * 1024

# JetStream's own codes.
NOT_FOUND: Final = 10_037
WRONG_LAST: Final = frozenset({10_071, 10_164})
"""A write that named what must be the last record of its subject, which it was not, or another
one is on its way."""
NO_STREAM: Final = 10_059
SUBJECT_FULL: Final = "maximum messages per subject exceeded"
"""Its code is shared with a stream that has no room left."""


class Unanswered(Exception):
    """The cluster cannot carry this out now: no answer, or no majority."""


class Failed(Exception):
    """The cluster refused, with a code of its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    """What a write is answered with."""

    seq: int = 0
    error: _Error | None = None


_ACK: Final = msgspec.json.Decoder(_Ack)

Answered = Callable[[int, Exception | None], None]
"""A write's sequence number, or what went wrong: `Unanswered` or `Failed`."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream. `at` is when it was stored, as the server writes it."""

    seq: int
    subject: str
    body: bytes
    at: str


class Jet:
    """One connection to a cluster. `lost` is called when something may have been missed: the
    connection broke and is back, or a subscription could not keep up."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._client = Client()
        self._lost = lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[float, Answered]] = {}
        self._todo: deque[Callable[[], Awaitable[object]]] = deque()
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._inbox = ""

    @property
    def connected(self) -> bool:
        """Whether there is a server now."""
        return bool(self._client.is_connected)

    async def open(self, servers: list[str], **options: Any) -> None:
        """Connect. Raises what `nats.connect` does."""

        async def error(trouble: Exception) -> None:
            if isinstance(trouble, nats.errors.SlowConsumerError):
                self._lost()

        async def back() -> None:
            self._lost()

        await self._client.connect(
            servers,
            error_cb=error,
            reconnected_cb=back,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            pending_size=64 * 1024 * 1024,
            ping_interval=10,
            skip_subject_validation=True,
            **options,
        )
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(
            f"{self._inbox}.*",
            cb=self._acknowledged,
            pending_msgs_limit=0,
            pending_bytes_limit=0,
        )
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._give_up())]

    async def close(self) -> None:
        """Let go of the connection; what is unanswered stays so."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.close(), 5)

    # In the order of the calls.

    def put(self, subject: str, body: bytes, headers: dict[str, str], done: Answered) -> None:
        """Write a message, and be told its sequence number once a majority has it."""
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        self._waiting[number] = (loop.time() + PATIENCE, done)
        reply = f"{self._inbox}.{number}"
        self._do(lambda: self._client.publish(subject, body, reply, headers))

    def tell(self, subject: str, body: bytes) -> None:
        """Pass a message to whoever listens now."""
        self._do(lambda: self._client.publish(subject, body))

    def listen(self, subject: str, came: Callable[[Msg], None]) -> Listening:
        """Be told of what is published there, from before whatever is asked after this call."""
        listening = Listening()

        async def callback(message: Msg) -> None:
            if not listening.ended:
                came(message)

        async def begin() -> None:
            if not listening.ended:
                listening.subscription = await self._client.subscribe(
                    subject, cb=callback, pending_bytes_limit=SUBSCRIPTION_BYTES
                )

        self._do(begin)
        return listening

    def unlisten(self, listening: Listening) -> None:
        """Be told no more."""
        listening.ended = True

        async def end() -> None:
            if listening.subscription is not None:
                await listening.subscription.unsubscribe()

        self._do(end)

    def _do(self, job: Callable[[], Awaitable[object]]) -> None:
        self._todo.append(job)
        self._more.set()

    async def _pump(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._todo:
                job = self._todo.popleft()
                with contextlib.suppress(nats.errors.Error):  # then it is not answered
                    await job()

    async def _acknowledged(self, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        entry = self._waiting.pop(number, None)
        if entry is None:
            return
        try:
            ack = _ACK.decode(message.data) if message.data else _Ack()
        except msgspec.MsgspecError:
            ack = _Ack()
        if ack.error is not None:
            entry[1](0, _trouble(ack.error))
        elif not ack.seq:  # nobody has the stream now
            entry[1](0, Unanswered("no server takes it now"))
        else:
            entry[1](ack.seq, None)

    async def _give_up(self) -> None:
        while True:
            await asyncio.sleep(PATIENCE / 10)
            now = asyncio.get_running_loop().time()
            late = []
            for number, (until, done) in self._waiting.items():
                if until > now:
                    break
                late.append((number, done))
            for number, done in late:
                del self._waiting[number]
                done(0, Unanswered("the cluster did not answer in time"))

    # Asked and awaited.

    async def settle(self) -> None:
        """Everything that was called for before is on its way."""
        done = asyncio.get_running_loop().create_future()

        async def mark() -> None:
            if not done.done():
                done.set_result(None)

        self._do(mark)
        await done

    async def ask(self, subject: str, body: object) -> dict[str, Any]:
        """A request to JetStream's API. Raises `Unanswered`, `Failed`."""
        try:
            answer = await self._client.request(
                f"$JS.API.{subject}", json.dumps(body).encode(), timeout=PATIENCE
            )
            found = msgspec.json.decode(answer.data, type=dict[str, Any])
        except (nats.errors.Error, msgspec.MsgspecError, TimeoutError) as error:
            raise Unanswered(str(error)) from error
        if "error" in found:
            raise _trouble(msgspec.convert(found["error"], _Error))
        return found

    async def get(self, stream: str, **which: object) -> Stored | None:
        """One message, from the stream's leader: so whatever was acknowledged is found.
        Raises `Unanswered`, `Failed`."""
        try:
            found = (await self.ask(f"STREAM.MSG.GET.{stream}", which))["message"]
        except Failed as error:
            if error.code == NOT_FOUND:
                return None
            raise
        body = base64.b64decode(found.get("data", ""))
        return Stored(found["seq"], found["subject"], body, found["time"])

    async def batch(self, stream: str, subject: str, after: int, size: int) -> list[Stored]:
        """Messages of a subject behind a sequence number, in order, at least one and at most
        about `size` bytes if there are any; from any replica, which may not have the newest.
        Raises `Unanswered`."""
        request = {"seq": after + 1, "next_by_subj": subject, "batch": 1_000, "max_bytes": size}
        inbox = self._client.new_inbox()
        found: list[Stored] = []
        try:
            replies = await self._client.subscribe(inbox)
            try:
                await self._client.publish(
                    f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), inbox
                )
                while True:
                    message = await replies.next_msg(PATIENCE)
                    headers = message.headers or {}
                    if status := headers.get("Status"):
                        if status in ("204", "404"):
                            return found
                        raise Unanswered(f"a read was refused ({status})")
                    found.append(
                        Stored(
                            int(headers["Nats-Sequence"]),
                            headers["Nats-Subject"],
                            message.data,
                            headers["Nats-Time-Stamp"],
                        )
                    )
            finally:
                await replies.unsubscribe()
        except (nats.errors.Error, TimeoutError) as error:
            raise Unanswered(str(error)) from error


class Listening:
    """A subscription, perhaps not begun yet."""

    def __init__(self) -> None:
        self.subscription: Subscription | None = None
        self.ended = False


def _trouble(error: _Error) -> Exception:
    # 503 without a code of its own, and 10008: the cluster has no leader for it now.
    if error.err_code in (0, 10_008, 10_009, 10_074) and error.code in (0, 503):
        return Unanswered(error.description)
    return Failed(error.err_code, error.description)
