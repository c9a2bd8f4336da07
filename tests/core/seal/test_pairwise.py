from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.seal import waiting
from holdfast.core.seal.hpke import HpkeKey, Unopenable
from holdfast.core.seal.identity import Device, DeviceList
from holdfast.core.seal.inner import Inner
from holdfast.core.seal.olm import Ciphertext, Session
from holdfast.core.seal.padding import TooLong
from holdfast.core.seal.pairwise import (
    ACK_AT_MOST,
    ACK_DELAY,
    ASK_AGAIN,
    MAX_CONTENT,
    SMALL_CONTENT,
    CannotSend,
    Message,
    Opened,
    Outgoing,
    Pairwise,
)
from holdfast.core.seal.trail import WINDOW
from holdfast.core.seal.waiting import MAX_RECORDS, Record
from holdfast.testing.pairs import DAY, NOW, Met, deliver, meet, seeded, settle

DRAW = seeded("pairwise")


def opened(seed: str = "opened") -> tuple[Pairwise, Pairwise]:
    anna, boris = meet(seed).pair
    settle(anna, boris, NOW + DAY)
    return anna, boris


def seal(end: Pairwise, content: bytes) -> bytes:
    return end.seal(content, NOW, DRAW).blob


def contents(end: Pairwise, *blobs: bytes) -> list[bytes]:
    return [m.content for blob in blobs for m in end.open(blob, NOW).messages]


def again(end: Pairwise) -> Pairwise:
    return Pairwise.load(end.dump(DRAW))


def test_sizes_are_what_the_specification_says() -> None:
    anna, boris = opened()
    for _ in range(200):
        assert len(seal(anna, bytes(SMALL_CONTENT))) == 512
    assert len(seal(anna, bytes(SMALL_CONTENT + 1))) == 1024
    assert len(seal(boris, b"twenty characters ok")) == 512
    opening = meet().pair[0]
    assert len(seal(opening, b"twenty characters ok")) == 2048
    assert len(seal(opening, bytes(MAX_CONTENT))) == 65_536
    with pytest.raises(TooLong, match="60000"):
        seal(anna, bytes(MAX_CONTENT + 1))


def test_order_is_kept_whatever_order_records_come_in() -> None:
    anna, boris = opened()
    blobs = [seal(anna, b"%d" % n) for n in range(100)]
    assert contents(boris, *reversed(blobs)) == [b"%d" % n for n in range(100)]


def test_a_gap_is_seen_asked_for_and_filled() -> None:
    anna, boris = opened()
    blobs = {out.seq: out.blob for out in (anna.seal(b"%d" % n, NOW, DRAW) for n in range(5))}
    first = min(blobs)
    assert contents(boris, blobs[first], blobs[first + 3], blobs[first + 4]) == [b"0"]
    assert boris.gap == (first + 1, first + 2)
    boris.caught_up(NOW)
    assert boris.due(receipts=False) == 0
    asked = anna.open(boris.control(NOW, DRAW).blob, NOW)
    assert asked.resend == ((first + 1, first + 2),)
    assert contents(boris, blobs[first + 1], blobs[first + 2]) == [b"1", b"2", b"3", b"4"]
    assert boris.gap is None


def test_the_same_gap_is_asked_for_once_a_minute() -> None:
    anna, boris = opened()
    seal(anna, b"lost")
    contents(boris, seal(anna, b"here"))
    boris.caught_up(NOW)
    boris.control(NOW, DRAW)
    boris.caught_up(NOW + ASK_AGAIN - 1)
    assert boris._ask is None
    boris.caught_up(NOW + ASK_AGAIN)
    assert boris._ask is not None


def test_a_peer_is_sent_again_only_what_it_has_not_acknowledged() -> None:
    anna, boris = opened()
    base = anna.sent
    deliver(anna, boris, b"1")
    anna.open(boris.control(NOW, DRAW).blob, NOW)
    seal(anna, b"2")
    for asked, expected in (
        ((1, 0), ((base + 2, base + 2),)),
        ((0, 2**64 - 1), ((base + 2, base + 2),)),
        ((1, base + 1), ()),
        ((base + 3, 0), ()),
    ):
        boris._ask = asked
        assert anna.open(boris.control(NOW, DRAW).blob, NOW).resend == expected


