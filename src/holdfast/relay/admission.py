"""Who may make logs at this relay, and how many.

By an invitation, which is an address of its own: its path is known to the relay. By an anonymous
token, of which a connection by an invitation is given some: when one is spent, nobody can tell
whose it was. By work. Or everybody, so many an hour from one address. What is on the disk is how
many logs an invitation has made this month, and which tokens were spent: never which log is whose,
and no address. Source: spec/log.md, "Admission"; RFC 9578.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from holdfast.core import tokens, wire
from holdfast.core.caps import unb64
from holdfast.core.log.admission import challenge, is_work
from holdfast.core.log.limits import Bucket
from holdfast.core.log.server import ADMISSION, Refusal
from holdfast.relay.limits import network
from holdfast.store import whole

KINDS: Final = ("open", "invitation", "tokens", "work")
INVITATIONS: Final = "invitations"
MONTH: Final = 30 * 86_400_000
"""Milliseconds."""
BITS: Final = 20
ADDRESSES: Final = 100_000
"""Counted at a time; the oldest are forgotten."""
_FULL: Final = Refusal("full", "this invitation has made all the logs it may make this month")
_MANY: Final = Refusal("rate", "too many logs were made from this address; wait a while")
_SPENT: Final = Refusal("admission", "this is no token of this relay, or it was spent before")
_NO_WORK: Final = Refusal("admission", "this is not the work that was asked for")
_NONE_LEFT: Final = Refusal("admission", "no more tokens are given on this invitation this month")

_SCHEMA: Final = """
create table if not exists spent (nonce blob primary key) without rowid;
create table if not exists made (
    invitation blob, month integer, logs integer not null,
    primary key (invitation, month)) without rowid;
