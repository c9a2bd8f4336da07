"""The same person by a new invitation: what waits goes only to the very same device."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.node import answering, effects, inviting, talking, views
from holdfast.node.database import open_database
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded


def renewed(path: Path, other_device: bool) -> tuple[str, str, list[Any], list[str]]:
    """Anna writes to Boris, whose root then accepts another invitation of hers. The contact's
    and the message's state, what is appended to the new inbox, and the notes."""
    draw = seeded("renewed")
    met = meet("renewed")
    desk = Desk(bytes(32), draw, path)
    work = Work(open_database(path, bytes(32)), NOW)
    cid = inviting.add(desk, work, met.at_anna, "active", None)
    sent = talking.send(desk, work, cid, "for Boris alone", None, None)
    boris = met.boris
    if other_device:
        mallory, _ = Identity.create(draw)
        others = mallory.devices.devices
        listed = DeviceList.sign(boris.root_key, boris.devices.recovery, others, boris.devices)
        boris = Identity(boris.root, mallory.account, listed)
    invitation = Invitation.create(met.anna, (home(),), NOW + DAY, b"Anna", NOW, draw)
    _, record = accept(invitation.link, invitation.record, boris, (home(),), b"", NOW, draw)
    contact = invitation.open_accept(record, met.anna, NOW, draw)
    assert isinstance(contact, Contact)
    work.after.clear()
    assert inviting.add(desk, work, contact, "active", None) == cid
    found = views.messages(work.db, "ORDER BY id")
    appended = [effect for effect in work.after if isinstance(effect, effects.Append)]
    state = next(message.state for message in found if message.id == sent.id)
    work.db.close()
    return cid, state, appended, [message.note for message in found if message.note]


def test_the_same_device_gets_what_waits(tmp_path: Path) -> None:
    _, state, appended, notes = renewed(tmp_path / "db", other_device=False)
    assert state == "waiting" and appended and "key-changed" not in notes


def test_another_device_gets_nothing_and_it_is_said(tmp_path: Path) -> None:
    _, state, appended, notes = renewed(tmp_path / "db", other_device=True)
    assert state == "unsent" and not appended and "key-changed" in notes


def test_twin_without_the_check_it_is_sealed_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inviting, "require_same_device", lambda old, new: None)
    _, state, appended, _ = renewed(tmp_path / "db", other_device=True)
    assert state == "waiting" and appended


def test_one_relay_alone_cannot_say_that_a_link_was_used(tmp_path: Path) -> None:
    draw = seeded("two homes")
    desk = Desk(bytes(32), draw, tmp_path)
    work = Work(open_database(tmp_path / "db", bytes(32)), NOW)
    desk.make_identity(work, "Boris")
    work.db.execute("INSERT INTO relay (address, mine, added) VALUES (?, 1, 1)", (str(home()),))
    anna, _ = Identity.create(draw)
    homes = (home("10.0.0.1"), home("10.0.0.2"))
    made = Invitation.create(anna, homes, NOW + DAY, b"Anna", NOW, draw)
    cid = inviting.accept(desk, work, made.link, made.record, False)
    locator = made.accept_caps.locator

    def state() -> str:
        return views.contact(work.db, cid).state

    answering.refused(desk, work, locator, str(homes[0]))
    assert state() == "joining"
    answering.refused(desk, work, locator, str(homes[0]))
    assert state() == "joining"
    answering.refused(desk, work, locator, str(homes[1]))
    assert state() == "used"