def test_duplicates_bring_nothing_even_after_a_restart() -> None:
    anna, boris = opened()
    blobs = [seal(anna, b"%d" % n) for n in range(3)]
    assert len(contents(boris, *blobs)) == 3
    assert contents(boris, *blobs) == []
    assert contents(again(boris), *blobs) == []


def test_the_buffer_is_bounded_in_records_and_bytes() -> None:
    anna, boris = opened()
    first = seal(anna, b"first")
    blobs = [seal(anna, b"") for _ in range(MAX_RECORDS + 10)]
    contents(boris, *blobs)
    assert len(boris._waiting.records) < MAX_RECORDS
    assert len(contents(boris, first)) == MAX_RECORDS
    assert boris.gap is None
    anna, boris = opened()
    first = seal(anna, b"first")
    contents(boris, *(seal(anna, bytes(MAX_CONTENT)) for _ in range(160)))
    assert boris._waiting.bytes <= waiting.MAX_BYTES
    assert len(boris._waiting.records) >= 120
    assert len(contents(boris, first)) > 120
    assert boris._waiting.bytes == 0


def test_an_acknowledgement_waits_a_second_for_a_message_to_ride_on() -> None:
    anna, boris = opened()
    assert anna.due() is None
    boris.open(seal(anna, b"hello"), NOW)
    assert boris.due() == NOW + ACK_DELAY
    anna.open(seal(boris, b"hello to you"), NOW)
    assert boris.due() == boris._state.outer.since + 7 * DAY
    assert anna.acked == anna.sent
    anna.open(boris.control(NOW, DRAW).blob, NOW)
    anna.control(NOW, DRAW)
    assert anna.due() is None


def test_without_receipts_only_every_thousandth_record_is_acknowledged() -> None:
    anna, boris = opened()
    for n in range(1, ACK_AT_MOST):
        deliver(boris, anna, b"%d" % n)
    assert anna.due(receipts=False) is None
    deliver(boris, anna, b"one more")
    assert anna.due(receipts=False) == 0


def test_nothing_is_answered_to_a_mere_acknowledgement() -> None:
    anna, boris = opened()
    deliver(anna, boris, b"hello")
    anna.open(boris.control(NOW, DRAW).blob, NOW)
    assert anna.due() is None


def test_an_end_survives_being_stored_at_any_point() -> None:
    anna, boris = meet().pair
    for n in range(300):
        anna, boris = again(boris), again(anna)
        content = b"%d" % n
        assert [m.content for m in deliver(anna, boris, content).messages] == [content]
        if n % 10 == 0:
            settle(anna, boris, NOW + DAY)
    assert anna._state.outer.epoch > 3


def test_the_pickle_in_each_dump_has_a_key_of_its_own() -> None:
    anna, _ = opened()
    anna.dump(DRAW)
    first = anna._state.pickle_key, anna._state.pickle
    anna.dump(DRAW)
    assert anna._state.pickle_key != first[0]
    assert anna._state.pickle != first[1]


@given(st.binary(max_size=300))
def test_a_damaged_store_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        Pairwise.load(data)


def test_no_secret_is_in_what_is_printed() -> None:
    anna, _ = opened()
    anna.dump(DRAW)
    assert repr(anna) == f"Pairwise(sent={anna.sent}, received={anna.received}, frozen='')"
    met = meet("printed")
    state = met.at_anna.pairwise._state
    state.outer.offered = bytes(range(96))
    inside = Inner(1, 2, bytes(32), bytes(32), share=b"S" * 32, content=b"secret words")
    printed = repr((met.at_anna, state, state.outer, HpkeKey.make(bytes(range(96))), inside))
    printed += repr(Opened((Message(1, b"secret words"),)))
    for secret in (
        b"secret words",
        b"S" * 32,
        bytes(range(96)),
        state.outer.share,
        met.at_anna.mine.caps.locator,
        met.at_anna.theirs.caps.append,
    ):
        assert repr(secret)[2:20] not in printed


