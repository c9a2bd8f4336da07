"""Every decoder that a stranger can reach, fed with anything.

A target takes bytes and raises only if something is wrong: a decoder may refuse in its own
words and in no other way, and what it accepts it must write back. Here each target gets its
seeds, seeds with deterministic damage, and what Hypothesis finds; `make fuzz` gives the
same targets to a fuzzer that watches coverage (tools/fuzz.py) for as long as one likes.
"""

import asyncio
import contextlib
import functools
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core import caps, near, reflect, wire
from holdfast.core.call import frames
from holdfast.core.call.direct import Checks
from holdfast.core.call.machine import Machine
from holdfast.core.call.rungs import RUNGS
from holdfast.core.channel import link as channel_link
from holdfast.core.channel import posts
from holdfast.core.chat import content, names, sync
from holdfast.core.group import cards, franking, senders
from holdfast.core.group import entries as group_entries
from holdfast.core.group.entries import BadEntry
from holdfast.core.group.epochs import Epoch
from holdfast.core.group.roster import Roster
from holdfast.core.log import client, server
from holdfast.core.log.limits import Limits
from holdfast.core.seal import chunks, inner, invitation, olm, padding, renewal, rest
from holdfast.core.seal import frame as sframe
from holdfast.core.seal.bundle import BadBundle, open_bundle
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.link import BadLink, Link
from holdfast.core.seal.pairwise import Pairwise
from holdfast.core.seal.verification import Verification
from holdfast.drive import http
from holdfast.lab import associate, dns, packets
from holdfast.lab.names import answer
from holdfast.node import backup, rpc
from holdfast.paths import hello
from holdfast.paths.exchange import Ask, BadExchange, Incoming, Tell
from holdfast.testing import groups
from holdfast.testing.channels import Writer
from holdfast.testing.entropy import seeded
from holdfast.testing.pairs import NOW, Met, home, meet

sys.path.insert(0, str(Path(__file__).parent))
import observatory
import udp_port

HELLO = bytes.fromhex(
    "160301004c01000048030300000000000000000000000000000000000000000000000000000000000000000000"
    "0213010100001d00000012001000000d72656c61792e6578616d706c65002b0003020304"
)
SECRETS = caps.Caps.make(bytes(range(128)))
LOG = SECRETS.log_id(bytes(32))


