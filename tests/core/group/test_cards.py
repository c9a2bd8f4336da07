"""Cards, and secrets sealed to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.group import cards
from holdfast.core.seal.hpke import Unopenable
from holdfast.testing.entropy import seeded
from holdfast.testing.groups import person, root

GROUP, TIPS, SECRET, LOG = b"g" * 32, (b"t" * 32,), b"s" * 32, b"l" * 96


def card(number: int) -> tuple[bytes, bytes]:
    me = person(number)
    return cards.make(GROUP, me.party, f"p{number}", 7, me.account, seeded(f"card {number}"))


def test_a_secret_is_for_those_whose_cards_it_is_sealed_to() -> None:
    read = [cards.read(card(number)[0], GROUP) for number in (1, 2)]
    (record,) = cards.wrap(GROUP, TIPS, SECRET, LOG, read)
    for number in (1, 2):
        found = cards.unwrap(record, GROUP, root(number), (card(number)[1],))
        assert found is not None and found[1] == SECRET and found[0].log == LOG
    assert cards.unwrap(record, GROUP, root(3), (card(3)[1],)) is None
    assert cards.unwrap(record, GROUP, root(1), (card(2)[1],)) is None
    assert cards.unwrap(record, b"h" * 32, root(1), (card(1)[1],)) is None


def test_more_than_one_record_takes() -> None:
    read = [cards.read(card(1)[0], GROUP)] * (cards.WRAPS + 1)
    assert len(cards.wrap(GROUP, TIPS, SECRET, LOG, read)) == 2


def test_a_card_is_of_one_group_and_one_device() -> None:
    body, _ = card(1)
    with pytest.raises(Unopenable):
        cards.read(body, b"h" * 32)
    stolen = body.replace(root(1), root(2))
    with pytest.raises(Unopenable):
        cards.read(stolen, GROUP)
    asked = cards.ask(GROUP, person(1).party, TIPS, 7, person(1).account)
    assert cards.read_ask(asked, GROUP).tips == TIPS
    for reader in (cards.read, cards.read_ask):
        with pytest.raises(Unopenable):
            reader(asked if reader is cards.read else body, GROUP)


@given(st.binary(max_size=300))
def test_garbage_is_refused(garbage: bytes) -> None:
    for reader in (cards.read, cards.read_ask):
        with pytest.raises(Unopenable):
            reader(garbage, GROUP)
    with pytest.raises(Unopenable):
        cards.unwrap(garbage, GROUP, root(1), (bytes(31) + b"1",))
