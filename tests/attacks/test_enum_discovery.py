"""enum-discovery (WhatsApp, 3.5 billion accounts, 2025): who asks a relay about names must
not learn which exist. An absent log, an expired one and a wrong token get the same bytes, for
the same work: the same statements at the database, the same hashes, no write. Work is
counted, not timed."""

import hashlib
import hmac
import queue
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from holdfast.core import wire
from holdfast.core.log import server
from holdfast.core.log.server import Find, Found, Send, Session
from holdfast.relay.keys import now_ms
from holdfast.store import embedded
from holdfast.store.base import Quota
from holdfast.store.embedded import Embedded
from holdfast.store.index import Lookup, Made

DAY = 86_400_000
HERE, GONE, NEVER = b"h" * 16, b"g" * 16, b"n" * 16
RIGHT, WRONG = b"right".ljust(32, b"."), b"wrong".ljust(32, b".")


class NaiveLookup(Lookup):
    """The defence off: what is not there is not looked at further."""

    def find(self, name: bytes, after: int = 0) -> tuple[int, Made, int, int, int] | None:
        there = self._db.execute("SELECT 1 FROM logs WHERE name=?", (name,)).fetchone()
        return super().find(name, after) if there else None


class NaiveSession(Session):
    """The defence off: an absent log is answered before any token is looked at."""

    def _granted(self, frame: wire.Attach, log: Found | None) -> server._Binding | None:
        return None if log is None else super()._granted(frame, log)


class Relay:
    """A relay's session over a real store, with its work counted."""

    def __init__(self, path: Path, lookup: type[Lookup], session: type[Session]) -> None:
        self.now = now_ms() - 11 * DAY
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        with patch.object(embedded, "Lookup", lookup):
            self.store = Embedded(
                path,
                quota=Quota(idle_seconds=10 * 86_400),
                clock=lambda: self.now,
                post=self.posted.put,
                failed=pytest.fail,
            )
        verifier = hashlib.sha256(RIGHT).digest()
        for name, late in ((GONE, 0), (HERE, 11 * DAY)):
            self.now += late
            made: list[object] = []
            self.store.make(wire.Create(1, name, verifier, verifier, verifier), made.append)
            self.wait(made)
        found = self.find(HERE)
        assert found is not None
        done: list[object] = []
        self.store.append(found.key, self.now + DAY, b"record", lambda *it: done.append(it))
        self.wait(done)
        assert done == [(None, 1)]
        self.store._checkpoint()
        while self.store._views.count() < 2:
            self.posted.get()()
        self.session = session
        self.work: Counter[str] = Counter()
        self.store._views._db.set_exec_trace(self._statement)
        self.store._shelf._lookup._db.set_exec_trace(self._statement)

    def wait(self, answers: list[Any]) -> None:
        while not answers:
            self.posted.get()()

    def find(self, name: bytes) -> Found | None:
        found: list[Found | None] = []
        self.store.find(name, found.append)
        self.wait(found)
        return found[0]

    def _statement(self, _cursor: object, sql: str, _values: object) -> bool:
        self.work[sql.split("WHERE")[0] if "row BETWEEN" in sql else "lookup"] += 1
        return True

    def ask(self, name: bytes, token: bytes) -> tuple[bytes, Counter[str]]:
        """The relay's answer to an attach, and what it cost."""
        self.work = Counter()
        session = self.session(wire.Welcome(1, b"k" * 32, b"p" * 64, 1, 1))
        session.receive(wire.encode(wire.Hello(wire.VERSION)), self.now)
        attach = wire.Attach(5, name, append=token, read=token, since=0)
        out = session.receive(wire.encode(attach), self.now)

        def sha256(data: bytes) -> "hashlib._Hash":
            self.work["hash"] += 1
            return hashlib.new("sha256", data)

        def compare(left: bytes, right: bytes) -> bool:
            self.work["compare"] += 1
            return hmac.compare_digest(left, right)

        while out and isinstance(out[0], Find):
            with (
                patch.object(server, "hashlib", type("h", (), {"sha256": sha256})),
                patch.object(server, "hmac", type("h", (), {"compare_digest": compare})),
            ):
                found = self.find(out[0].log_id)
                out = session.found(found, self.now)
        answer = b""
        for command in out:
            if isinstance(command, Send):
                answer += wire.encode(command.frame)
            else:
                self.work[type(command).__name__] += 1
        return answer, self.work


ASKED = [(HERE, WRONG), (GONE, RIGHT), (GONE, WRONG), (NEVER, RIGHT), (NEVER, WRONG)]


def test_what_exists_cannot_be_told_from_what_does_not(tmp_path: Path) -> None:
    relay = Relay(tmp_path / "logs", Lookup, Session)
    answers = [relay.ask(*asked) for asked in ASKED]
    assert len({answer for answer, _ in answers}) == 1
    assert all(work == answers[0][1] for _, work in answers)
    assert answers[0][1]["hash"] == answers[0][1]["compare"] == 3
    assert sum(answers[0][1].values()) == 8  # and two statements, nothing else
    granted, work = relay.ask(HERE, RIGHT)
    assert granted != answers[0][0] and work["Read"] == 1


@pytest.mark.parametrize(
    ("lookup", "session"),
    [(NaiveLookup, Session), (Lookup, NaiveSession)],
    ids=["store", "session"],
)
def test_twin_without_the_defence_the_work_tells(
    tmp_path: Path, lookup: type[Lookup], session: type[Session]
) -> None:
    relay = Relay(tmp_path / "logs", lookup, session)
    _, here = relay.ask(HERE, WRONG)
    _, never = relay.ask(NEVER, WRONG)
    assert here != never


def test_a_wrong_token_writes_nothing(tmp_path: Path) -> None:
    """Not even the note that a log is in use, which would show on the disk."""
    relay = Relay(tmp_path / "logs", Lookup, Session)
    for asked in ASKED:
        _, work = relay.ask(*asked)
        assert work["Touch"] == 0
    _, work = relay.ask(HERE, RIGHT)
    assert work["Touch"] == 1
