"""What contacts and strangers seal, for test_targets.py: function and usual bytes each."""

import contextlib
import functools
from collections.abc import Callable

from samples import HELLO, frames_of, two

from holdfast.core.call import frames
from holdfast.core.call.machine import Machine
from holdfast.core.call.rungs import RUNGS
from holdfast.core.chat import content, names, sync
from holdfast.core.group import cards, franking, senders
from holdfast.core.group import entries as group_entries
from holdfast.core.group.entries import BadEntry
from holdfast.core.group.epochs import Epoch
from holdfast.core.group.roster import Roster
from holdfast.core.seal import chunks, inner, invitation, olm
from holdfast.core.seal import frame as sframe
from holdfast.core.seal.bundle import BadBundle, open_bundle
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.pairwise import Pairwise
from holdfast.core.seal.verification import Verification
from holdfast.lab import associate, dns, packets
from holdfast.lab.names import answer
from holdfast.paths import hello
from holdfast.paths.exchange import Ask, BadExchange, Incoming, Tell
from holdfast.testing import groups
from holdfast.testing.entropy import seeded
from holdfast.testing.pairs import NOW, home


@functools.cache
def _message() -> bytes:
    return two().pair[0].seal(b"hello", NOW, seeded("message")).blob


@functools.cache
def _receiver() -> bytes:
    return two().pair[1].dump(seeded("dump"))


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
        open_bundle(two().invitation.link, data, NOW)


def accept_record(data: bytes) -> None:
    met = two()
    with contextlib.suppress(Unopenable, invitation.Used):
        met.invitation.open_accept(data, met.anna, NOW, seeded("accept"))


def record(data: bytes) -> None:
    with contextlib.suppress(Unopenable):
        Pairwise.load(_receiver()).open(data, NOW)


def comparing(data: bytes) -> None:
    pair = two().pair[0]
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


Seeds = tuple[bytes, ...]


def targets() -> dict[str, tuple[Callable[[bytes], None], Seeds]]:
    """By name."""
    met = two()
    word = inner.Inner(1, 0, bytes(32), bytes(32), content=b"hello").encode()
    return {
        "device-list": (device_list, (met.anna.devices.encode(),)),
        "group-entry": (group_entry, tuple(entry.data for entry in _group()[0].entries)),
        "group-record": (
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
        "inner": (inner_message, (word,)),
        "olm": (olm_message, (_message()[-200:], met.record[-400:])),
        "bundle": (bundle, (met.invitation.record,)),
        "accept": (accept_record, (met.record,)),
        "record": (record, (_message(),)),
        "comparing": (comparing, (b"\x00\x12\x92\x01\xc4\x10" + bytes(16),)),
        "content": (
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
        "sync": (
            synced,
            (
                sync.encode(sync.Copy(bytes(32), True, 1, content.encode(content.Got(bytes(16))))),
                sync.encode(sync.Person(bytes(32), b"", "Amina", "Amina", 1)),
                sync.encode(sync.Meet(bytes(32), bytes(32), bytes(32), "holdfast:")),
                sync.encode(sync.Group(content.encode(content.GroupAsk(bytes(32), ())))),
            ),
        ),
        "typing": (typing_frame, (content.encode_typing(content.Typing(1, 7, True)),)),
        "file-record": (
            file_record,
            tuple(chunks.record(i, TREE.proof(i), part) for i, part in enumerate(PARTS)),
        ),
        "call-frame": (
            call_frame,
            (
                sframe.Sealer(bytes(32), 9).seal(b"x"),
                frames.encode(frames.Frame(RUNGS[0], packet=bytes(40))),
            ),
        ),
        "call-said": (call_said, (b"\0\6accept\0\3end", b"\0\7ringing\0\7decline")),
        "file-name": (file_name, (b"../x\\con.txt", "a\u202egpj.exe".encode())),
        "name": (name, ("Амина \u202e x\n".encode(),)),
        "exchange": (
            exchanged,
            (
                Ask(bytes(16), 0, 0, 5_000, 25, b"\0\0\0\1x").encode(),
                Tell(5, b"\0\0\0\2hi\0\0\0\0").encode(),
            ),
        ),
        "client-hello": (client_hello, (HELLO,)),
        "question": (
            question,
            (
                dns.ask(1, "relay.example"),
                associate.wrap(("relay.example", 443), HELLO),
                bytes.fromhex("16fefd") + bytes(8) + HELLO[3:],
            ),
        ),
        "packet": (
            packet,
            (
                packets.tcp(bytes(4), bytes(4), (1, 443), packets.SYN, payload=HELLO),
                packets.udp(bytes(16), bytes(16), (1, 443), HELLO),
                packets.build(bytes(16), bytes(16), 0, bytes((44, 0)) + bytes(30)),
            ),
        ),
    }
