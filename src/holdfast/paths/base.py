"""What every path gives: a channel that carries whole frames to a relay whose key was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Protocol

Kind = Literal[
    "proxy", "dns", "connect", "refused", "mute", "tls", "pin", "upgrade", "closed", "timeout"
]
"""How far a connection came: a proxy, the name, the way to the machine, its answer that nobody
listens there, a handshake without an answer, one that was cut, the relay's key, the relay's
protocol, and afterwards."""


MOVED: Final = "a better way was found"
"""The reason of a channel whose successor stands already."""


class Unreachable(ConnectionError):
    """A relay could not be reached this way; the message is for people, `kind` for programs."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind: Kind = kind


class Line:
    """What one node's connections share: who sends much lets all of them wait."""

    def __init__(self) -> None:
        self.waiting = 0
        """Bytes of records that were sent and are not acknowledged yet."""
        self.crawls = False
        """The rate found last was a slow one."""

    def behind(self, unheard: int) -> int:
        """Bytes that an answer comes behind on a connection with so many of its own. Where nothing
        is known to crawl, others' do not count: what is silent there is tried anew."""
        return max(unheard, self.waiting) if self.crawls else unheard


class Attempt:
    """How far an attempt has come, for who gives it up, and over which line it is made."""

    def __init__(self, line: Line | None = None) -> None:
        self.hangs: Kind = "connect"
        """As what it failed, if it goes no further."""
        self.line = line or Line()


@dataclass(frozen=True, slots=True)
class Link:
    """What a channel knows of its datagrams. Times in seconds."""

    SUSPECT: ClassVar[float] = 0.1

    rtt: float
    """There and back, smoothed; 0: not known yet."""
    silent: float
    """For how long something that was sent has had no answer at all, where any datagram is answered
    at once; while all is well, it goes up to about `rtt` again and again."""
    sent: int
    """Packets, over the connection's life."""
    lost: int

    @property
    def answers(self) -> bool:
        """Whether answers are no later than they should be; if not, nothing should rely on it."""
        return self.silent < self.SUSPECT + 2 * self.rtt


class Handler(Protocol):
    """Whoever uses a channel. Called on the loop's thread, never from within `send`."""

    def on_frame(self, frame: bytes) -> None:
        """One whole frame came."""

    def on_live(self, frame: bytes) -> None:
        """A frame came as a datagram: anything else, or nothing, may have come before it."""

    def on_drained(self) -> None:
        """Little is left unsent after there was much: who held back may go on."""

    def on_closed(self, reason: str) -> None:
        """The channel is over, once, by whichever side; the reason is for people."""


class Channel(Protocol):
    """One established connection."""

    def send(self, frame: bytes) -> None:
        """Queue one frame; after the end it is silently gone."""

    def send_live(self, frame: bytes) -> None:
        """Send one frame that is worth nothing later: as a datagram, if there are any and it fits,
        and so out of order or not at all; otherwise as `send` does."""

    def close(self, reason: str = "") -> None:
        """End it after what was sent; `on_closed` follows."""

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""

    @property
    def received(self) -> int:
        """Bytes that came so far, those of unfinished frames too."""

    @property
    def link(self) -> Link | None:
        """How its datagrams fare; None: it has none now."""


class Undivided:
    """A base for channels without datagrams."""

    __slots__ = ()
    link: Link | None = None

    def send_live(self: Channel, frame: bytes) -> None:
        """As any other frame."""
        self.send(frame)