def test_a_bare_olm_message_is_refused() -> None:
    anna, boris = opened()
    olm = anna._session.encrypt(Inner(anna.sent + 1, 0, bytes(32), bytes(32)).encode())
    body = olm.body.ljust(512, b"\0")
    for blob in (olm.body, body, bytes([olm.kind]) + body[:-1]):
        with pytest.raises(Unopenable):
            boris.open(blob, NOW)


def crafted(end: Pairwise, change: Callable[[Inner], Inner]) -> bytes:
    """A record of a peer that writes other things inside than it should."""
    encode = Inner.encode
    with patch.object(Inner, "encode", lambda inner: encode(change(inner))):
        return seal(end, b"crafted")


def replaced(**fields: object) -> Callable[[Inner], Inner]:
    def change(inner: Inner) -> Inner:
        values = {name: getattr(inner, name) for name in inner.__dataclass_fields__}
        return Inner(**{**values, **fields})

    return change


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": 99},
        {"ack": 0},
        {"context": bytes(32)},
        {"share": bytes(32)},
        {"offer": bytes(1216)},
        {"answer": bytes(1168)},
        {"devices": b"junk"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_false_statement_inside_is_refused_and_leaves_no_trace(
    fields: dict[str, object],
) -> None:
    anna, boris = opened()
    deliver(boris, anna, b"so that there is something to acknowledge")
    before = boris._session.dump(bytes(32)), boris.received
    held = again(anna)
    blob = crafted(held, replaced(**fields))
    with pytest.raises(Unopenable):
        boris.open(blob, NOW)
    assert (boris._session.dump(bytes(32)), boris.received) == before
    assert contents(boris, seal(anna, b"true")) == [b"true"]


def test_offers_come_from_one_side_one_at_a_time_and_after_the_opening() -> None:
    offer = replaced(offer=HpkeKey.make(bytes(range(96))).public)
    anna, boris = opened()
    with pytest.raises(Unopenable):
        boris.open(crafted(anna, offer), NOW)
    anna, boris = opened()
    anna.open(crafted(boris, offer), NOW)
    assert anna.due() == 0
    with pytest.raises(Unopenable):
        anna.open(crafted(boris, offer), NOW)
    anna, boris = meet().pair
    with pytest.raises(Unopenable):
        anna.open(crafted(boris, offer), NOW)


def test_a_second_share_changes_nothing() -> None:
    anna, boris = meet().pair
    deliver(anna, boris, b"with the share")
    first = dict(boris._state.outer.keys)
    blob = crafted(anna, replaced(share=b"another share of thirty-two bytes"[:32]))
    assert contents(boris, blob) == [b"crafted"]
    assert boris._state.outer.keys == first
    assert contents(anna, seal(boris, b"under O_0")) == [b"under O_0"]


def test_a_record_for_one_direction_is_refused_in_the_other() -> None:
    anna, boris = opened()
    blob = seal(anna, b"to boris")
    with pytest.raises(Unopenable):
        anna.open(blob, NOW)
    assert contents(boris, blob) == [b"to boris"]


def test_an_older_state_ends_the_session_before_it_sends() -> None:
    anna, boris = opened()
    stored = anna.dump(DRAW)
    deliver(anna, boris, b"after the backup")
    acknowledging = seal(boris, b"seen")
    restored = Pairwise.load(stored)
    assert restored.open(acknowledging, NOW).messages == ()
    assert restored.frozen == "rollback"
    with pytest.raises(CannotSend, match="invite each other again"):
        seal(restored, b"would reuse a key")
    with pytest.raises(Unopenable):
        restored.open(seal(boris, b"more"), NOW)
    assert Pairwise.load(restored.dump(DRAW)).frozen == "rollback"
    assert restored.due() is None


def test_an_older_state_is_seen_even_behind_a_gap() -> None:
    anna, boris = opened()
    stored = anna.dump(DRAW)
    deliver(anna, boris, b"after the backup")
    seal(boris, b"already trimmed by the lost state")
    restored = Pairwise.load(stored)
    restored.open(seal(boris, b"later"), NOW)
    assert restored.frozen == "rollback"


def test_a_peer_that_forgets_acknowledgements_was_set_back() -> None:
    anna, boris = opened()
    deliver(anna, boris, b"1")
    deliver(boris, anna, b"2")
    encode, low, outside = Inner.encode, replaced(ack=1), Record.encode
    with (
        patch.object(Inner, "encode", lambda inner: encode(low(inner))),
        patch.object(Record, "encode", lambda seq, ack, *rest: outside(seq, 1, *rest)),
    ):
        blob = seal(boris, b"3")
    assert anna.open(blob, NOW).messages == ()
    assert anna.frozen == "rollback"


def lists(met: Met) -> tuple[DeviceList, DeviceList, DeviceList]:
    """Boris's list with a second device, another successor, and one without the first."""
    first = met.boris.devices
    other = Device(met.anna.party.device, met.anna.party.curve25519)
    root, recovery = met.boris.root_key, first.recovery
    return (
        DeviceList.sign(root, recovery, (*first.devices, other), first),
        DeviceList.sign(root, recovery, (other, *first.devices), first),
        DeviceList.sign(root, recovery, (other,), first),
    )


def test_a_new_device_list_is_learnt() -> None:
    met = meet()
    anna, boris = met.pair
    longer, _, _ = lists(met)
    boris.tell(longer)
    assert boris.due(receipts=False) == 0
    anna.open(again(boris).control(NOW, DRAW).blob, NOW)
    assert anna.frozen == ""
    assert again(anna).peer.head == longer.head


def test_two_successors_of_one_list_freeze_sending() -> None:
    met = meet()
    anna, boris = met.pair
    longer, other, _ = lists(met)
    boris.tell(longer)
    deliver(boris, anna, b"1")
    boris.tell(other)
    assert [m.content for m in deliver(boris, anna, b"2").messages] == [b"2"]
    assert again(anna).frozen == "fork"
    with pytest.raises(CannotSend, match="two different device lists"):
        seal(anna, b"x")
    assert [m.content for m in deliver(boris, anna, b"3").messages] == [b"3"]


def test_a_head_nobody_told_us_of_freezes_sending() -> None:
    met = meet()
    anna, boris = met.pair
    boris.tell(lists(met)[0])
    boris._state.tell = None
    deliver(boris, anna, b"1")
    assert anna.frozen == "fork"


def test_a_list_without_the_device_ends_writing_to_it() -> None:
    met = meet()
    anna, boris = met.pair
    boris.tell(lists(met)[2])
    deliver(boris, anna, b"bye")
    assert anna.frozen == "removed"


def test_a_strangers_list_is_refused() -> None:
    met = meet()
    anna, boris = met.pair
    with pytest.raises(Unopenable):
        anna.open(crafted(boris, replaced(devices=met.anna.devices.encode())), NOW)


class Side:
    """One end with its outbox and what it has read, as a node would keep them."""

    def __init__(self, end: Pairwise) -> None:
        self.end = end
        self.outbox: dict[int, bytes] = {}
        self.wrote: list[bytes] = []
        self.read: list[bytes] = []
        self.log: list[bytes] = []

    def keep(self, out: Outgoing) -> bytes:
        assert out.seq not in self.outbox
        self.outbox[out.seq] = out.blob
        return out.blob


Step = tuple[str, int, int]
steps = st.tuples(
    st.sampled_from(
        ["write", "write", "deliver", "deliver", "replay", "drop", "ask", "owe", "restart"]
    ),
    st.integers(0, 1),
    st.integers(0, 30),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=120), st.booleans())
