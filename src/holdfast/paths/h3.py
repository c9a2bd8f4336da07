"""HTTP/3 on a QUIC connection, driven by an event loop: what both ends of the path `quic` share.

aioquic has both protocols without any I/O; this gives them datagrams and the time, and makes of one
request, an extended CONNECT, a channel: frames behind their lengths in its stream, live ones in
datagrams beside it. Source: RFC 9000, 9114, 9220, 9221, 9297; spec/paths.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from aioquic.h3.connection import ErrorCode, H3Connection, Setting
from aioquic.h3.events import DatagramReceived, DataReceived, H3Event, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.congestion.base import register_congestion_control
from aioquic.quic.congestion.cubic import CubicCongestionControl
from aioquic.quic.connection import NetworkAddress, QuicConnection
from aioquic.quic.packet_builder import QuicSentPacket
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from holdfast.core import wire
from holdfast.paths.base import Handler, Link
from holdfast.paths.exchange import BadExchange, Incoming

ALPN: Final = "h3"
MAX_DATAGRAM: Final = 1_200
"""Bytes of UDP, the least that every path carries (RFC 9000 section 14)."""
DATAGRAM_FRAME: Final = 65_536
"""What is said to be taken at most, as browsers do."""
HIGH_WATER: Final = 256 * 1024
LOW_WATER: Final = 64 * 1024
MAX_HELD: Final = 64 * 1024
"""Bytes that HTTP/3 keeps of one connection until something of them is whole."""
MAX_LATE: Final = 8
"""Datagrams that wait for the network; older ones are thrown away."""
GOODBYE_SECONDS: Final = 1.0
"""For what was sent before the end to arrive, so many times if it goes on arriving."""
GOODBYES: Final = 20
CUT: Final = "the connection was cut"
CLOSED: Final = "the other side closed the connection"

for _name in ("quic", "http3"):  # they would write addresses down
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class _Counting(CubicCongestionControl):
    """CUBIC, counting."""

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self.sent = self.lost = 0

    def on_packet_sent(self, *, packet: QuicSentPacket) -> None:
        self.sent += 1
        super().on_packet_sent(packet=packet)

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        packets = list(packets)
        self.lost += len(packets)
        super().on_packets_lost(now=now, packets=packets)


register_congestion_control("counting", _Counting)


def configuration(*, is_client: bool) -> QuicConfiguration:
    """What both ends have in common."""
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[ALPN],
        congestion_control_algorithm="counting",
        max_datagram_frame_size=DATAGRAM_FRAME,
        max_datagram_size=MAX_DATAGRAM,
    )


class Quic(QuicConnection):
    """aioquic's connection, and what it knows and has no word for."""

    @property
    def over(self) -> bool:
        """Whether either side has ended it."""
        return self._close_event is not None

    @property
    def code(self) -> int:
        """With which error it was ended."""
        return -1 if self._close_event is None else self._close_event.error_code

    @property
    def unsent(self) -> int:
        """Bytes of all streams that wait for the network."""
        waiting = 0
        for stream in self._streams.values():
            sender = stream.sender
            if not sender.buffer_is_empty:
                waiting += sender._buffer_stop - sender.next_offset
        return waiting

    @property
    def unanswered(self) -> bool:
        """Whether the other side owes an acknowledgement."""
        return any(space.ack_eliciting_in_flight for space in self._loss.spaces)

    @property
    def key_hash(self) -> bytes:
        """SHA-256 of the TLS key that the other side proved to have (its SubjectPublicKeyInfo in
        DER); empty if it showed none."""
        certificate = self.tls._peer_certificate
        if certificate is None:
            return b""
        key = certificate.public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).digest()

    @property
    def takes_datagrams(self) -> bool:
        """Whether the other side does."""
        return bool(self._remote_max_datagram_frame_size)

    @property
    def rtt(self) -> float:
        """Seconds, smoothed; 0: not known yet."""
        return self._loss._rtt_smoothed

    @property
    def counted(self) -> tuple[int, int]:
        """Packets sent and lost."""
        control = self._loss._cc
        return (control.sent, control.lost) if isinstance(control, _Counting) else (0, 0)

    def drop_late_datagrams(self) -> None:
        """Of those that wait for the network, the oldest are worth the least."""
        while len(self._datagrams_pending) > MAX_LATE:
            self._datagrams_pending.popleft()