@dataclass(frozen=True)
class Target:
    """`run` raises if the bytes did harm; `seeds` are what is usual."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def frames_of(data: bytes) -> Iterator[bytes]:
    """Bytes as a sequence of frames, each behind two bytes of length."""
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + size]
        data = data[2 + size :]


def framed(*frames: wire.ClientFrame | wire.RelayFrame) -> bytes:
    parts = [wire.encode(frame) for frame in frames]
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


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
    for what in (data, posts._seal_plain(link, data[: posts.MAX_DATA], _channel().entropy)):
        with contextlib.suppress(posts.BadPost):
            assert posts.read(link, what).number in (1, 2)
    for read in (posts.about, posts.moved):
        with contextlib.suppress(posts.BadPost):
            posts.encode(read(data))
    with contextlib.suppress(posts.BadPost):
        posts.read_mark(data)


# What contacts and strangers seal.


@functools.cache
def _met() -> Met:
    return meet("fuzz")


@functools.cache
def _message() -> bytes:
    return _met().pair[0].seal(b"hello", NOW, seeded("message")).blob


@functools.cache
def _receiver() -> bytes:
    return _met().pair[1].dump(seeded("dump"))


def device_list(data: bytes) -> None:
    with contextlib.suppress(BadKey):
        assert DeviceList.decode(data).encode() == data


@functools.cache
def _group() -> tuple[Roster, Epoch, bytes]:
    roster, _, epoch = groups.talking()
    return roster, epoch, groups.begin(epoch, 1)[1]


def group_entry(data: bytes) -> None:
    with contextlib.suppress(BadEntry):
        entry = group_entries.decode(data)
        assert group_entries.decode(entry.data) == entry
        with contextlib.suppress(BadEntry):
            Roster(_group()[0].entries[0]).add(entry)


def group_record(data: bytes) -> None:
    """A record, and what is inside one, of every kind."""
    roster, epoch, _ = _group()
    with contextlib.suppress(Unopenable):
        epoch.open(data)
    for reader in (
        senders.read,
        lambda plain: senders.announced(epoch, plain, roster.view()),
        lambda plain: cards.read(plain, roster.id),
        lambda plain: cards.read_ask(plain, roster.id),
        lambda plain: cards.unwrap(plain, roster.id, groups.root(1), [bytes(31) + b"1"]),
        lambda plain: franking.read(plain, roster.id),
        lambda plain: franking.opened(
            franking.Proof(plain[:400], bytes(64), plain[400:], bytes(48)), roster.id
        ),
    ):
        with contextlib.suppress(Unopenable):
            reader(data)


def inner_message(data: bytes) -> None:
    with contextlib.suppress(inner.Malformed):
        assert inner.Inner.decode(data).encode() == data


def olm_message(data: bytes) -> None:
    for kind in (olm.PREKEY, olm.NORMAL):
        for part in ("keys", "place"):
            with contextlib.suppress(Unopenable):
                getattr(olm.Ciphertext(kind, data), part)


def bundle(data: bytes) -> None:
    with contextlib.suppress(BadBundle):
        open_bundle(_met().invitation.link, data, NOW)


def accept_record(data: bytes) -> None:
    met = _met()
    with contextlib.suppress(Unopenable, invitation.Used):
        met.invitation.open_accept(data, met.anna, NOW, seeded("accept"))


def record(data: bytes) -> None:
    with contextlib.suppress(Unopenable):
        Pairwise.load(_receiver()).open(data, NOW)


def comparing(data: bytes) -> None:
    pair = _met().pair[0]
    verification = Verification(pair.me, pair.peer)
    verification.start(NOW, seeded("comparing"))
    for step in frames_of(data):
        verification.handle(step, NOW)
        assert verification.verified is None


def said(data: bytes) -> None:
    with contextlib.suppress(content.Malformed):
        known = content.decode(data)
        if not isinstance(known, content.Unknown):
            assert content.decode(content.encode(known)) == known


def synced(data: bytes) -> None:
    with contextlib.suppress(content.Malformed):
        known = sync.decode(data)
        if not isinstance(known, content.Unknown):
            assert sync.decode(sync.encode(known)) == known


def typing_frame(data: bytes) -> None:
    with contextlib.suppress(content.Malformed):
        frame = content.decode_typing(data)
        assert content.decode_typing(content.encode_typing(frame)) == frame


def name(data: bytes) -> None:
    shown = names.clean(data.decode("utf-8", "replace"))
    assert len(shown) <= names.MAX_NAME and names.clean(shown) == shown
    names.skeleton(shown)


FILE = chunks.FileKeys(bytes(32), 700, 300)
PARTS = [FILE.seal(i, bytes(FILE.plain_length(i)), bytes([i]) * 16) for i in range(FILE.count)]
TREE = chunks.Tree([chunks.leaf(part) for part in PARTS])


def file_record(data: bytes) -> None:
    with contextlib.suppress(chunks.BadChunk):
        index, sealed = chunks.read_record(FILE, TREE.root, data)
        assert sealed == PARTS[index]
        FILE.open(index, sealed)


def call_frame(data: bytes) -> None:
    with contextlib.suppress(sframe.FrameError):
        kid, counter, length = sframe.decode_header(data)
        assert sframe.encode_header(kid, counter) == data[:length]
    with contextlib.suppress(sframe.FrameError):
        sframe.Opener(bytes(32), 9).open(data)
    with contextlib.suppress(frames.BadFrame):
        found = frames.decode(data)
        assert frames.decode(frames.encode(found)) == found


def exchanged(data: bytes) -> None:
    """Small exchanges, from either side, and the stream in them."""
    for kind in (Ask, Tell):
        with contextlib.suppress(BadExchange):
            found = kind.decode(data)
            assert found.encode() == data
            Incoming().feed(0, found.data)
    with contextlib.suppress(BadExchange):
        stream = Incoming()
        for at in range(0, len(data), 7):
            stream.feed(at, data[at : at + 9])


def client_hello(data: bytes) -> None:
    """What a client says first."""
    with contextlib.suppress(hello.NotHello, hello.Incomplete):
        assert hello.read(data).ja4


def question(data: bytes) -> None:
    """A datagram to the lab's resolver, and one to its middlebox in user space."""
    with contextlib.suppress(dns.NotQuestion):
        asked = dns.read(data)
        assert dns.read(data[:12] + asked.raw) == asked
    answer({}, data)
    with contextlib.suppress(associate.NotDatagram):
        associate.unwrap(data)
    with contextlib.suppress(hello.NotHello):
        assert hello.dtls(data)


