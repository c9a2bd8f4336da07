"""What a group of 3,700 costs: seconds and bytes, and the same on a line of 64 kbit/s.

People are simulated in one process, with real keys, signatures and ciphertexts, by the core that
nodes run; what would be appended to relays and fetched from them is counted as frames. Pairwise
channels between the one who acts and each member are one real channel, used again and again.

    python bench/groups.py [MEMBERS]
"""

from __future__ import annotations

import resource
import secrets
import sys
import time

import msgspec

from holdfast.core import caps
from holdfast.core.chat import content
from holdfast.core.group import cards, entries
from holdfast.core.group.entries import Add, Body, Devices, Entry, Remove, Renewal
from holdfast.core.group.epochs import Epoch, Epochs, commitment, log_secret
from holdfast.core.group.franking import message_key
from holdfast.core.group.roster import Roster, first_body
from holdfast.core.group.senders import Outbound, announced, read, timed, untimed
from holdfast.core.seal.identity import Device, Identity
from holdfast.core.seal.olm import AccountState
from holdfast.testing.pairs import NOW, meet, settle

LINE = 64_000 / 8
"""Bytes a second."""
FRAME = caps.OVERHEAD + 16
"""Bytes of a record beside its body: the outer envelope, and the frame that carries it."""
HOMES = ("relay.example.org:443/" + "x" * 22 + "." + "y" * 43,)
draw = secrets.token_bytes


ROWS: list[tuple[str, str]] = []


def cost(records: list[bytes]) -> int:
    return sum(len(record) + FRAME for record in records)


def line(what: str, seconds: float, up: int, down: int, note: str = "") -> None:
    value = f"{seconds:.2f} s, {up:,} bytes up ({up / LINE:,.1f} s), {down:,} down each"
    ROWS.append((f"Group of 3,700: {what}", value))
    print(
        f"| {what} | {seconds:.2f} s | {up:,} | {down:,} | {up / LINE:,.1f} s"
        f" | {down / LINE:,.1f} s | {note} |"
    )


class Founder:
    def __init__(self, count: int) -> None:
        self.people = [Identity.create(draw)[0] for _ in range(count)]
        self.me = self.people[0]
        met = meet("bench")
        self.pair, other = met.pair
        settle(self.pair, other, NOW)
        other.seal(b"", NOW, draw)

    def act(self, roster: Roster, *ops: entries.AnyOp, secret: bytes | None = None) -> Entry:
        party = self.me.party
        renewal = None if secret is None else Renewal(commitment(roster.id, secret), HOMES)
        body = Body(
            1, roster.id, roster.tips, party.root, party.device, party.head, NOW, ops, renewal
        )
        return entries.sign(body, self.me.account)

    def to_each(self, said: content.Known, count: int) -> list[bytes]:
        return [self.pair.seal(content.encode(said), NOW, draw).blob for _ in range(count)]


def records_of(epoch: Epoch, new: list[Entry]) -> list[bytes]:
    found: list[bytes] = []
    piece: list[bytes] = []
    for entry in [*new, None]:
        if piece and (entry is None or sum(map(len, piece)) + len(entry.data) > 40_000):
            found.append(epoch.seal("entries", msgspec.msgpack.encode(tuple(piece)), draw))
            piece = []
        if entry is not None:
            piece.append(entry.data)
    return found


