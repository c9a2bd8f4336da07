"""group-ghost-member: somebody is put into a group without an admin's signature.

Elsewhere: WhatsApp, Signal and Threema let whoever ran the server, or knew a group's number,
add a member (More is Less, 2018); Matrix the same; MLS by an external join.
"""

import pytest

from holdfast.core.group import entries, roster
from holdfast.core.group.entries import BadEntry
from holdfast.core.group.senders import announced
from holdfast.core.seal import keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.testing.groups import act, add, begin, root, talking


def ghost(author: int) -> bool:
    """Somebody signs an entry that adds person 6: themselves, a stranger, or a mere member."""
    group, epochs, _ = talking()
    try:
        group.add(act(author, group.tips, group.id, add(6)))
    except BadEntry:
        pass
    epoch = epochs.now()
    assert epoch is not None
    return epochs.view(epoch).holds(root(6))


@pytest.mark.parametrize("author", [2, 5, 6])
def test_nobody_but_an_admin_adds(author: int) -> None:
    assert not ghost(author)


@pytest.mark.parametrize("author", [2, 5, 6])
def test_twin_without_asking_who_may_the_ghost_is_in(
    author: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster.View, "require", lambda self, entry: None)
    assert ghost(author)


def forged(monkeypatch: pytest.MonkeyPatch | None = None) -> bool:
    """A relay that holds every record writes an entry in the owner's name."""
    group, _, _ = talking()
    genuine = act(5, group.tips, group.id, add(6))
    stolen = genuine.data.replace(root(5), root(0), 1)
    try:
        group.add(entries.decode(stolen))
    except BadEntry:
        pass
    return group.view().holds(root(6))


def test_an_entry_in_the_owners_name_needs_the_owners_device() -> None:
    assert not forged()


def test_twin_without_signature_and_device_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    monkeypatch.setattr(roster.View, "has_device", lambda *_: True)
    monkeypatch.setattr(roster.View, "devices", lambda self, root: _Any())
    assert forged()


class _Any:
    """A device list that agrees with everything."""

    @property
    def head(self) -> object:
        return self

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def heard() -> bool:
    """Who is in no entry announces a session all the same, under a secret that leaked."""
    group, _, epoch = talking()
    _, plain = begin(epoch, 6)
    try:
        announced(epoch, plain, group.view())
    except Unopenable:
        return False
    return True


def test_who_is_not_in_it_is_not_heard() -> None:
    assert not heard()


def test_twin_without_the_roster_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster.View, "has_device", lambda *_: True)
    assert heard()