def test_any_schedule_gives_the_same_transcript(schedule: list[Step], fresh: bool) -> None:
    """Drops, duplicates, reordering, replays and restarts, then everything unacknowledged
    again. Before that each side has read a beginning of what the other wrote."""
    sides = [Side(end) for end in (meet("schedule").pair if fresh else opened("schedule"))]
    wire: list[list[bytes]] = [[], []]
    places: set[tuple[bytes, int]] = set()
    now = NOW
    encrypt = Session.encrypt

    def encrypt_once(session: Session, plaintext: bytes) -> Ciphertext:
        message = encrypt(session, plaintext)
        assert message.place not in places
        places.add(message.place)
        return message

    def take(to: int, blob: bytes) -> None:
        side = sides[to]
        side.log.append(blob)
        before = side.end.received, side.end.acked
        try:
            got = side.end.open(blob, now)
        except Unopenable:
            # Only what a key is gone for, and that was taken before.
            assert blob in side.log[:-1]
            assert before == (side.end.received, side.end.acked)
            return
        side.read += [message.content for message in got.messages]
        for first, last in got.resend:
            wire[1 - to] += [side.outbox[seq] for seq in range(first, last + 1)]

    with patch.object(Session, "encrypt", encrypt_once):
        for kind, which, number in schedule:
            side, waiting = sides[which], wire[1 - which]
            now += 1000
            if kind == "write":
                content = b"%d/%d" % (which, len(side.wrote))
                side.wrote.append(content)
                wire[which].append(side.keep(side.end.seal(content, now, DRAW)))
            elif kind == "owe" and (due := side.end.due()) is not None and due <= now:
                wire[which].append(side.keep(side.end.control(now, DRAW)))
            elif kind == "ask":
                side.end.caught_up(now)
            elif kind == "restart":
                side.end = again(side.end)
            elif kind == "replay" and side.log:
                take(which, side.log[number % len(side.log)])
            elif kind in ("deliver", "drop") and waiting:
                blob = waiting.pop(number % len(waiting))
                if kind == "deliver":
                    take(which, blob)
            for me, other in (sides, sides[::-1]):
                assert me.read == other.wrote[: len(me.read)]
        for _ in range(12):
            now += ASK_AGAIN
            for which, side in enumerate(sides):
                side.end.caught_up(now)
                if (due := side.end.due()) is not None and due <= now:
                    side.keep(side.end.control(now, DRAW))
                for seq in range(side.end.acked + 1, side.end.sent + 1):
                    if seq in side.outbox:
                        take(1 - which, side.outbox[seq])
    for me, other in (sides, sides[::-1]):
        assert me.read == other.wrote
        assert me.end.gap is None
        assert me.end.frozen == ""


