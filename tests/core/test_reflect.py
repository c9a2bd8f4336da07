"""Asking a relay from where one is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.reflect import SIZE, WITHIN, Address, Mirror, answered, ask, looks, pack, unpack
from holdfast.testing.entropy import seeded

NOW = 1_700_000_000_000
SECRET, OTHER = b"s" * 16, b"o" * 16
addresses = st.tuples(
    st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str), st.integers(0, 65_535)
)


@given(addresses)
def test_who_asks_is_told(address: Address) -> None:
    question = ask(SECRET, NOW, seeded("a"))
    answer = Mirror([OTHER, SECRET]).answer(question, address, NOW + 500, seeded("b"))
    assert answer is not None
    assert len(answer) == len(question) == SIZE
    assert looks(answer) and looks(question)
    told = answered(SECRET, question, answer)
    assert told is not None
    assert pack(told) == pack(address)
    assert answered(OTHER, question, answer) is None
    assert answered(SECRET, ask(SECRET, NOW, seeded("c")), answer) is None


def test_strangers_latecomers_and_repeaters_are_not_answered() -> None:
    mirror, place = Mirror([SECRET]), ("203.0.113.1", 9)
    question = ask(SECRET, NOW, seeded("a"))
    assert mirror.answer(ask(OTHER, NOW, seeded("b")), place, NOW, seeded("x")) is None
    assert mirror.answer(question, place, NOW + WITHIN + 1, seeded("x")) is None
    assert mirror.answer(question, place, NOW, seeded("x")) is not None
    for later in (0, WITHIN // 2, WITHIN):
        assert mirror.answer(question, place, NOW + later, seeded("x")) is None


@given(st.binary(max_size=2 * SIZE))
def test_garbage(data: bytes) -> None:
    assert Mirror([SECRET]).answer(data, ("203.0.113.1", 9), NOW, seeded("x")) is None
    assert answered(SECRET, ask(SECRET, NOW, seeded("a")), data) is None
    found = unpack(data)
    assert found is None or unpack(pack(found)) == found


@pytest.mark.parametrize("text", ["::ffff:203.0.113.5", "203.0.113.5"])
def test_an_address_of_ipv4_is_one_however_it_was_written(text: str) -> None:
    assert unpack(pack((text, 1))) == ("203.0.113.5", 1)
