"""group-withheld-removal: a relay keeps a removal from some members.

Elsewhere: WhatsApp, Signal and Threema groups (More is Less, 2018). Whoever holds the removal
never encrypts to who was removed; who does not is shown to be behind.
"""

import pytest

from holdfast.core.group.entries import Remove
from holdfast.core.group.epochs import Epochs
from holdfast.core.group.roster import Roster
from holdfast.node import group_talk
from holdfast.node.group_state import Group, Keys
from holdfast.testing.groups import act, fold, person, root, secret_of, talking


def can_read() -> bool:
    """Person 3 was removed and has every entry and all that it was ever given."""
    group, _, before = talking()
    theirs = Epochs(fold(*group.entries))
    theirs.hold(before.tips, before.secret)
    out = act(0, group.tips, group.id, Remove(root(3)))
    group.add(out)
    theirs._roster.add(out)
    mine = Epochs(group)
    mine.hold((out.hash,), secret_of(0))
    now, reached = mine.now(), theirs.now()
    assert now is not None
    return reached is not None and (reached == now or reached.tips == now.tips)


def test_whoever_knows_of_it_does_not_encrypt_to_the_removed() -> None:
    assert not can_read()


def test_twin_where_a_removal_derives_its_key_as_an_addition_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def source(self: Roster, known: int) -> int | None:
        tip = self.index[self.tips_of(known)[0]]
        return known & ~(1 << tip) if self.entries[tip].body.parents else known

    monkeypatch.setattr(Roster, "source", source)
    assert can_read()


def looks_fresh() -> bool:
    """Person 2, from whom it is withheld, writes under the epoch before."""
    group, epochs, before = talking()
    out = act(0, group.tips, group.id, Remove(root(3)))
    group.add(out)
    epochs.hold((out.hash,), secret_of(0))
    return not group_talk._stale(Group("c", group, epochs, Keys([]), person(0).party), before)


def test_who_does_not_know_of_it_is_shown_to_be_behind() -> None:
    assert not looks_fresh()


def test_twin_that_does_not_compare_states_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_talk, "_of", lambda *_: [])
    assert looks_fresh()