class _Http3(H3Connection):
    """aioquic's HTTP/3, with datagrams and without what its WebTransport adds."""

    def _get_local_settings(self) -> dict[int, int]:
        settings = {
            int(Setting.QPACK_MAX_TABLE_CAPACITY): self._max_table_capacity,
            int(Setting.QPACK_BLOCKED_STREAMS): self._blocked_streams,
            int(Setting.H3_DATAGRAM): 1,
        }
        if not self._is_client:
            settings[int(Setting.ENABLE_CONNECT_PROTOCOL)] = 1
        return settings

    @property
    def held(self) -> int:
        """Bytes that came and make nothing whole yet."""
        return sum(len(stream.buffer) for stream in self._stream.values())


class Flow:
    """One connection; `emit` sends a datagram.

    Whoever drives it calls `received`, and `soon` after anything that may have something to send.
    """

    def __init__(self, quic: Quic, emit: Callable[[bytes, NetworkAddress], None]) -> None:
        self.quic = quic
        self.emit = emit
        self.http: _Http3 | None = None
        """Once the handshake is done."""
        self.lines: dict[int, Line] = {}
        """By stream."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._flushing: asyncio.Handle | None = None
        self._full = self._finishing = False
        self._room = asyncio.Event()
        self._reason = ""
        self._silent_since = 0.0
        """When something was sent that nothing at all has answered; 0: nothing was."""
        self.heard = self._loop.time()
        self.came = 0
        """Bytes of all datagrams."""
        self.ended = False

    # For who owns it.

    def shook_hands(self) -> None:
        """The handshake is done."""

    def on_http(self, event: H3Event) -> None:
        """Something of HTTP came that is no line's."""

    def on_reset(self, stream: int) -> None:
        """The other side wants nothing more of this stream."""
        if (line := self.lines.get(stream)) is not None:
            line.end(CUT)

    def on_over(self, reason: str) -> None:
        """The connection is over; all its lines were told."""

    # In.

    def received(self, data: bytes, address: NetworkAddress) -> None:
        """A datagram came."""
        self.heard = self._loop.time()
        self._silent_since = 0.0
        self.came += len(data)
        self.quic.receive_datagram(data, address, self.heard)
        self._take_events()
        self.soon()

    def _take_events(self) -> None:
        while (event := self.quic.next_event()) is not None:
            self.on_event(event)
        if self.quic.over:
            self._over(CLOSED if self.quic.code == ErrorCode.H3_NO_ERROR else CUT)

    def on_event(self, event: events.QuicEvent) -> None:
        """Something happened on the connection."""
        if isinstance(event, events.HandshakeCompleted):
            self.http = _Http3(self.quic)
            self.shook_hands()
        if self.http is None:
            return
        if isinstance(event, (events.StreamReset, events.StopSendingReceived)):
            self.on_reset(event.stream_id)
        for found in self.http.handle_event(event):
            line = self.lines.get(getattr(found, "stream_id", -1))
            if line is None:
                self.on_http(found)
            else:
                line.on_http(found)
        if self.http.held > MAX_HELD:
            self.quic.close(ErrorCode.H3_EXCESSIVE_LOAD)

    # Out.

    def soon(self) -> None:
        """Send what there is at the end of this turn."""
        self._full = self._full or self.quic.unsent > HIGH_WATER
        if self._flushing is None and not self.ended:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        now = self._loop.time()
        for data, address in self.quic.datagrams_to_send(now):
            self.emit(data, address)
        self.quic.drop_late_datagrams()
        if not self._silent_since and self.quic.unanswered:
            self._silent_since = now
        self._set_timer()
        unsent = self.quic.unsent
        if self._finishing and not unsent and not self.quic.unanswered:
            self.close(self._reason)
        elif self._full and unsent <= LOW_WATER:
            self._full = False
            self._room.set()
            for line in list(self.lines.values()):
                line.drained()

    async def drained(self) -> None:
        """Wait until little is left unsent, if there is much."""
        if self._full and not self.ended:
            self._room.clear()
            await self._room.wait()

    def _set_timer(self) -> None:
        at = self.quic.get_timer()
        if self._timer is not None:
            if self._timer_at == at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None and not self.ended:
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self.quic.handle_timer(max(self._timer_at, self._loop.time()))
        self._take_events()
        self.soon()

    # The end.

    def finish(self, reason: str) -> None:
        """End it when what was sent has arrived, or soon."""
        self._finishing, self._reason = True, reason
        self.soon()
        idle = not self.quic.unsent and not self.quic.unanswered
        hopeless = self.silent > GOODBYE_SECONDS / 2
        self._loop.call_later(0 if idle or hopeless else GOODBYE_SECONDS, self._give_up, GOODBYES)

    def _give_up(self, chances: int) -> None:
        """While what is left goes on arriving, it may."""
        if self.ended:
            return
        hopeless = self.silent > GOODBYE_SECONDS / 2
        if self.quic.unsent and not hopeless and chances:
            self._loop.call_later(GOODBYE_SECONDS, self._give_up, chances - 1)
        else:
            self.close(self._reason)

    def close(self, reason: str = "", code: int = ErrorCode.H3_NO_ERROR) -> None:
        """End it at once, with what can be sent now."""
        if self.ended:
            return
        if self._flushing is not None:
            self._flushing.cancel()
            self._finishing = False
            self._flush()
        self.quic.close(code)
        self._over(reason or CUT)

    def _over(self, reason: str) -> None:
        if self.ended:
            return
        for line in list(self.lines.values()):
            line.end(reason)
        self.ended = True
        self._room.set()
        if self._flushing is not None:
            self._flushing.cancel()
        for data, address in self.quic.datagrams_to_send(self._loop.time()):
            self.emit(data, address)  # the goodbye
        if self._timer is not None:
            self._timer.cancel()
        self.on_over(reason)

    @property
    def silent(self) -> float:
        """Seconds since something was sent that nothing has answered; 0 if there is nothing."""
        return self._loop.time() - self._silent_since if self._silent_since else 0.0

    @property
    def link(self) -> Link:
        """How it fares."""
        sent, lost = self.quic.counted
        return Link(self.quic.rtt, self.silent, sent, lost)