def packet(data: bytes) -> None:
    """A packet to the lab's middlebox."""
    with contextlib.suppress(packets.NotPacket):
        found = packets.read(data)
        assert data.startswith(found.raw)
        packets.resets(found)
        packets.unreachable(found, found.target)


def call_said(data: bytes) -> None:
    """Everything a contact can do to a call: steps, frames, and silence."""
    for outgoing in (True, False):
        one = Machine(outgoing, 0)
        for now, part in enumerate(frames_of(data)):
            one.heard(part[:16].decode("latin-1"), now)
            one.frame(len(part), part, now)
            with contextlib.suppress(frames.BadFrame):
                one.burst(part, len(part), now)
            one.tick(now * 20)
            one.pull()
            if not one.open:
                assert one.microphone(0, bytes(40), now) == []


def file_name(data: bytes) -> None:
    shown = names.clean_file(data.decode("utf-8", "replace"))
    assert 0 < len(shown.encode()) <= names.MAX_FILE
    assert names.clean_file(shown) == shown
    assert not set(shown) & set("/\\\0\n\u202e") and shown not in (".", "..")
    assert names.clean_media(shown, data) in names.MEDIA | {names.OCTETS}


# What strangers send to an open port.


class _Wire(asyncio.Transport):
    """Takes what is written and remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class _Site:
    def respond(self, request: http.Request) -> http.Response:
        return http.plain(200, f"{len(request.body)} {request.is_websocket} {request.path!r}")

    def take(self, request: http.Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> http.Response:
        return http.plain(status)

    def upgrade(self, request: http.Request, transport: object, rest: bytes) -> None:
        assert request.is_websocket and request.head


@functools.cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def http_request(data: bytes) -> None:
    async def serve() -> None:
        transport = _Wire()
        open_ = http.Open()
        connection = http.HttpConnection(_Site(), open_)
        connection.connection_made(transport)
        for start in range(0, len(data), 97):
            if not transport.closed:
                connection.data_received(data[start : start + 97])
        connection.connection_lost(None)
        assert not open_

    _runner().run(serve())


class _Node:
    """Takes any call that the types let through."""

    def __getattr__(self, name: str) -> Any:
        async def call(**arguments: Any) -> None:
            assert name in rpc.METHODS

        return call


class _Api(rpc.Session):
    def __init__(self) -> None:
        super().__init__(_Node(), lambda _: None)
        self.answers: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.answers.append(frame)

    async def settle(self) -> None:
        await asyncio.gather(*self._calls)


def api_request(data: bytes) -> None:
    """Every request is answered once, with a result or an error that has a sentence."""

    async def serve() -> None:
        session = _Api()
        session.got(data)
        await session.settle()
        (answer,) = map(msgspec.json.decode, session.answers)
        assert answer["jsonrpc"] == "2.0"
        assert "result" in answer or answer["error"]["message"]

    _runner().run(serve())


def call(method: str, **params: object) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UPGRADE = (
    b"GET /s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def renewal_record(data: bytes) -> None:
    """As it comes from a contact, and what is inside, as the contact made it."""
    met = _met()
    inbox, root = met.at_anna.mine.caps, met.boris.devices.root
    plain = padding.pad(data[:4_000], 29)
    sealed = AESGCM(caps.hkdf(inbox.locator, "renewal/1")).encrypt(bytes(12), plain, renewal.KIND)
    for record in (data, renewal.KIND + bytes(12) + sealed):
        with contextlib.suppress(Unopenable):
            renewal.open_renewal(record, inbox, root, 0)


def backup_file(data: bytes) -> None:
    """A file that somebody takes for a backup; the passphrase is not what takes time here."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest, "unwrap_key", lambda wrapped, passphrase: bytes(32))
        path = Path(folder, "file")
        path.write_bytes(data)
        Path(folder, "parts").mkdir()
        with contextlib.suppress(backup.BadBackup):
            backup.read(path, Path(folder, "parts"), "")


