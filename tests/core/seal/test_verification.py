import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal import verification
from holdfast.core.seal.emoji import EMOJI
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.verification import TIMEOUT, Verification
from holdfast.testing.pairs import NOW, seeded

DRAW = seeded("sas")
ANNA, BORIS, CLARA = (Identity.create(DRAW)[0].party for _ in range(3))


def ends() -> tuple[Verification, Verification]:
    return Verification(ANNA, BORIS), Verification(BORIS, ANNA)


def talk(one: Verification, other: Verification, to_other: list[bytes]) -> None:
    """Carry steps until none is left."""
    to_one: list[bytes] = []
    while to_one or to_other:
        to_one += [out for body in to_other for out in other.handle(body, NOW)]
        to_other = [out for body in to_one for out in one.handle(body, NOW)]
        to_one = []


def compare() -> tuple[Verification, Verification]:
    one, other = ends()
    talk(one, other, one.start(NOW, DRAW))
    assert other.state == "asked"
    talk(other, one, other.start(NOW, DRAW))
    return one, other


def test_both_see_the_same_seven_and_end_verified() -> None:
    one, other = compare()
    assert one.state == other.state == "compare"
    assert one.emoji == other.emoji
    assert len(one.emoji) == 7
    assert all(pair in EMOJI for pair in one.emoji)
    talk(one, other, one.confirm(True, NOW))
    assert (one.state, other.state) == ("confirmed", "compare")
    talk(other, one, other.confirm(True, NOW))
    assert [one.state, other.state] == ["done", "done"]
    assert (one.verified, other.verified) == (BORIS.root, ANNA.root)


def test_there_are_64_different_symbols_and_names() -> None:
    assert len({symbol for symbol, _ in EMOJI}) == len({name for _, name in EMOJI}) == 64


def test_both_may_ask_at_once() -> None:
    one, other = ends()
    first, second = one.start(NOW, DRAW), other.start(NOW, DRAW)
    answers = [out for body in second for out in one.handle(body, NOW)]
    more = [out for body in first for out in other.handle(body, NOW)]
    talk(other, one, more)
    talk(one, other, answers)
    assert one.state == other.state == "compare"
    assert one.emoji == other.emoji


def test_saying_no_ends_it_for_both() -> None:
    one, other = compare()
    talk(one, other, one.confirm(False, NOW))
    assert one.state == other.state == "mismatch"
    assert one.verified is other.verified is None
    assert other.confirm(True, NOW) == []


def test_the_strings_cover_root_device_and_list_of_both() -> None:
    for part in ("root", "device", "curve25519", "head"):
        other_boris = msgspec.structs.replace(BORIS, **{part: getattr(CLARA, part)})
        one, other = Verification(ANNA, other_boris), Verification(BORIS, ANNA)
        talk(one, other, one.start(NOW, DRAW))
        talk(other, one, other.start(NOW, DRAW))
        assert one.state == other.state == "mismatch", part


def test_a_mac_over_another_list_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = compare()
    monkeypatch.setattr(Verification, "_claim", staticmethod(lambda end: "another"))
    out = one.confirm(True, NOW)
    monkeypatch.undo()
    talk(one, other, out)
    assert one.state == other.state == "mismatch"


def test_it_ends_after_ten_minutes_without_a_step() -> None:
    one, other = ends()
    assert one.expire(NOW) == []
    talk(one, other, one.start(NOW, DRAW))
    assert one.expire(NOW + TIMEOUT - 1) == []
    talk(one, other, one.expire(NOW + TIMEOUT))
    assert one.state == other.state == "cancelled"


def test_a_step_of_a_forgotten_comparison_is_answered_with_a_cancel() -> None:
    one, other = ends()
    talk(one, other, one.start(NOW, DRAW))
    (commit,) = other.start(NOW, DRAW)
    forgetful = Verification(ANNA, BORIS)
    talk(forgetful, other, forgetful.handle(commit, NOW))
    assert other.state == "cancelled"


def test_steps_out_of_order_cancel() -> None:
    one, other = compare()
    name = one._id
    for step in (verification.Commit(name, bytes(32)), verification.Show(name, b"\x09" * 32)):
        one, other = compare()
        name = one._id
        body = one._say(type(step)(name, *[getattr(step, step.__struct_fields__[1])]))
        other.handle(body, NOW)
        assert other.state == "cancelled"


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_garbage_never_raises_and_never_verifies(bodies: list[bytes]) -> None:
    one, _ = compare()
    for body in bodies:
        one.handle(body, NOW)
    assert one.state in ("compare", "cancelled")


@given(st.text(max_size=64))
def test_a_garbled_mac_is_a_mismatch(mac: str) -> None:
    one, _ = compare()
    one.confirm(True, NOW)
    one.handle(one._say(verification.Confirm(one._id, mac)), NOW)
    assert one.state == "mismatch"