def main(count: int) -> None:
    print(f"A group of {count:,}, one process, {time.strftime('%d %B %Y')}\n")
    print("| what | computing | bytes up | down, each | up at 64 kbit/s | down | |")
    print("|---|---|---|---|---|---|---|")
    founder = Founder(count + 1)
    people, newcomer = founder.people[:count], founder.people[count]

    # Creating.
    began = time.process_time()
    secret = draw(32)
    me = founder.me
    body = first_body(me.devices, me.party.device, "Friends", "p0", draw(32), NOW)
    founding = entries.sign(
        msgspec.structs.replace(body, renewal=Renewal(commitment(b"", secret), HOMES)), me.account
    )
    roster = Roster(founding)
    epochs = Epochs(roster)
    epochs.hold((founding.hash,), secret)
    ops = [Add(f"p{n}", one.devices.encode()) for n, one in enumerate(people[1:], 1)]
    for start in range(0, len(ops), entries.MAX_ADDS):
        roster.add(founder.act(roster, *ops[start : start + entries.MAX_ADDS]))
    epoch = epochs.now()
    assert epoch is not None
    in_log = records_of(epoch, roster.entries)
    key = content.GroupKey(roster.id, epoch.tips, epoch.secret, log_secret(secret), b"", HOMES)
    to_each = founder.to_each(key, count - 1)
    seconds = time.process_time() - began
    down = cost(in_log) + cost(to_each[:1])
    line("creating it", seconds, cost(in_log) + cost(to_each), down)

    began = time.process_time()
    theirs = Roster(founding)
    for entry in roster.entries[1:]:
        theirs.add(entries.decode(entry.data))
    seconds = time.process_time() - began
    assert theirs.head == roster.head and len(theirs.view().roots()) == count
    line("reading its roster", seconds, 0, down, "signatures of all entries and device lists")

    card = cards.make(roster.id, people[1].party, "p1", NOW, people[1].account, draw)[0]
    record = epoch.seal("card", card, draw)
    everyone = cost([record]) * (count - 1)
    line("everyone's card", 0.0, cost([record]), everyone, "once, as people come")

    # The first message of a new sender.
    began = time.process_time()
    outbound, announcement = Outbound.begin(epoch, people[1].party, people[1].account, 1, NOW, draw)
    first = outbound.seal(epoch, content.encode(content.Text(draw(16), NOW, "On my way.")), draw)
    spent = time.process_time() - began
    size = cost([announcement, first])
    line("first message of a new sender", spent, size, size)
    assert size <= 2_048, size
    later = outbound.seal(epoch, content.encode(content.Text(draw(16), NOW, "There.")), draw)
    line("a later message", 0.0, cost([later]), cost([later]))

    # Adding one.
    began = time.process_time()
    entry = founder.act(roster, Add("new", newcomer.devices.encode()))
    roster.add(entry)
    grown = epochs.now()
    assert grown is not None
    told = records_of(epoch, [entry])
    pieces: list[bytes] = []
    batch: list[bytes] = []
    for one in [*roster.entries, None]:
        if batch and (one is None or sum(map(len, batch)) + len(one.data) > 40_000):
            pieces += founder.to_each(content.GroupEntries(roster.id, tuple(batch)), 1)
            batch = []
        if one is not None:
            batch.append(one.data)
    for start in range(0, count, 120):
        some = tuple([card] * min(120, count - start))
        pieces += founder.to_each(content.GroupEntries(roster.id, cards=some), 1)
    key = content.GroupKey(roster.id, grown.tips, grown.secret, log_secret(secret))
    pieces += founder.to_each(key, 1)
    seconds = time.process_time() - began
    line("adding one: who adds", seconds, cost(told) + cost(pieces), 0)
    line("adding one: the newcomer", 0.0, cost([record]), cost(pieces))
    line("adding one: everybody else", 0.0, 0, cost(told) + cost([record]), "with the card")

    # Removing one.
    began = time.process_time()
    fresh = draw(32)
    entry = founder.act(roster, Remove(newcomer.devices.root), secret=fresh)
    roster.add(entry)
    assert epochs.now() is None
    after = epochs.hold((entry.hash,), fresh)
    assert after is not None
    told = records_of(grown, [entry])
    key = content.GroupKey(roster.id, after.tips, fresh, log_secret(fresh))
    to_each = founder.to_each(key, count - 1)
    seconds = time.process_time() - began
    line(
        "removing one, all contacts", seconds, cost(told) + cost(to_each), cost([*told, to_each[0]])
    )
    began = time.process_time()
    known = [cards.read(card, roster.id)] * (count - 1)
    wraps = [
        grown.seal("keys", plain, draw)
        for plain in cards.wrap(roster.id, after.tips, fresh, log_secret(fresh), known)
    ]
    seconds = time.process_time() - began
    line("removing one, no contacts", seconds, cost(told + wraps), cost(told + wraps), "by cards")
    devices(founder, roster, after, card, cost(told + wraps))

    rates(epoch, roster, people)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\nMost memory: {peak} MiB, all people in it.")


