"""A contact who is one only to find out relays, or to push its own on somebody.

What blocks relays is lists, got by asking often where they are given out (Tor bridges:
Dingledine, "Ten ways to discover Tor bridges", 2011). Here who is made a contact learns the
relays of that one conversation and few more, and can name few, for that conversation alone.
The twins turn the bounds off.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.chat import content
from holdfast.core.seal.invitation import Contact
from holdfast.node import effects, homes, inviting
from holdfast.node.chores import used_homes
from holdfast.node.database import open_database, row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded


class Anna:
    """Her node's jobs, with Mallory as her contact; `said` is what she told him."""

    def __init__(self, folder: Path, own: int) -> None:
        self.desk = Desk(bytes(32), seeded("harvest"), folder)
        self.work = Work(open_database(folder / "db", bytes(32)), NOW)
        self.said: list[content.Known] = []
        self.desk.make_identity(self.work, "Anna")
        for number in range(own):
            self.work.db.execute(
                "INSERT INTO relay (address, mine, added) VALUES (?, 1, ?)",
                (str(home(f"1.1.1.{number}")), number),
            )
        self.mallory = self.befriend("harvest")
        real = self.desk.say

        def say(work: Work, contact: str, what: content.Known) -> int:
            self.said.append(what)
            return real(work, contact, what)

        self.desk.say = say  # type: ignore[method-assign]

    def befriend(self, name: str) -> str:
        met: Contact = meet(name).at_anna
        return inviting.add(self.desk, self.work, met, "active", None)

    def pass_by(self, milliseconds: int) -> None:
        self.work = Work(self.work.db, self.work.now + milliseconds)

    @property
    def names(self) -> set[str]:
        """Relays that Mallory was told of."""
        told = [one for one in self.said if isinstance(one, content.Spare | content.Moved)]
        return {address for one in told for address in one.homes}

    @property
    def outbox(self) -> set[str]:
        (stored,) = row(self.work.db, "SELECT outbox FROM contact WHERE id = ?", self.mallory)
        return {str(home) for home in unpack_inbox(stored).homes}


def a_year_of_asking(anna: Anna) -> None:
    for _ in range(365):
        homes.arrange(anna.desk, anna.work)
        anna.pass_by(DAY)


def test_in_a_month_a_contact_learns_one_relay_besides_those_of_its_conversation(
    tmp_path: Path,
) -> None:
    anna = Anna(tmp_path, own=30)
    for _ in range(2):  # the inbox is made first; what is told beside it comes after
        homes.arrange(anna.desk, anna.work)
    assert len(anna.names) == 1
    a_year_of_asking(anna)
    assert len(anna.names) == homes.TELLS


def test_twin_without_the_bound_a_contact_learns_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "TOLD", 0)
    monkeypatch.setattr(homes, "TELLS", 10_000)
    anna = Anna(tmp_path, own=30)
    a_year_of_asking(anna)
    assert len(anna.names) == 30 - content.MAX_HOMES


def test_what_contacts_told_of_and_what_is_turned_off_is_not_passed_on(tmp_path: Path) -> None:
    anna = Anna(tmp_path, own=1)
    homes.learnt(anna.desk, anna.work, anna.mallory, content.Spare((str(home("2.2.2.2")),)))
    anna.work.db.execute(
        "INSERT INTO relay (address, mine, added, off) VALUES (?, 1, 1, 1)", (str(home("3.3.3.3")),)
    )
    a_year_of_asking(anna)
    assert not anna.names & {str(home("2.2.2.2")), str(home("3.3.3.3"))}


def push(anna: Anna, many: int) -> None:
    for number in range(many):
        address = str(home(f"9.9.{number // 250}.{number % 250 + 1}"))
        homes.learnt(anna.desk, anna.work, anna.mallory, content.Spare((address,)))
        homes.moved(anna.desk, anna.work, anna.mallory, content.Moved((address,)))


def test_a_contact_can_push_few_relays_and_have_few_connected(tmp_path: Path) -> None:
    anna = Anna(tmp_path, own=1)
    push(anna, 500)
    (kept,) = row(anna.work.db, "SELECT count(*) FROM relay WHERE origin <> ''")
    assert kept == homes.LEARNT_OF_ONE
    ways = [one for one in anna.work.after if isinstance(one, effects.Append)]
    assert len({str(one.home) for one in ways}) <= 2 * homes.MOVES
    assert len(used_homes(anna.desk, anna.work)) < 12


def test_twin_without_the_bound_each_one_is_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "MOVES", 10_000)
    monkeypatch.setattr(homes, "LEARNT_OF_ONE", 10_000)
    monkeypatch.setattr(homes, "LEARNT", 10_000)
    anna = Anna(tmp_path, own=1)
    before = anna.outbox
    push(anna, 500)
    (kept,) = row(anna.work.db, "SELECT count(*) FROM relay WHERE origin <> ''")
    assert kept == 500 and anna.outbox != before


def test_a_pushed_relay_is_used_for_that_contact_alone_and_only_at_need(tmp_path: Path) -> None:
    anna = Anna(tmp_path, own=1)
    other = anna.befriend("another one")
    theirs = str(home("9.9.9.9"))
    homes.moved(anna.desk, anna.work, anna.mallory, content.Moved((theirs,)))
    (own,) = (str(home) for home in anna.desk.homes(anna.work))
    anna.desk.reached = frozenset({own, theirs})
    homes.arrange(anna.desk, anna.work)
    assert not inboxes_at(anna, theirs)
    anna.desk.reached, anna.desk.lost = frozenset({theirs}), frozenset({own})
    homes.arrange(anna.desk, anna.work)
    assert inboxes_at(anna, theirs) == {anna.mallory}
    assert other not in inboxes_at(anna, theirs)


def inboxes_at(anna: Anna, address: str) -> set[str]:
    return {
        cid
        for cid, stored in rows(anna.work.db, "SELECT id, inbox FROM contact")
        if address in {str(home) for home in unpack_inbox(stored).homes}
    }


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1", "fd00::1",
     "localhost", "printer", "router.local", "db.internal", "0.0.0.0", "100.64.0.1"],
)  # fmt: skip
def test_a_contact_points_nobody_at_their_own_network(tmp_path: Path, host: str) -> None:
    anna = Anna(tmp_path, own=1)
    before = anna.outbox
    homes.moved(anna.desk, anna.work, anna.mallory, content.Moved((str(home(host)),)))
    homes.learnt(anna.desk, anna.work, anna.mallory, content.Spare((str(home(host)),)))
    assert anna.outbox == before
    assert not rows(anna.work.db, "SELECT 1 FROM relay WHERE origin <> ''")


@pytest.mark.parametrize("text", ["", "x", "relay.example:443", "a:1/b.c", "\x00", "a" * 400])
def test_what_is_no_address_changes_nothing(tmp_path: Path, text: str) -> None:
    anna = Anna(tmp_path, own=1)
    before = anna.outbox
    good = str(home("9.9.9.9"))
    homes.moved(anna.desk, anna.work, anna.mallory, content.Moved((good, text)))
    homes.learnt(anna.desk, anna.work, anna.mallory, content.Spare((good, text)))
    assert anna.outbox == before