class Line:
    """A request that has become a channel."""

    def __init__(self, flow: Flow, stream: int) -> None:
        self.handler: Handler | None = None
        self._flow, self._stream = flow, stream
        self._in = Incoming()
        self._reason = ""
        self._closing = self._told = False
        flow.lines[stream] = self

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if not self._closing and self._flow.http is not None:
            data = len(frame).to_bytes(4, "big") + frame
            self._flow.http.send_data(self._stream, data, end_stream=False)
            self._flow.soon()

    def send_live(self, frame: bytes) -> None:
        """As a datagram, if it fits."""
        if len(frame) > wire.MAX_LIVE or not self._flow.quic.takes_datagrams:
            self.send(frame)
        elif not self._closing and self._flow.http is not None:
            self._flow.http.send_datagram(self._stream, frame)
            self._flow.soon()

    def close(self, reason: str = "") -> None:
        """Close after what was sent."""
        if self._closing:
            return
        self._closing = True
        self._reason = self._reason or reason
        self._flow.finish(reason)

    @property
    def buffered(self) -> int:
        """Bytes that wait for the network."""
        return self._flow.quic.unsent

    @property
    def received(self) -> int:
        """Bytes that came, encrypted."""
        return self._flow.came

    @property
    def link(self) -> Link | None:
        """How its datagrams fare."""
        if self._closing or self._flow.ended or not self._flow.quic.takes_datagrams:
            return None
        return self._flow.link

    # From the flow.

    def got(self, frame: bytes) -> None:
        """One whole frame."""
        if self.handler is not None:
            self.handler.on_frame(frame)

    def on_http(self, event: H3Event) -> None:
        """Bytes of the stream, or a datagram."""
        if isinstance(event, DatagramReceived):
            if self.handler is not None and not self._closing:
                self.handler.on_live(event.data)
        elif isinstance(event, DataReceived):
            try:
                frames = self._in.feed(self._in.have, event.data)
            except BadExchange:
                self._flow.close("the other side broke the protocol")
                return
            for frame in frames:
                if not self._closing:
                    self.got(frame)
            if event.stream_ended:
                self.close(CLOSED)
        elif isinstance(event, HeadersReceived) and event.stream_ended:
            self.close(CLOSED)

    def drained(self) -> None:
        """Little is left unsent."""
        if self.handler is not None and not self._closing:
            self.handler.on_drained()

    def end(self, reason: str) -> None:
        """Over."""
        self._closing = True
        if not self._told:
            self._told = True
            self._flow.lines.pop(self._stream, None)
            if self.handler is not None:
                self.handler.on_closed(self._reason or reason)