def devices(founder: Founder, roster: Roster, epoch: Epoch, card: bytes, wraps: int) -> None:
    """A member links a second device; and what it is like where everybody has two. `wraps`: bytes
    of a removal with one card each."""
    began = time.process_time()
    second = AccountState.create(draw)
    listed = founder.me.link(Device(second.ed25519, second.curve25519)).devices
    entry = founder.act(roster, Devices(listed.encode()))
    roster.add(entry)
    seconds = time.process_time() - began
    told = cost(records_of(epoch, [entry]))
    with_card = told + cost([epoch.seal("card", card, draw)])
    line("one links a device", seconds, told, with_card, "with the card of the device")
    count = len(roster.view().roots())
    more = [
        piece
        for start in range(0, count, 120)
        for piece in founder.to_each(
            content.GroupEntries(roster.id, cards=(card,) * min(120, count - start)), 1
        )
    ]
    said = [content.GroupEntries(roster.id, (one.data,)) for one in roster.entries]
    given = cost([piece for one in said for piece in founder.to_each(one, 1)])
    given += 2 * cost(more)
    line("the new device, two each", 0.0, given, given, "between the person's own two")
    line("removing one, no contacts, two devices each", 0.0, 2 * wraps, 2 * wraps, "by cards")


def rates(epoch: Epoch, roster: Roster, people: list[Identity]) -> None:
    """Sealing and opening messages of 60 bytes, on one core."""
    rounds, text = 150, b"x" * 60
    sealing = opening = outer = bare = opened = 0.0
    for counter in range(2, rounds + 2):
        who = people[1]
        outbound, announcement = Outbound.begin(epoch, who.party, who.account, counter, NOW, draw)
        inbound = announced(epoch, epoch.open(announcement)[1], roster.view())
        began = time.process_time()
        records = [outbound.seal(epoch, timed(NOW, text), draw) for _ in range(100)]
        sealing += time.process_time() - began
        began = time.process_time()
        for record in records:
            message = read(epoch.open(record)[1])[1]
            exported = inbound.exported(message.message_index())
            untimed(inbound.open(message))
            assert exported is not None
            message_key(exported)
        opening += time.process_time() - began
        began = time.process_time()
        plains = [epoch.open(epoch.seal("message", text * 4, draw))[1] for _ in range(100)]
        outer += time.process_time() - began
        assert len(plains) == 100
        began = time.process_time()
        messages = [outbound._session.encrypt(text) for _ in range(100)]
        bare += time.process_time() - began
        other = announced(epoch, epoch.open(announcement)[1], roster.view())
        began = time.process_time()
        for message in messages:
            other._session.decrypt(message)
        opened += time.process_time() - began
    n = rounds * 100
    ROWS.append(
        ("Group messages sealed and opened", f"{n / (sealing + opening):,.0f} a core-second")
    )
    print(f"\n| messages a second on one core | |\n|---|---|\n| sealed | {n / sealing:,.0f} |")
    print(f"| opened with what proves it, key moved on after each | {n / opening:,.0f} |")
    print(f"| sealed and opened | {n / (sealing + opening):,.0f} |")
    print(f"| of it Megolm alone: sealed / opened | {n / bare:,.0f} / {n / opened:,.0f} |")
    print(f"| of it the epoch's AES-GCM, both ways | {n / outer:,.0f} |")


def figures() -> list[tuple[str, str]]:
    """For `make bench`."""
    ROWS.clear()
    main(3_700)
    return ROWS


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_700)
