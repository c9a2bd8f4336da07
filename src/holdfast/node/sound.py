"""The sound of a call between this node and its interface, see spec/node-api.md.

One WebSocket: packets of the microphone in, packets to play out, each when the listener's
sound card asks for it. Where Codec2 is spoken the interface gives and takes samples.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Final, Protocol

from picows import WSCloseCode, WSTransport

from holdfast.core.call.jitter import Conceal, Packet, Pulled
from holdfast.core.call.rungs import CODEC2_FRAME, CODEC2_MS, CODINGS, UNIT_MS, Rung
from holdfast.node.thin import DECODE, ENCODE, Thin
from holdfast.paths.websocket import Socket

CONFIG: Final = b"\0"
MICROPHONE: Final = 1
WANTED: Final = 2
PLAY: Final = b"\3"
CONCEAL: Final = b"\4"
NOTHING: Final = b"\5"
RAW: Final = b"\6"
MOST_WANTED: Final = 16
THIN_RATE: Final = 8_000
THIN_BYTES: Final = THIN_RATE * CODEC2_MS // 1000 * 2
THIN_UNITS: Final = CODEC2_MS // UNIT_MS
FAREWELL_SECONDS: Final = 3.0
"""That a page has to close a connection that it is dismissed from."""


class Listener(Protocol):
    """Whose sound it is."""

    def microphone(self, number: int, packet: bytes) -> None:
        """A packet from the sound card, coded on the rung of this number."""

    def pull(self) -> Pulled:
        """What is to be played next."""

    def left(self, sound: SoundSession) -> None:
        """This interface is gone."""


class SoundSession(Socket):
    """One interface's sound."""

    largest = 1024

    def __init__(self, listener: Listener, rung: Rung, thin: Thin) -> None:
        super().__init__()
        self._listener = listener
        self._rung = rung
        self._thin = thin
        self._spoken = b""
        """Of a Codec2 packet that is being made."""
        self._ready: deque[bytes] = deque()
        """Decoded, to be sent when it is wanted."""
        self._owed = 0
        """Units wanted."""
        self._decoding = False
        self._dismissed = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say how to code."""
        super().on_ws_connected(transport)
        self.code(self._rung)

    def code(self, rung: Rung) -> None:
        """From now on so."""
        self._rung = rung
        how = {"rung": rung.number, "codec": "opus", "rate": rung.rate, "frame": rung.ms}
        how["bytes"] = rung.size
        if rung.codec == "codec2":
            how |= {"codec": "pcm", "rate": THIN_RATE, "frame": CODEC2_MS, "bytes": THIN_BYTES}
        self.send(CONFIG + json.dumps(how).encode())

    def send(self, frame: bytes) -> None:
        """Queue one message."""
        if not self._dismissed:
            super().send(frame)

    def dismiss(self, reason: str, within: float = FAREWELL_SECONDS) -> None:
        """End it, and leave the closing to the page, which may be talking: bytes that nobody
        reads would cut the connection before it has read why (RFC 1122, 4.2.2.13), and it
        would come back for the sound that it was to leave."""
        self._dismissed = True
        if self._transport is not None and not self._ended:
            self._transport.send_close(WSCloseCode.OK)
            asyncio.get_running_loop().call_later(within, self.close, reason)

    def got(self, message: bytes) -> None:
        """A packet, or a wish for some; anything else ends it."""
        if self._dismissed:
            return
        if len(message) > 2 and message[0] == MICROPHONE:
            self._say(message[1], message[2:])
        elif len(message) == 2 and message[0] == WANTED and 0 < message[1] <= MOST_WANTED:
            self._owed = min(MOST_WANTED, self._owed + message[1])
            self._serve()
        else:
            self.close("this is not what the sound of a call looks like")

    # From the microphone.

    def _say(self, number: int, packet: bytes) -> None:
        rung = CODINGS.get(number)
        if rung is None or rung.codec == "opus":
            self._listener.microphone(number, packet)
        elif len(packet) == THIN_BYTES:
            self._thin.ask(ENCODE, packet, lambda coded: self._coded(rung, coded))

    def _coded(self, rung: Rung, coded: bytes) -> None:
        if len(coded) != CODEC2_FRAME:
            return
        self._spoken += coded
        if len(self._spoken) >= rung.size:
            packet, self._spoken = self._spoken[: rung.size], b""
            self._listener.microphone(rung.number, packet)

    # To the loudspeaker.

    def _serve(self) -> None:
        """Answer what is wanted, in order."""
        while self._owed and not self._decoding:
            if self._ready:
                self._give(self._ready.popleft(), THIN_UNITS)
                continue
            pulled = self._listener.pull()
            if not isinstance(pulled, Packet):
                self._give(CONCEAL if isinstance(pulled, Conceal) else NOTHING + b"\1", 1)
                continue
            rung = CODINGS.get(pulled.kind)
            head = bytes((pulled.speed, pulled.units))
            if not pulled.data or rung is None:
                self._give(NOTHING + bytes((pulled.units,)), pulled.units)
            elif rung.codec == "opus":
                self._give(PLAY + head + pulled.data, pulled.units)
            else:
                self._decode(pulled)

    def _give(self, message: bytes, units: int) -> None:
        self._owed = max(0, self._owed - units)
        self.send(message)

    def _decode(self, packet: Packet) -> None:
        self._decoding = True
        head = RAW + bytes((packet.speed, THIN_UNITS))

        def decoded(pcm: bytes) -> None:
            self._decoding = False
            pieces = [pcm[at : at + THIN_BYTES] for at in range(0, len(pcm), THIN_BYTES)]
            self._ready.extend(head + piece for piece in pieces)
            if not pieces:
                self._give(NOTHING + bytes((packet.units,)), packet.units)
            self._serve()

        self._thin.ask(DECODE, packet.data, decoded)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The interface is gone."""
        super().on_ws_disconnected(transport)
        self._listener.left(self)