def near_line(data: bytes) -> None:
    """What a stranger, and a contact, says on the local network."""
    one = near.Peer.of("a", bytes(32), b"1" * 32)
    other = near.Peer.of("b", b"1" * 32, bytes(32))
    with contextlib.suppress(near.BadLine):
        near.Line([one], 1, seeded("a")).received(data, 1)
    first, second = near.Line([one], 1, seeded("b"), one), near.Line([other], 1, seeded("c"))
    second.received(first.take(), 1)
    first.received(second.take(), 1)
    first._say(data)
    with contextlib.suppress(near.BadLine):
        second.received(first.take(), 1)
    near.found([one], [data[at : at + 255] for at in range(0, len(data), 255)], 1)


def packet_of_call(data: bytes) -> None:
    """What comes to the UDP port of a call, and to a relay's from whom asks where it is."""
    Checks(bytes(32), "caller", seeded("a")).received(data, ("203.0.113.1", 1), 1)
    known = Checks(bytes(32), "callee", seeded("a"))
    known.offer(("203.0.113.1", 1), 1)
    known.received(data, ("203.0.113.1", 1), 1)
    assert reflect.Mirror([bytes(16)]).answer(data, ("203.0.113.1", 1), 1, seeded("b")) is None
    reflect.answered(bytes(16), bytes(60), data)
    reflect.unpack(data)


def _targets() -> dict[str, Target]:
    met = _met()
    word = inner.Inner(1, 0, bytes(32), bytes(32), content=b"hello").encode()
    return {
        "wire-client": Target(wire_client, tuple(map(wire.encode, CLIENT_FRAMES))),
        "wire-relay": Target(wire_relay, tuple(map(wire.encode, RELAY_FRAMES))),
        "relay-session": Target(relay_session, (framed(*CLIENT_FRAMES),)),
        "node-client": Target(node_client, (framed(*RELAY_FRAMES),)),
        "envelope": Target(
            envelope, (caps.Envelope(SECRETS.locator, bytes(32)).seal(bytes(16), b"x", bytes(12)),)
        ),
        "address": Target(address, (str(home()).encode(), str(home("::1")).encode())),
        "link": Target(
            link,
            (met.invitation.link.text().encode(), met.invitation.link.text("a.example").encode()),
        ),
        "channel-link": Target(
            link_of_channel,
            (_channel().link.text().encode(), _channel().link.address().encode()),
        ),
        "channel-post": Target(channel_post, tuple(_channel().records)),
        "device-list": Target(device_list, (met.anna.devices.encode(),)),
        "group-entry": Target(group_entry, tuple(entry.data for entry in _group()[0].entries)),
        "group-record": Target(
            group_record,
            (
                _group()[2],
                _group()[1].seal("sender", _group()[2], seeded("record")),
                cards.make(
                    bytes(32),
                    groups.person(1).party,
                    "p",
                    1,
                    groups.person(1).account,
                    seeded("card"),
                )[0],
            ),
        ),
        "inner": Target(inner_message, (word,)),
        "olm": Target(olm_message, (_message()[-200:], met.record[-400:])),
        "bundle": Target(bundle, (met.invitation.record,)),
        "accept": Target(accept_record, (met.record,)),
        "record": Target(record, (_message(),)),
        "comparing": Target(comparing, (b"\x00\x12\x92\x01\xc4\x10" + bytes(16),)),
        "content": Target(
            said,
            (
                content.encode(content.Text(bytes(16), 1, "hello", content.Ref(bytes(16), True))),
                content.encode(content.React(content.Ref(bytes(16), False), "+", 1)),
                content.encode(content.Profile("Amina")),
                content.encode(content.Got(bytes(16))),
                content.encode(content.Moved((str(home()),))),
                content.encode(content.Answer(bytes(16), "accept", bytes(32), bytes(16))),
                content.encode(
                    content.Ring(bytes(16), 1, bytes(32), bytes(16), bytes(32), (str(home()),))
                ),
                content.encode(
                    content.File(
                        bytes(16),
                        1,
                        "file",
                        "a.txt",
                        "",
                        5,
                        300,
                        bytes(32),
                        bytes(32),
                        (str(home()),),
                    )
                ),
            ),
        ),
        "sync": Target(
            synced,
            (
                sync.encode(sync.Copy(bytes(32), True, 1, content.encode(content.Got(bytes(16))))),
                sync.encode(sync.Person(bytes(32), b"", "Amina", "Amina", 1)),
                sync.encode(sync.Meet(bytes(32), bytes(32), bytes(32), "holdfast:")),
            ),
        ),
        "typing": Target(typing_frame, (content.encode_typing(content.Typing(1, 7, True)),)),
        "file-record": Target(
            file_record,
            tuple(chunks.record(i, TREE.proof(i), part) for i, part in enumerate(PARTS)),
        ),
        "call-frame": Target(
            call_frame,
            (
                sframe.Sealer(bytes(32), 9).seal(b"x"),
                frames.encode(frames.Frame(RUNGS[0], packet=bytes(40))),
            ),
        ),
        "near-line": Target(near_line, (b"\0" + bytes(17), b"\3" + bytes(18))),
        "call-packet": Target(packet_of_call, (b"\x40" + bytes(59), bytes(40))),
        "call-said": Target(call_said, (b"\0\6accept\0\3end", b"\0\7ringing\0\7decline")),
        "file-name": Target(file_name, (b"../x\\con.txt", "a\u202egpj.exe".encode())),
        "name": Target(name, ("Амина \u202e x\n".encode(),)),
        "api": Target(
            api_request,
            (
                call("status"),
                call("send", contact="Amina", text="On my way.", reply_to=None),
                call("messages", contact="Amina", before=7, limit=50),
                call("update_settings", theme="dark", timer=60),
            ),
        ),
        "udp-port": Target(udp_port.port, (udp_port.first_words(), b"\0\x14\xc0" + bytes(19))),
        "http3": Target(udp_port.visit, tuple(udp_port.visits())),
        "exchange": Target(
            exchanged,
            (
                Ask(bytes(16), 0, 0, 5_000, 25, b"\0\0\0\1x").encode(),
                Tell(5, b"\0\0\0\2hi\0\0\0\0").encode(),
            ),
        ),
        "client-hello": Target(client_hello, (HELLO,)),
        "question": Target(
            question,
            (
                dns.ask(1, "relay.example"),
                associate.wrap(("relay.example", 443), HELLO),
                bytes.fromhex("16fefd") + bytes(8) + HELLO[3:],
            ),
        ),
        "packet": Target(
            packet,
            (
                packets.tcp(bytes(4), bytes(4), (1, 443), packets.SYN, payload=HELLO),
                packets.udp(bytes(16), bytes(16), (1, 443), HELLO),
                packets.build(bytes(16), bytes(16), 0, bytes((44, 0)) + bytes(30)),
            ),
        ),
        "http": Target(http_request, (GET, GET + POST, CHUNKED + GET, UPGRADE)),
        "renewal": Target(
            renewal_record,
            (renewal.seal(met.boris, met.at_anna.mine.caps, met.invitation.link, seeded("r")),),
        ),
        "backup": Target(
            backup_file,
            (
                backup.MAGIC + b"\0\1w" + b"\x08database" + (3).to_bytes(8, "big") + b"abc\0",
                backup.MAGIC + b"\0\0" + b"\x20" + b"a" * 32 + bytes(8) + b"\0",
            ),
        ),
        **{name: Target(*both) for name, both in observatory.targets().items()},
    }