"""


@dataclass(frozen=True)
class Rules:
    """`kinds` of `KINDS`, of which one is enough."""

    kinds: frozenset[str] = frozenset(("open",))
    bits: int = BITS
    per_work: int = 20
    """Logs that may be made for it,"""
    per_token: int = 50
    """or for a token."""
    per_address: int = 20_000
    """An hour, where everybody may. Another relay brings all who come by it from one address."""

    @classmethod
    def parse(cls, text: str, bits: int = BITS) -> Rules:
        """`open`, or some of the others with commas between. Raises ValueError."""
        kinds = frozenset(each.strip() for each in text.split(","))
        if unknown := sorted(kinds - set(KINDS)):
            raise ValueError(f"{unknown[0]} is no way in; there are: {', '.join(KINDS)}")
        if "open" in kinds and len(kinds) > 1:
            raise ValueError("open is for everybody: it goes with nothing else")
        return cls(kinds, bits)


@dataclass
class Invitation:
    """`logs` is how many it may make a month."""

    secret: bytes = field(repr=False)
    logs: int
    made: int = 0
    """This month, as far as the disk knows."""
    unsaved: int = 0

    @property
    def name(self) -> bytes:
        """Under which it is counted."""
        return hashlib.sha256(b"holdfast/invitation/1" + self.secret).digest()[:16]

    def take(self, count: int) -> bool:
        """Whether it may make so many more, which are counted."""
        if self.made + self.unsaved + count > self.logs:
            return False
        self.unsaved += count
        return True


def read_invitations(data: Path) -> list[Invitation]:
    """Lines of a path secret (base64) and a number. Raises ValueError, OSError."""
    path = data / INVITATIONS
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
    return [Invitation(unb64(secret), int(logs)) for secret, logs in lines]


def invite(data: Path, secret: bytes, logs: int, b64: Callable[[bytes], str]) -> None:
    """Add one."""
    path = data / INVITATIONS
    before = path.read_bytes() if path.exists() else b""
    whole.write(path, before + f"{b64(secret)} {logs}\n".encode())


class Admission:
    """Of one relay's process; its file is shared with the others. `entropy` gives random bytes,
    `clock` milliseconds, `post` runs a function on the loop's thread."""

    def __init__(
        self,
        data: Path,
        rules: Rules,
        pin: bytes,
        entropy: Callable[[int], bytes],
        clock: Callable[[], int],
        post: Callable[[Callable[[], None]], object],
    ) -> None:
        self._data = data
        self.rules = rules
        self._pin = pin
        self._entropy, self._clock, self._post = entropy, clock, post
        self._key = entropy(32)
        self._addresses: dict[bytes, Bucket] = {}
        self._invitations: dict[bytes, Invitation] = {}
        self._signer = _signer(data) if "tokens" in rules.kinds else None
        self._digest = challenge(pin).digest
        self._thread = ThreadPoolExecutor(1, "admission")
        self._lock = threading.Lock()
        self._database: apsw.Connection | None = None
        if "open" not in rules.kinds:
            self._database = apsw.Connection(str(data / "admission.db"))
            self._database.set_busy_timeout(5_000)
            pragmas = "pragma journal_mode = wal; pragma synchronous = full;"
            self._database.execute(pragmas + _SCHEMA).fetchall()
        self._looked = 0
        self.look()

    @property
    def invitations(self) -> list[bytes]:
        """Path secrets of those that there are."""
        return list(self._invitations)

    def look(self) -> bool:
        """Read the invitations anew, and count them; whether there are others now."""
        path = self._data / INVITATIONS
        stamp = path.stat().st_mtime_ns if path.exists() else 0
        changed = stamp != self._looked
        if changed:
            self._looked = stamp
            known = self._invitations
            found = {each.secret: each for each in read_invitations(self._data)}
            for secret, each in found.items():
                if secret in known:
                    each.made, each.unsaved = known[secret].made, known[secret].unsaved
            self._invitations = found
        self._save()
        return changed

    def entrance(self, path: bytes, address: str) -> Entrance:
        """For a connection that came by this path secret from this address."""
        return Entrance(self, self._invitations.get(path), address)

    def from_address(self, address: str) -> Refusal | None:
        """One log is to be made where everybody may."""
        name = hmac.digest(self._key, network(address), "sha256")[:12]
        bucket = self._addresses.pop(name, None)
        if bucket is None:
            most = self.rules.per_address
            bucket = Bucket(most / 3600, most)
            if len(self._addresses) >= ADDRESSES:
                del self._addresses[next(iter(self._addresses))]
        self._addresses[name] = bucket
        return None if bucket.take(1, self._clock()) else _MANY

    def terms(self, nonce: bytes, gives: int) -> wire.Terms:
        """What is said to who may not."""
        bits = self.rules.bits if "work" in self.rules.kinds else 0
        issuer = self._signer.verifier.spki if self._signer is not None else b""
        return wire.Terms(nonce, bits, issuer, gives)

    def gives(self, invitation: Invitation | None) -> int:
        """Tokens that may be asked for."""
        if self._signer is None or invitation is None:
            return 0
        left = invitation.logs - invitation.made - invitation.unsaved
        return max(0, min(wire.MAX_ASKED, left // self.rules.per_token))

    def spend(self, token: bytes, done: Callable[[bool], None]) -> None:
        """Whether it was good and unspent; spent, on the disk, before it is said."""
        try:
            if self._signer is None:
                raise tokens.BadToken
            nonce = self._signer.verifier.verify(token, self._digest)
        except tokens.BadToken:
            self._post(functools.partial(done, False))
            return

        def enter() -> None:
            self._post(functools.partial(done, self._enter(nonce)))

        self._thread.submit(enter)

    def sign(self, requests: Sequence[bytes], invitation: Invitation) -> tuple[bytes, ...]:
        """Tokens for an invitation, as many as it may have: each costs what may be made by it."""
        found = []
        for request in requests:
            signed = b""
            if self._signer is not None and invitation.take(self.rules.per_token):
                try:
                    signed = self._signer.sign(request)
                except tokens.BadToken:
                    invitation.unsaved -= self.rules.per_token
            found.append(signed)
        return tuple(found)

    def close(self) -> None:
        """What was counted is on the disk."""
        self._save()
        self._thread.shutdown()
        if self._database is not None:
            self._database.close()

    def _enter(self, nonce: bytes) -> bool:
        assert self._database is not None
        added = "insert or ignore into spent values (?) returning nonce"
        with self._lock:
            return bool(self._database.execute(added, (nonce,)).fetchall())

    def _save(self) -> None:
        if self._database is None or not self._invitations:
            return
        month = self._clock() // MONTH
        counts = [(each, each.unsaved) for each in self._invitations.values()]
        for each, _ in counts:
            each.made, each.unsaved = each.made + each.unsaved, 0
        self._thread.submit(self._count, month, counts)

    def _count(self, month: int, counts: Iterable[tuple[Invitation, int]]) -> None:
        assert self._database is not None
        with self._lock, self._database as database:
            for each, count in counts:
                if count:
                    database.execute(
                        "insert into made values (?1, ?2, ?3) on conflict do update"
                        " set logs = logs + ?3",
                        (each.name, month, count),
                    )
                row = database.execute(
                    "select logs from made where invitation = ? and month = ?", (each.name, month)
                ).fetchone()
                each.made = int(str(row[0])) if row else 0
            database.execute("delete from made where month < ?", (month,))


class Entrance:
    """One connection's; see `core.log.server.Entrance`."""

    __slots__ = ("_address", "_admission", "_credit", "_invitation", "_nonce")

    def __init__(self, admission: Admission, invitation: Invitation | None, address: str) -> None:
        self._admission = admission
        self._invitation = invitation
        self._address = address
        self._credit = 0
        self._nonce: bytes | None = None

    @property
    def terms(self) -> wire.Terms | None:
        """See `core.log.server.Entrance.terms`."""
        admission = self._admission
        if "open" in admission.rules.kinds:
            return None
        if self._nonce is None:
            self._nonce = admission._entropy(16)
        return admission.terms(self._nonce, admission.gives(self._invitation))

    def create(self) -> Refusal | None:
        """See `core.log.server.Entrance.create`."""
        admission = self._admission
        if "open" in admission.rules.kinds:
            return admission.from_address(self._address)
        if self._credit:
            self._credit -= 1
            return None
        if self._invitation is not None and "invitation" in admission.rules.kinds:
            return None if self._invitation.take(1) else _FULL
        return ADMISSION

    def check(
        self,
        frame: wire.Admit | wire.Ask,
        answer: Callable[[Refusal | wire.Given | None], None],
    ) -> None:
        """Carry out `Check`."""
        admission = self._admission
        rules = admission.rules
        if isinstance(frame, wire.Ask):
            gives = admission.gives(self._invitation)
            if not gives or self._invitation is None:
                answer(_NONE_LEFT)
            else:
                answer(wire.Given(admission.sign(frame.requests[:gives], self._invitation)))
        elif frame.kind == "work":
            nonce, self._nonce = self._nonce, None  # once each
            if "work" in rules.kinds and nonce and is_work(nonce, frame.proof, rules.bits):
                self._credit += rules.per_work
                answer(None)
            else:
                answer(_NO_WORK)
        else:

            def spent(good: bool) -> None:
                if good:
                    self._credit += rules.per_token
                answer(None if good else _SPENT)

            admission.spend(frame.proof, spent)


def _signer(data: Path) -> tokens.Signer:
    """The relay's own, made at first."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    path = data / "issuer.key"
    if not path.exists():
        key = rsa.generate_private_key(tokens.EXPONENT, tokens.SIZE * 8)
        whole.write(path, tokens.Signer(key).export())
    return tokens.Signer.load(path.read_bytes())
