"""The sound of a call between this node and its interface, see spec/node-api.md.

One WebSocket: packets of the microphone in, packets to play out, each when the listener's
sound card asks for it.
"""

from __future__ import annotations

import json
from typing import Final, Protocol

from picows import WSTransport

from holdfast.core.call.frames import FRAME_MS, PACKET, RATE
from holdfast.core.call.jitter import Conceal, Packet, Pulled
from holdfast.paths.websocket import Socket

CONFIG: Final = b"\0"
MICROPHONE: Final = 1
WANTED: Final = 2
PLAY: Final = b"\3"
CONCEAL: Final = b"\4"
NOTHING: Final = b"\5"
MOST_WANTED: Final = 16


class Listener(Protocol):
    """Whose sound it is."""

    def microphone(self, packet: bytes) -> None:
        """A packet from the sound card."""

    def pull(self) -> Pulled:
        """What is to be played next."""

    def left(self, sound: SoundSession) -> None:
        """This interface is gone."""


class SoundSession(Socket):
    """One interface's sound."""

    largest = 1024

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say how to code."""
        super().on_ws_connected(transport)
        how = {"rung": 0, "codec": "opus", "rate": RATE, "frame": FRAME_MS, "bytes": PACKET}
        self.send(CONFIG + json.dumps(how).encode())

    def got(self, message: bytes) -> None:
        """A packet, or a wish for some; anything else ends it."""
        if len(message) > 2 and message[0] == MICROPHONE:
            self._listener.microphone(message[2:])
        elif len(message) == 2 and message[0] == WANTED and 0 < message[1] <= MOST_WANTED:
            for _ in range(message[1]):
                self.send(self._next())
        else:
            self.close("this is not what the sound of a call looks like")

    def _next(self) -> bytes:
        pulled = self._listener.pull()
        if isinstance(pulled, Packet) and pulled.data:
            return PLAY + bytes((pulled.speed, pulled.units)) + pulled.data
        if isinstance(pulled, Conceal):
            return CONCEAL
        return NOTHING + bytes((pulled.units if isinstance(pulled, Packet) else 1,))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The interface is gone."""
        super().on_ws_disconnected(transport)
        self._listener.left(self)
