"""What relays and nodes say to each other, and what people paste, for test_targets.py: function and
usual bytes each."""

import contextlib
import functools
from collections.abc import Callable

from samples import LOG, SECRETS, framed, frames_of, two

from holdfast.core import caps, wire
from holdfast.core.channel import link as channel_link
from holdfast.core.channel import posts, talk
from holdfast.core.log import client, server
from holdfast.core.log.limits import Limits
from holdfast.core.seal.link import BadLink, Link
from holdfast.testing.channels import Stranger, Writer
from holdfast.testing.entropy import seeded
from holdfast.testing.pairs import NOW, home

# The log protocol.

CLIENT_FRAMES: tuple[wire.ClientFrame, ...] = (
    wire.Hello(1),
    wire.Create(1, LOG, bytes(32), bytes(32), bytes(32), 8),
    wire.Attach(1, LOG, bytes(32), bytes(32), None, 0),
    wire.Append(1, 1, 3600, b"body"),
    wire.Live(1, b"live"),
    wire.Beside(bytes(16)),
    wire.Trim(1, 1),
    wire.Drop(1),
    wire.Detach(1),
)
RELAY_FRAMES: tuple[wire.RelayFrame, ...] = (
    wire.Welcome(1, bytes(32), bytes(64), 66_000, 3600),
    wire.Attached(1, 1, 2),
    wire.Acked(1),
    wire.Records(1, ((1, b"x" * 44), (0, b""))),
    wire.Done(1, "read"),
    wire.Refused(1, "denied", "no"),
    wire.Bye("later", "stopping"),
)


def wire_client(data: bytes) -> None:
    with contextlib.suppress(wire.Malformed):
        frame = wire.decode_client(data)
        assert wire.decode_client(wire.encode(frame)) == frame


def wire_relay(data: bytes) -> None:
    with contextlib.suppress(wire.Malformed):
        frame = wire.decode_relay(data)
        assert wire.decode_relay(wire.encode(frame)) == frame


def relay_session(data: bytes) -> None:
    """A whole connection: every frame is answered or ends it, and nothing piles up."""
    session = server.Session(wire.Welcome(1, bytes(32), bytes(64), 66_000, 3600), Limits())
    found = server.Found(1, *(b"\x66" * 32,) * 3, 1, 1)
    commands = session.open()
    for number, frame in enumerate(frames_of(data)):
        commands += session.receive(frame, NOW + number)
        while commands:
            match commands.pop(0):
                case server.Find():
                    commands += session.found(found if number % 2 else None, NOW + number)
                case server.Make() | server.Cut() | server.Remove():
                    commands += session.done(None, NOW + number)
                case server.Add(handle, n):
                    commands += session.settled(handle, n, None)
                case server.Send(answer):
                    wire_relay(wire.encode(answer))
        session.ack()


def node_client(data: bytes) -> None:
    """What a relay can do to a node: nothing but frames of its own, or the end."""
    machine = client.Client(home(), seeded("client"))
    machine.create(SECRETS)
    machine.follow(SECRETS, 0)
    machine.append(SECRETS, bytes(16), b"body", 3600)
    machine.connected(NOW)
    for number, frame in enumerate(frames_of(data)):
        machine.receive(frame, NOW + number)
        machine.tick(NOW + number)
        for output in machine.take():
            if isinstance(output, bytes):
                wire.decode_client(output)
    machine.disconnected()


def envelope(data: bytes) -> None:
    with contextlib.suppress(caps.BadRecord):
        caps.Envelope(SECRETS.locator, bytes(32)).open(data)


# What people paste.


def address(data: bytes) -> None:
    with contextlib.suppress(caps.BadAddress):
        place = caps.Home.parse(data.decode("utf-8", "surrogateescape"))
        assert caps.Home.parse(str(place)) == place


def link(data: bytes) -> None:
    with contextlib.suppress(BadLink):
        invitation_link = Link.parse(data.decode("utf-8", "surrogateescape"), NOW)
        assert Link.parse(invitation_link.text(), NOW) == invitation_link


def link_of_channel(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    channel_link.is_channel(text)
    with contextlib.suppress(BadLink):
        found = channel_link.Link.parse(text)
        assert channel_link.Link.parse(found.text()) == found


@functools.cache
def _channel() -> Writer:
    writer = Writer("fuzz")
    writer.say("hello")
    writer.write(posts.encode(posts.About("News", "of the town")), "about")
    return writer


def channel_post(data: bytes) -> None:
    """A record as it is, and as what the link's key gives."""
    link = _channel().link
    for what in (data, posts.seal(link, data[: posts.MAX_DATA], _channel().entropy)):
        with contextlib.suppress(posts.BadPost):
            assert posts.read(link, what).number in (1, 2)
    for read in (posts.about, posts.moved):
        with contextlib.suppress(posts.BadPost):
            posts.encode(read(data))
    with contextlib.suppress(posts.BadPost):
        posts.read_mark(data)


@functools.cache
def _stranger() -> Stranger:
    return Stranger(Writer("fuzz", open=True).link)


def open_group_talk(data: bytes) -> None:
    """A record as it is, and as what anybody with the link can seal."""
    stranger = _stranger()
    for what in (data, posts.seal(stranger.link, data[: posts.MAX_DATA], stranger.entropy)):
        with contextlib.suppress(posts.BadPost):
            assert talk.read(stranger.link, what).writer == stranger.writer


Seeds = tuple[bytes, ...]


def targets() -> dict[str, tuple[Callable[[bytes], None], Seeds]]:
    """By name."""
    met = two()
    return {
        "wire-client": (wire_client, tuple(map(wire.encode, CLIENT_FRAMES))),
        "wire-relay": (wire_relay, tuple(map(wire.encode, RELAY_FRAMES))),
        "relay-session": (relay_session, (framed(*CLIENT_FRAMES),)),
        "node-client": (node_client, (framed(*RELAY_FRAMES),)),
        "envelope": (
            envelope,
            (caps.Envelope(SECRETS.locator, bytes(32)).seal(bytes(16), b"x", bytes(12)),),
        ),
        "address": (address, (str(home()).encode(), str(home("::1")).encode())),
        "link": (
            link,
            (met.invitation.link.text().encode(), met.invitation.link.text("a.example").encode()),
        ),
        "channel-link": (
            link_of_channel,
            (
                _channel().link.text().encode(),
                _channel().link.address().encode(),
                _stranger().link.text().encode(),
            ),
        ),
        "channel-post": (channel_post, tuple(_channel().records)),
        "open-group-talk": (open_group_talk, (_stranger().say("hello", 7),)),
    }
