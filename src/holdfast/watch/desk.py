"""Takes reports in: checks the token, remembers that it is spent, and hands it to the journal.

One credential has one complaint a function and day because it has one token for it. Complaints
from the plain form have none; of one address, or of one person that a bot speaks for, one a
function and day is counted, by a keyed hash that lives in memory, with a key that lives as long;
more of an address with work (`crowd`).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.core import report
from holdfast.core.report import Alive, Complaint, Measurement, Report
from holdfast.core.tokens import INPUT, TOKEN, BadToken, Verifier
from holdfast.watch.issuer import Issuer
from holdfast.watch.journal import STEP, Entry
from holdfast.watch.places import Places

FORMS: Final = 12
"""Complaints a day that one address has in all."""
KEYS: Final = 64
ADDRESSES: Final = 200_000


class NotCounted(Exception):
    """A report that does not count; the sentence says why."""


class Again(NotCounted):
    """From there it was counted today; with work it counts once more."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A key with which tokens are checked, and what those are for."""

    kind: str
    window: int
    verifier: Verifier
    digest: bytes


class Desk:
    """`spent` starts from the journal. Not durable by itself: entries go to the journal."""

    def __init__(
        self, issuer: Issuer, places: Places, entropy: Callable[[int], bytes], spent: set[bytes]
    ) -> None:
        self._issuer = issuer
        self._places = places
        self._regions = {region.code for region in places.regions}
        self._operators = {operator.code for operator in places.operators} | {"other"}
        self._spent = spent
        self._entropy = entropy
        self._keys: dict[bytes, _Known] = {}
        self._key = entropy(32)
        self._day = -1
        self._forms: dict[bytes, set[str]] = {}

    def admit(self, token: bytes, one: Report, now: int) -> tuple[Entry, ...]:
        """The entries of a report whose token is good and unspent. Raises `NotCounted`."""
        self._check_place(one)
        kind = report.kind_of(one)
        window = report.window(kind, now)
        if len(token) != TOKEN:
            raise NotCounted("no token of this observatory")
        key_id = token[INPUT - 32 : INPUT]
        known = self._keys.get(key_id) or self._learn(key_id, kind, window, now)
        if known is None or known.kind != kind:
            raise NotCounted("this token is for another kind of report or another time")
        if known.window != window:  # one of the window before would make two of this one's
            raise NotCounted("this token is for another time")
        try:
            nonce = known.verifier.verify(token, known.digest)
        except BadToken as error:
            raise NotCounted(str(error)) from None
        spent = hashlib.sha256(nonce + key_id).digest()[:16]
        if spent in self._spent:
            raise NotCounted("this token was spent before")
        self._spent.add(spent)
        return _entries(one, now, "c", spent, kind, known.window)

    def _learn(self, key_id: bytes, kind: str, window: int, now: int) -> _Known | None:
        """The key of this kind's window, which may be the token's."""
        if len(self._keys) > KEYS:
            self._keys.clear()
        verifier = self._issuer.verifier(kind, window, now)
        if verifier is not None:
            digest = report.challenge(self._issuer.watch, kind, window).digest
            self._keys[verifier.key_id] = _Known(kind, window, verifier, digest)
        return self._keys.get(key_id)

    def admit_form(
        self, whose: bytes, one: Complaint, now: int, paid: bool = False
    ) -> tuple[Entry, ...]:
        """The entry of a complaint without a token, from whoever `whose` stands for: `network` or
        a bot's word. `paid`: with work, as one more. Raises `NotCounted`, or `Again`."""
        self._check_place(one)
        if self._day != now // report.DAY:
            self._day, self._forms, self._key = now // report.DAY, {}, self._entropy(32)
        said = self._forms.setdefault(self._hidden(whose), set())
        if not paid and one.function in said:
            raise Again("this was counted today already")
        if not paid and (len(said) >= FORMS or len(self._forms) > ADDRESSES):
            raise NotCounted("too many reports from this network today")
        said.add(one.function)
        return _entries(one, now, "f", b"", "", 0)

    def forget_form(self, whose: bytes, one: Complaint) -> None:
        """What could not be written may be told again."""
        self._forms.get(self._hidden(whose), set()).discard(one.function)

    def _hidden(self, whose: bytes) -> bytes:
        return hmac.digest(self._key, whose, "sha256")[:12]

    def give_back(self, entries: tuple[Entry, ...]) -> None:
        """What could not be written was not spent."""
        for entry in entries:
            self._spent.discard(entry.spent)

    def _check_place(self, one: Report) -> None:
        if one.region not in self._regions:
            raise NotCounted("this observatory does not know that region")
        if not isinstance(one, Alive) and one.operator not in self._operators:
            raise NotCounted("this observatory does not know that operator")
        functions: tuple[str, ...] = ()
        if isinstance(one, Complaint):
            functions = (one.function,)
        elif isinstance(one, Measurement):
            functions = tuple(result.function for result in one.results)
        if len(set(functions)) != len(functions):
            raise NotCounted("a measurement has one result a function")
        for function in functions:
            name = function.removeprefix(report.SERVICE)
            if name != function and name not in self._places.services:
                raise NotCounted("this observatory does not watch that service")


def network(address: str) -> bytes:
    """The network of an address: an IPv4 address itself, an IPv6 one's first 56 bits."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return b"?"
    return parsed.packed if parsed.version == 4 else parsed.packed[:7]


def _entries(
    one: Report, now: int, source: str, spent: bytes, kind: str, window: int
) -> tuple[Entry, ...]:
    at = now // STEP * STEP
    match one:
        case Complaint(region, operator, function):
            return (
                Entry(at, source, region, operator, function, False, "", 0, 0, spent, kind, window),
            )
        case Alive(region):
            return (Entry(at, "a", region, "", "", True, "", 0, 0, spent, kind, window),)
        case Measurement(region, operator, results):
            return tuple(
                Entry(
                    at, "m", region, operator, result.function, result.ok, result.verdict,
                    result.rate, result.control,
                    *((spent, kind, window) if number == 0 else (b"", "", 0)), result.grade,
                )
                for number, result in enumerate(results)
            )  # fmt: skip
