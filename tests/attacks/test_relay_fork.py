"""relay-fork: a relay shows two people different pasts of one log.

Elsewhere: equivocation (SUNDR, Mazières and Shasha, 2002). Between two people each record says what
its sender said and heard before it, in a group each message names the state of the roster: one
exchange and the fork shows. Nothing is merged in silence.
"""

from contextlib import suppress

import pytest

from holdfast.core.group.entries import Remove
from holdfast.core.group.roster import Roster
from holdfast.core.seal import trail
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.pairwise import CannotSend, Pairwise
from holdfast.testing.groups import act, add, fold, found, root
from holdfast.testing.pairs import DAY, NOW, deliver, meet, seeded, settle

DRAW = seeded("relay-fork")


def told_apart() -> bool:
    """Anna's node is run twice, on two forks of what a relay gave her; Boris hears first one,
    then the other. True if that shows."""
    anna, boris = meet("relay-fork").pair
    settle(anna, boris, NOW + DAY)
    other = Pairwise.load(anna.dump(DRAW))
    deliver(anna, boris, b"on one fork")
    deliver(other, boris, b"on the other")
    with suppress(Unopenable, CannotSend):
        deliver(boris, other, b"which of you?")
    return bool(boris.frozen or other.frozen)


def test_two_pasts_of_one_conversation_show_after_one_exchange() -> None:
    assert told_apart()


def test_twin_with_numbers_alone_they_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "other", lambda *_: False)
    monkeypatch.setattr(trail, "at", lambda *_: None)
    monkeypatch.setattr(trail, "newest", lambda kept: trail.START)
    assert not told_apart()


def heads(merged: bool) -> tuple[bytes, bytes]:
    """What two members name who were shown different acts of their admins."""
    first = found()
    people = act(0, (first.hash,), first.hash, add(1, "admin"), add(2), add(3))
    out = act(0, (people.hash,), first.hash, Remove(root(3)))
    new = act(1, (people.hash,), first.hash, add(4))
    one, other = fold(first, people, out), fold(first, people, new)
    if merged:
        one.add(new)
        other.add(out)
    return one.head, other.head


def test_two_pasts_of_a_group_have_two_heads_until_both_have_both() -> None:
    one, other = heads(merged=False)
    assert one != other
    one, other = heads(merged=True)
    assert one == other


def test_twin_that_names_the_first_entry_alone_sees_no_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Roster, "head", property(lambda self: self.entries[0].hash))
    one, other = heads(merged=False)
    assert one == other