TARGETS = _targets()


def damaged(seed: bytes, dice: random.Random) -> bytes:
    """A seed with one to three wounds."""
    data = bytearray(seed)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0 if data:
                data[at % len(data)] ^= 1 << dice.randrange(8)
            case 1 if data:
                data[at % len(data)] = dice.choice((0, 1, 0x7F, 0x80, 0xC1, 0xDD, 0xFF))
            case 2:
                del data[at:]
            case 3:
                data[at:at] = dice.randbytes(dice.randint(1, 9))
            case _:
                data[at:at] = data[: dice.randint(0, 64)]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_damaged_seeds(name: str) -> None:
    target = TARGETS[name]
    dice = random.Random(name)
    for seed in target.seeds:
        target.run(seed)
        for _ in range(150):
            target.run(damaged(seed, dice))


@pytest.mark.parametrize("name", TARGETS)
def test_anything(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(st.one_of(st.binary(max_size=400), st.sampled_from(target.seeds)))
    def anything(data: bytes) -> None:
        target.run(data)

    anything()


def test_a_target_reports_what_a_decoder_must_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> wire.ClientFrame:
        raise IndexError

    monkeypatch.setattr(wire, "decode_client", broken)
    with pytest.raises(IndexError):
        TARGETS["wire-client"].run(b"")
