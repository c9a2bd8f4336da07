"""prekey-drain: somebody uses up the keys that first messages to a person need.

Elsewhere: Prekey Pogo (2025): a server hands everybody's one-time keys to whoever asks, until none
are left and the next conversation is less secret. Here a key belongs to one invitation, and nobody
without its link can use it up.
"""

from typing import Any

import pytest

from holdfast.core.seal.bundle import open_bundle
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.invitation import Contact, Invitation, Repeat, Used, accept
from holdfast.core.seal.olm import AccountState
from holdfast.testing.pairs import DAY, NOW, home, seeded

DRAW = seeded("prekey-drain")


def drained(public: bool) -> bool:
    """A stranger answers every invitation as often as it can; then Boris answers his. The stranger
    has all that a relay has, and with `public` also what the bundle says, as on a key server."""
    anna, boris, stranger = (Identity.create(DRAW)[0] for _ in range(3))
    his = Invitation.create(anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    own = Invitation.create(anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    known = his.link if public else own.link
    bundle = his.record if public else own.record
    for _ in range(8):
        _, answer = accept(known, bundle, stranger, (home(),), b"Mallory", NOW, DRAW)
        for invitation in (his, own):
            try:
                invitation.open_accept(answer, anna, NOW, DRAW)
            except (Unopenable, Used):
                continue
    _, answer = accept(his.link, his.record, boris, (home(),), b"Boris", NOW, DRAW)
    try:
        contact = his.open_accept(answer, anna, NOW, DRAW)
    except Used:
        return True
    return not isinstance(contact, Contact) or contact.many


def test_nobody_without_the_link_uses_its_key_up() -> None:
    assert not drained(public=False)


def test_twin_where_everybody_may_fetch_the_key_it_is_gone() -> None:
    assert drained(public=True)


def shared(invitations: int) -> int:
    """Keys that stand in more than one of so many invitations."""
    anna, _ = Identity.create(DRAW)
    keys: list[bytes] = []
    for _ in range(invitations):
        made = Invitation.create(anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
        said = open_bundle(made.link, made.record, NOW)
        keys += [said.one_time, said.hpke_key]
    return len(keys) - len(set(keys))


def test_no_two_invitations_share_a_key() -> None:
    assert shared(30) == 0


def test_twin_with_one_pool_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with_key = AccountState.with_key
    pool: list[Any] = []

    def from_pool(self: AccountState, *more: Any) -> Any:
        if not pool:
            pool.append(with_key(self, *more))
        return pool[0]

    monkeypatch.setattr(AccountState, "with_key", from_pool)
    assert shared(30) > 0


def test_a_key_that_stays_is_marked_and_its_answers_count_once() -> None:
    anna, boris = (Identity.create(DRAW)[0] for _ in range(2))
    made = Invitation.create(anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW, many=True)
    at_boris, answer = accept(made.link, made.record, boris, (home(),), b"Boris", NOW, DRAW)
    at_anna = made.open_accept(answer, anna, NOW, DRAW)
    assert isinstance(at_anna, Contact)
    assert at_anna.many
    assert at_boris.many
    assert isinstance(made.open_accept(answer, anna, NOW, DRAW), Repeat)
