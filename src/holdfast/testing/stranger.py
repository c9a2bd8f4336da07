"""A stranger who asks a port over UDP what it is, by HTTP/3 that is right or wrong."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events

from holdfast.paths import h3

Head = list[tuple[bytes, bytes]]


@dataclass
class Answer:
    """What came to one request."""

    headers: Head = field(default_factory=list)
    body: bytes = b""
    reset: bool = False


class Stranger(h3.Flow, asyncio.DatagramProtocol):
    """A connection; use as an async context."""

    def __init__(self, port: int) -> None:
        config = h3.configuration(is_client=True)
        config.server_name, config.verify_mode = "localhost", ssl.CERT_NONE
        super().__init__(h3.Quic(configuration=config), self._emit)
        self._address = ("127.0.0.1", port)
        self._ready = asyncio.Event()
        self._answers: dict[int, tuple[Answer, asyncio.Event]] = {}
        self.closed = asyncio.Event()
        self.code = 0
        """The other side's reason to end the connection."""

    def _emit(self, data: bytes, address: Any) -> None:
        self._transport.sendto(data)

    async def __aenter__(self) -> Self:
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: self, remote_addr=self._address
        )
        self.quic.connect(self._address, self._loop.time())
        self.soon()
        try:
            async with asyncio.timeout(30):
                await self._ready.wait()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()
        self._transport.close()

    def begin(self) -> int:
        """The number of a stream for a request."""
        stream = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(stream, b"")
        self._answers[stream] = (Answer(), asyncio.Event())
        return stream

    def say(self, stream: int, data: bytes, end: bool = False) -> None:
        """Any bytes."""
        self.quic.send_stream_data(stream, data, end)
        self.soon()

    def ask(self, headers: Head, body: bytes = b"", end: bool = True) -> int:
        """A request; its stream."""
        stream = self.begin()
        assert isinstance(self.http, H3Connection)
        self.http.send_headers(stream, headers, end_stream=end and not body)
        if body:
            self.http.send_data(stream, body, end_stream=end)
        self.soon()
        return stream

    async def answer(self, stream: int) -> Answer:
        """What came, once it is whole or will not be."""
        found, whole = self._answers[stream]
        async with asyncio.timeout(20):
            await whole.wait()
        return found

    async def get(self, headers: Head, body: bytes = b"") -> Answer:
        """A request and its answer."""
        return await self.answer(self.ask(headers, body))

    # From the flow.

    def shook_hands(self) -> None:
        """The handshake is done."""
        assert self.http is not None
        # aioquic takes an answer to HEAD for one that lost its body.
        self.http._check_content_length = lambda stream: None  # type: ignore[method-assign]
        self._ready.set()

    def on_event(self, event: events.QuicEvent) -> None:
        """A reset ends an answer."""
        if isinstance(event, events.StreamReset) and event.stream_id in self._answers:
            self._answers[event.stream_id][0].reset = True
            self._answers[event.stream_id][1].set()
        super().on_event(event)

    def on_http(self, event: H3Event) -> None:
        """A part of an answer."""
        if not isinstance(event, (HeadersReceived, DataReceived)):
            return
        answer, whole = self._answers[event.stream_id]
        if isinstance(event, HeadersReceived):
            answer.headers += event.headers
        else:
            answer.body += event.data
        if event.stream_ended:
            whole.set()

    def on_over(self, reason: str) -> None:
        """Nothing more comes."""
        self.code = self.quic.code
        self.closed.set()
        self._ready.set()
        for _, whole in self._answers.values():
            whole.set()

    # From the socket.

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """From the port."""
        if not self.ended:
            self.received(data, self._address)

    def error_received(self, exc: Exception) -> None:
        """Seen by the silence that follows."""
