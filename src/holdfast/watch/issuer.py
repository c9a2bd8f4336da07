"""Gives tokens out: one a credential, kind and window, signed blind.

What is kept is who got how many, never what. Keys of windows that are over are deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import issuance, report
from holdfast.core.issuance import Ask, Given, Key, Keys, Wish
from holdfast.core.tokens import EXPONENT, SIZE, BadToken, Signer, Verifier

DAY: Final = 86_400
NEW: Final = 200_000
"""New credentials a day at most, so that nobody fills the disk."""
SCHEMA: Final = """
create table if not exists keys (
    kind text, window integer, key blob not null, primary key (kind, window)) without rowid;
create table if not exists credentials (
    id blob primary key, day integer not null) without rowid;
create table if not exists given (
    id blob, kind text, window integer, primary key (id, kind, window)) without rowid;
create index if not exists given_window on given (kind, window);
"""


class CannotIssue(Exception):
    """The disk does not take what has to be kept first; the sentence says so."""


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        why = f"it could not be written to the disk ({error}). Try again later"
        raise CannotIssue(why) from None


class Issuer:
    """Used from any thread, one at a time. `wait` makes credentials wait for their next day."""

    def __init__(
        self, path: Path, watch: str, wait: bool = True, key: Ed25519PrivateKey | None = None
    ) -> None:
        """`key` is the observatory's; without one nobody takes tokens from it."""
        self.watch = watch
        self._own = key
        self._wait = wait
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._closed = False
        self._signers: dict[tuple[str, int], Signer] = {}
        self._database = apsw.Connection(str(path))
        self._database.set_busy_timeout(5000)
        pragmas = "pragma journal_mode = wal; pragma synchronous = full;"
        self._database.execute(pragmas + SCHEMA).fetchall()
        path.chmod(0o600)

    def stop_making(self) -> None:
        """`prepare` ends soon."""
        self._closed = True

    def close(self) -> None:
        """Nothing is given out any more."""
        with self._lock:
            self._database.close()

    def prepare(self, now: int) -> None:
        """Make keys before they are asked for: those of now first, then one window more than is
        given out."""
        wanted = [
            (number - report.window(kind, now), kind, number)
            for kind in report.KINDS
            for number in (*report.ahead(kind, now), report.ahead(kind, now).stop)
        ]
        for _, kind, number in sorted(wanted):
            if self._closed:
                return
            try:
                self._signer(kind, number)
            except apsw.Error:
                return  # a full disk; who asks is told

    def keys(self, now: int) -> Keys:
        """Of all windows for which tokens are given out at the second `now`. Raises
        `CannotIssue`."""
        with _kept():
            found = tuple(
                Key(kind, window, self._signer(kind, window).verifier.spki)
                for kind in report.KINDS
                for window in report.ahead(kind, now)
            )
        if self._own is None:
            return Keys(self.watch, found)
        public = self._own.public_key().public_bytes_raw()
        plain = Keys(self.watch, found, public)
        return Keys(self.watch, found, public, self._own.sign(plain.signed()))

    def mark(self, now: int) -> str:
        """Of today's keys, by which people see whether they are everybody's; "" until there are."""
        kinds = [kind for kind in report.KINDS if kind != "measure"]
        found = [(kind, report.window(kind, now)) for kind in kinds]
        signers = [(*each, self._found(*each)) for each in found]
        if any(signer is None for _, _, signer in signers):
            return ""
        keys = (Key(kind, window, one.verifier.spki) for kind, window, one in signers if one)
        return issuance.fingerprint(tuple(keys), now)

    def verifier(self, kind: str, window: int, now: int) -> Verifier | None:
        """The key with which tokens of a current window are checked."""
        with self._lock:
            signer = self._signers.get((kind, window))
        if signer is None:
            if window not in report.ahead(kind, now) and window + 1 != report.window(kind, now):
                return None
            signer = self._signer(kind, window)
        return signer.verifier

    def knows(self, credential: bytes) -> bool:
        """Whether a credential was seen before. Raises `CannotIssue`."""
        with _kept(), self._lock:
            sql = "select 1 from credentials where id = ?"
            return self._database.execute(sql, (_name(credential),)).fetchone() is not None

    def give(self, ask: Ask, now: int) -> Given:
        """Sign what a credential may have; `ask` was checked. The count is durable first. Raises
        `CannotIssue`."""
        with _kept():
            return self._give(ask, now)

    def _give(self, ask: Ask, now: int) -> Given:
        name = _name(ask.credential)
        why = self._enter(name, now)
        if why:
            return Given(tuple(b"" for _ in ask.wishes), why)
        allowed: list[bool] = []
        with self._lock, self._database:
            for wish in ask.wishes:
                fits = wish.kind in report.KINDS and wish.window in report.ahead(wish.kind, now)
                allowed.append(fits and self._count(name, wish))
        answers = []
        for wish, fine in zip(ask.wishes, allowed, strict=True):
            answer = b""
            if fine:
                try:
                    answer = self._signer(wish.kind, wish.window).sign(wish.request)
                except BadToken as error:
                    why = str(error)
            answers.append(answer)
        if not all(allowed):
            why = why or "one token a kind and window, for windows that are near"
        return Given(tuple(answers), why)

    def forget(self, now: int) -> None:
        """Delete what belongs to windows that are over."""
        with self._lock, self._database:
            for kind in report.KINDS:
                last = report.window(kind, now) - 1
                for table in ("keys", "given"):
                    self._database.execute(
                        f"delete from {table} where kind = ? and window < ?", (kind, last)
                    )
                for key in [key for key in self._signers if key[0] == kind and key[1] < last]:
                    del self._signers[key]

    def _enter(self, name: bytes, now: int) -> str:
        today = now // DAY
        with self._lock, self._database:
            row = self._database.execute(
                "select day from credentials where id = ?", (name,)
            ).fetchone()
            if row is None:
                new = self._database.execute(
                    "select 1 from credentials where day = ? limit 1 offset ?", (today, NEW)
                ).fetchone()
                if new is not None:
                    return "too many newcomers today. Try again tomorrow"
                self._database.execute("insert into credentials values (?, ?)", (name, today))
        if self._wait and (row is None or row[0] >= today):
            return "a new installation gets tokens from tomorrow on"
        return ""

    def _count(self, name: bytes, wish: Wish) -> bool:
        self._database.execute(
            "insert or ignore into given values (?, ?, ?)", (name, wish.kind, wish.window)
        )
        return bool(self._database.changes())

    def _signer(self, kind: str, window: int) -> Signer:
        found = self._found(kind, window)
        if found is not None:
            return found
        with self._making:  # takes long; whoever needs a key that is there does not wait
            found = self._found(kind, window)
            if found is not None:
                return found
            made = Signer(rsa.generate_private_key(EXPONENT, SIZE * 8))
            with self._lock, self._database:
                self._database.execute(
                    "insert into keys values (?, ?, ?)", (kind, window, made.export())
                )
                self._signers[kind, window] = made
            return made

    def _found(self, kind: str, window: int) -> Signer | None:
        with self._lock:
            found = self._signers.get((kind, window))
            if found is None:
                row = self._database.execute(
                    "select key from keys where kind = ? and window = ?", (kind, window)
                ).fetchone()
                if row is not None:
                    found = self._signers[kind, window] = Signer.load(row[0])
            return found


def _name(credential: bytes) -> bytes:
    return hashlib.sha256(b"holdfast/credential" + credential).digest()[:16]