def test_an_older_state_is_seen_though_it_has_sealed_as_much_again() -> None:
    anna, boris = opened()
    stored = anna.dump(DRAW)
    deliver(anna, boris, b"after the backup")
    restored = Pairwise.load(stored)
    deliver(restored, boris, b"under the same number")
    assert boris.frozen == "rollback"


def test_what_a_peer_acknowledges_is_what_was_sealed() -> None:
    anna, boris = opened()
    stored = anna.dump(DRAW)
    deliver(anna, boris, b"after the backup")
    acknowledging = seal(boris, b"seen")
    restored = Pairwise.load(stored)
    seal(restored, b"under the same number")
    assert restored.open(acknowledging, NOW).messages == ()
    assert restored.frozen == "rollback"


def test_a_copy_that_seals_on_ends_the_session() -> None:
    anna, boris = opened()
    copy = Pairwise.load(anna.dump(DRAW))
    for _ in range(WINDOW + 5):
        deliver(copy, boris, b"injected")
        seal(anna, b"lost")
    assert contents(boris, seal(anna, b"as if nothing had happened")) == []
    assert boris.frozen == "rollback"


def test_the_very_same_record_again_is_none_of_that() -> None:
    anna, boris = opened()
    blobs = [seal(anna, b"%d" % n) for n in range(WINDOW + 5)]
    for blob in [*blobs, *blobs]:
        boris.open(blob, NOW)
    assert not boris.frozen
    assert contents(boris, seal(anna, b"on")) == [b"on"]
