"""replay: what was taken once is brought again, later, after a restart, or for a new contact.

Elsewhere: LINE, Threema (2023). Olm with a fallback key opens the same first message for ever.
"""

import pytest

from holdfast.core.group.senders import Inbound, announced, read
from holdfast.core.seal import trail
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.core.seal.pairwise import Pairwise
from holdfast.testing import groups
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded, settle

DRAW = seeded("replay")


def answer_again() -> bool:
    """A relay brings the same answer to an invitation for many once more, after a restart."""
    met = meet("replay", many=True)
    restarted = Invitation.load(met.invitation.dump())
    again = restarted.open_accept(met.record, met.anna, NOW, DRAW)
    return isinstance(again, Contact)


def test_an_answer_makes_one_contact() -> None:
    assert not answer_again()


def test_twin_without_the_kept_session_ids_it_makes_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Invitation, "_seen", lambda self, session_id: False)
    assert answer_again()


def test_an_answer_to_a_single_invitation_is_used_up_with_its_keys() -> None:
    met = meet("replay")
    other = Invitation.load(met.invitation.dump())
    assert not isinstance(other.open_accept(met.record, met.anna, NOW, DRAW), Contact)


def message_again(restart: bool) -> bool:
    """Every record of a conversation, opening and key changes included, three times over."""
    anna, boris = meet("replay").pair
    records: list[bytes] = []
    shown: list[bytes] = []
    for n in range(130):
        records.append(boris.seal(b"%d" % n, NOW, DRAW).blob)
        shown += [message.content for message in anna.open(records[-1], NOW).messages]
        if n % 20 == 0:
            settle(anna, boris, NOW + DAY)
    for blob in records * 2:
        if restart:
            anna = Pairwise.load(anna.dump(DRAW))
        try:
            shown += [message.content for message in anna.open(blob, NOW).messages]
        except Unopenable:
            continue
    return len(shown) != len(set(shown)) or len(shown) != 130


@pytest.mark.parametrize("restart", [False, True])
def test_a_message_shows_once_for_ever(restart: bool) -> None:
    assert not message_again(restart)


def test_twin_without_the_sequence_check_the_record_counts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Olm would still refuse to decrypt, so the twin takes its refusal away as well."""
    anna, boris = meet("replay").pair
    plains: dict[bytes, bytes] = {}
    decrypt = type(anna._session).decrypt

    def remember(session: object, message: object) -> bytes:
        body: bytes = message.body  # type: ignore[attr-defined]
        if body not in plains:
            plains[body] = decrypt(session, message)  # type: ignore[arg-type]
        return plains[body]

    monkeypatch.setattr(type(anna._session), "decrypt", remember)
    blob = boris.seal(b"pay 100", NOW, DRAW).blob
    assert len(anna.open(blob, NOW).messages) == 1
    assert anna.open(blob, NOW).messages == ()
    monkeypatch.setattr(Pairwise, "_is_old", lambda self, seq: False)
    monkeypatch.setattr(trail, "newest", lambda kept: bytes(8))
    monkeypatch.setattr(Pairwise, "_is_next", lambda self, seq: True)
    assert len(anna.open(blob, NOW).messages) == 1


def test_an_answer_for_one_invitation_is_nothing_to_another() -> None:
    met = meet("replay", many=True)
    other = Invitation.create(met.anna, (home(),), NOW + DAY, b"", NOW, DRAW, True)
    with pytest.raises(Unopenable):
        other.open_accept(met.record, met.anna, NOW, DRAW)
    _, own = accept(other.link, other.record, met.boris, (home(),), b"", NOW, DRAW)
    assert isinstance(other.open_accept(own, met.anna, NOW, DRAW), Contact)


def group_again() -> int:
    """A relay brings all records of a group's session twice more, in any order, with restarts
    between them: how often something is shown."""
    roster, _, epoch = groups.talking()
    outbound, plain = groups.begin(epoch, 1)
    inbound = announced(epoch, plain, roster.view())
    records = [outbound.seal(epoch, b"%d" % n, DRAW) for n in range(20)]
    shown = 0
    for record in [*records[10:], *records, *reversed(records)]:
        inbound = Inbound.load(inbound.dump())
        try:
            inbound.open(read(epoch.open(record)[1])[1])
        except Unopenable:
            continue
        shown += 1
    return shown


def test_in_a_group_a_session_and_index_show_once_for_ever() -> None:
    assert group_again() == 20


def test_twin_without_the_kept_indexes_they_show_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbound, "_done", lambda self, index: None)
    assert group_again() == 50
