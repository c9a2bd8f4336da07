"""The roster folds to the same group, whatever came first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.group.entries import AnyOp, Appoint, BadEntry, Entry, Leave, Remove, Set
from holdfast.core.group.roster import Roster
from holdfast.testing.groups import act, add, fold, found, root


def grown(*roles: str) -> tuple[Entry, Entry]:
    """A founding, and one entry that adds people 1, 2, … with these roles."""
    first = found()
    ops = [add(n, role) for n, role in enumerate(roles, 1)]
    return first, act(0, (first.hash,), first.hash, *ops)


def who(roster: Roster) -> dict[int, str]:
    view = roster.view()
    return {n: view.role(root(n)) for n in range(8) if view.holds(root(n))}  # type: ignore[misc]


def test_a_group_of_three() -> None:
    roster = fold(*grown("admin", "member"))
    assert who(roster) == {0: "owner", 1: "admin", 2: "member"}
    assert roster.view().setting("title") == "Friends"


def test_who_is_no_member_or_admin_changes_nothing() -> None:
    first, second = grown("admin", "member")
    roster = fold(first, second)
    for author in (2, 5):
        for op in (add(6), Remove(root(1)), Set("title", "mine"), Appoint(root(2), "admin")):
            with pytest.raises(BadEntry):
                roster.add(act(author, (second.hash,), roster.id, op))
    with pytest.raises(BadEntry):
        roster.add(act(1, (second.hash,), roster.id, Remove(root(0))))
    with pytest.raises(BadEntry):
        roster.add(act(5, (second.hash,), roster.id, add(5)))


def test_removal_beats_an_addition_that_did_not_know_of_it() -> None:
    first, second = grown("admin", "member")
    out = act(0, (second.hash,), first.hash, Remove(root(2)))
    again = act(0, (out.hash,), first.hash, add(2))
    once_more = act(1, (again.hash,), first.hash, Remove(root(2)))
    beside = act(0, (again.hash,), first.hash, Set("title", "x"))
    assert who(fold(first, second, out)) == {0: "owner", 1: "admin"}
    assert who(fold(first, second, out, again)) == {0: "owner", 1: "admin", 2: "member"}
    for order in itertools.permutations((once_more, beside)):
        assert 2 not in who(fold(first, second, out, again, *order))
    # Two admins at once, from where person 2 is out: one adds, one bans.
    back = act(0, (out.hash,), first.hash, add(2))
    gone = act(1, (second.hash,), first.hash, Remove(root(2), True))
    for order in ((out, back, gone), (gone, out, back), (out, gone, back)):
        assert 2 not in who(fold(first, second, *order))


def test_what_the_removed_did_meanwhile_is_void() -> None:
    first, second = grown("admin", "member")
    out = act(0, (second.hash,), first.hash, Remove(root(1)))
    meanwhile = act(1, (second.hash,), first.hash, add(5))
    late = act(1, (meanwhile.hash,), first.hash, add(6))
    for order in ((out, meanwhile, late), (meanwhile, out, late), (meanwhile, late, out)):
        roster = fold(first, second, *order)
        assert who(roster) == {0: "owner", 2: "member"}
        assert {v.entry.hash for v in roster.voided()} == {meanwhile.hash, late.hash}
    with pytest.raises(BadEntry):
        fold(first, second, out).add(act(1, (out.hash,), first.hash, add(5)))


def test_of_two_who_remove_each_other_the_senior_stays() -> None:
    first, second = grown("admin", "member")
    third = act(0, (second.hash,), first.hash, Appoint(root(2), "admin"))
    one = act(1, (third.hash,), first.hash, Remove(root(2)))
    other = act(2, (third.hash,), first.hash, Remove(root(1)))
    for order in itertools.permutations((one, other)):
        assert who(fold(first, second, third, *order)) == {0: "owner", 1: "admin"}


def test_three_in_a_ring_converge() -> None:
    first, second = grown("admin", "admin", "admin")
    pairs = (1, 2), (2, 3), (3, 1)
    ring = [act(a, (second.hash,), first.hash, Remove(root(b))) for a, b in pairs]
    seen = {tuple(who(fold(first, second, *o)).items()) for o in itertools.permutations(ring)}
    assert len(seen) == 1


Acts = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(("add", "remove", "ban", "admin", "demote", "leave", "title")),
        st.integers(0, 7),
        st.integers(0, 2**16),
    ),
    max_size=10,
)


def played(acts: list[tuple[int, str, int, int]]) -> list[Entry]:
    """Entries that people make who have each seen a part of what is there."""
    given = [*grown("admin", "admin", "member", "member")]
    for number, (author, what, target, seen) in enumerate(acts):
        partial = Roster(given[0])
        for n, entry in enumerate(given[1:]):
            if n == 0 or seen >> n & 1:
                try:
                    partial.add(entry)
                except BadEntry:
                    continue
        ops: dict[str, AnyOp] = {
            "add": add(target),
            "remove": Remove(root(target)),
            "ban": Remove(root(target), True),
            "admin": Appoint(root(target), "admin"),
            "demote": Appoint(root(target), "member"),
            "leave": Leave(),
            "title": Set("title", f"t{number}"),
        }
        entry = act(author, partial.tips, given[0].hash, ops[what])
        try:
            partial.add(entry)
        except BadEntry:
            continue
        given.append(entry)
    return given


@settings(max_examples=120, deadline=None)
@given(Acts, st.randoms(use_true_random=False))
def test_every_order_gives_the_same_group(acts, random) -> None:
    given = played(acts)
    expected = fold(*given)
    for _ in range(3):
        left = given[1:]
        random.shuffle(left)
        roster = Roster(given[0])
        while left:
            entry = next(e for e in left if not roster.missing(e))
            left.remove(entry)
            roster.add(entry)
        assert who(roster) == who(expected)
        assert roster.head == expected.head and roster.tips == expected.tips
        assert roster.view().setting("title") == expected.view().setting("title")
        assert [v.entry.hash for v in roster.voided()] == [v.entry.hash for v in expected.voided()]
        one, other = roster.renewal(roster.all), expected.renewal(expected.all)
        assert (one and one.hash) == (other and other.hash)


@settings(max_examples=120, deadline=None)
@given(Acts)
def test_nobody_who_is_out_holds_the_key(acts) -> None:
    """Whoever was removed, or whose addition came to nothing, held no secret from which the
    one of the whole follows."""
    given = played(acts)
    roster = fold(*given)
    renewal = roster.renewal(roster.all)
    if renewal is None:
        return
    known, view = roster.all, roster.view()
    left = {e.body.root for e in given if any(isinstance(op, Leave) for op in e.body.ops)}
    while True:
        source = roster.source(known)
        assert source is not None
        past = roster.view(roster.tips_of(known))
        assert {r for r in past.roots() if not view.holds(r)} <= left
        if source == known:
            break
        known = source
