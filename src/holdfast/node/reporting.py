"""Tells an observatory what does not work, if the person wants that: off until it is set up.

What goes out is one of `core.report`: function, region, operator; with `automatic` also, once an
hour at a random minute, what the ladder concluded, how calls went, and how the services fared that
the person chose. Each costs an anonymous token; tokens are
asked for ahead, all kinds alike, so that asking says nothing of what will be told. What could not
be sent is tried again while its token is good.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from holdfast.core import issuance, report, tokens
from holdfast.core.finding import Finding
from holdfast.core.issuance import BadIssuance, Given, Keys, Wish
from holdfast.core.log.admission import MOST_BITS, work
from holdfast.core.report import Alive, BadReport, Complaint, Measurement, Report, Result
from holdfast.core.tokens import BadToken
from holdfast.drive.fetch import Look
from holdfast.node import measuring
from holdfast.node.measuring import Heard

TICK: Final = 60
"""Seconds between looks at whether something is to be sent."""
RESTOCK: Final = 1800
"""Seconds between two times that tokens are asked for."""
MAX_WAITING: Final = 50
QUICK: Final = 19
"""Bits of work for which a person may wait."""
NAME: Final = "reporting"
"""What `meta` calls it."""

Fetch = Callable[[str, bytes | None], Awaitable[bytes]]
"""URL and body, if it is a POST; the answer. Raises OSError with a sentence."""


class Spare(Struct, array_like=True):
    """A token that was not used yet."""

    kind: str
    window: int
    token: bytes


class Waiting(Struct, array_like=True):
    """A report that could not be sent yet, with its token if it has one."""

    kind: str
    window: int
    report: bytes
    token: bytes = b""


class Place(Struct, frozen=True):
    """A region or an operator of an observatory; other fields of its lists are not needed."""

    code: report.Code
    en: Annotated[str, Meta(max_length=60)] = ""
    ru: Annotated[str, Meta(max_length=60)] = ""
    name: Annotated[str, Meta(max_length=60)] = ""


class Lists(Struct, frozen=True):
    """What an observatory knows, as far as a person chooses from it."""

    regions: Annotated[tuple[Place, ...], Meta(max_length=400)]
    operators: Annotated[tuple[Place, ...], Meta(max_length=200)]
    services: Annotated[tuple[report.Code, ...], Meta(max_length=50)] = ()
    looks: Annotated[dict[report.Code, report.Page], Meta(max_length=50)] = {}
    control: report.Page | None = None


class Chosen(Struct):
    """What the person chose, and what is kept for it."""

    url: str = ""
    region: str = ""
    operator: str = ""
    automatic: bool = False
    services: list[str] = []
    """That are measured, too."""
    lists: Lists | None = None
    """What the observatory knew when it was chosen."""
    watch: str = ""
    credential: bytes = b""
    key: bytes = b""
    """The observatory's, as it was when it was chosen."""
    seen: dict[str, bytes] = {}
    """SHA-256 of its keys for tokens, by kind and window."""
    keys: str = ""
    """Fingerprint of those that serve now."""
    spare: list[Spare] = []
    waiting: list[Waiting] = []
    done: dict[str, int] = {}
    """Window in which a kind was used last."""
    trouble: str = ""
    """Why the last attempt failed."""


class CannotReport(Exception):
    """It was not told; the sentence says why and what happens now."""


def load(stored: str | None) -> Chosen:
    """From the database; anew if it is not there."""
    if stored is None:
        return Chosen()
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(stored, type=Chosen)
    return Chosen()


class Reporter:
    """One person's side of one observatory."""

    def __init__(
        self,
        chosen: Chosen,
        keep: Callable[[str], Awaitable[Any]],
        fetch: Fetch,
        clock: Callable[[], int],
        finding: Callable[[], Finding],
        connected: Callable[[], bool],
        calls: Callable[[], Awaitable[list[Heard]]],
        see: Callable[[str], Awaitable[Look]],
    ) -> None:
        """`clock` gives milliseconds since 1970; `calls` those of the last hour; `see` looks at
        a page."""
        self.chosen = chosen
        self._keep = keep
        self._fetch = fetch
        self._clock = clock
        self._finding = finding
        self._connected = connected
        self._calls = calls
        self._see = see
        self._lock = asyncio.Lock()
        self._restocked = 0
        self._minute = secrets.randbelow(50)
        self._measured = -1
        """The hour in which that was tried last."""
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._due: tuple[str, int] | None = None
        """Work that waits: at the observatory of this name, so many bits."""
        self._worked = b""

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return self._clock() // 1000

    def start(self) -> None:
        """Go on with what waits, and with measurements if they are wanted."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self, url: str) -> Lists:
        """What the observatory at an address knows. Raises `CannotReport`."""
        try:
            data = await self._fetch(url.rstrip("/") + "/places.json", None)
            return msgspec.json.decode(data, type=Lists)
        except OSError as error:
            raise CannotReport(f"the observatory cannot be reached: {error}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise CannotReport("there is no observatory at that address") from None

    async def choose(
        self, url: str, region: str, operator: str, automatic: bool, services: list[str]
    ) -> None:
        """Set it up, or with an empty address forget it all. Raises `CannotReport`."""
        if not url:
            self.chosen = Chosen()
            await self._save()
            return
        lists = await self.look(url)
        if region not in {place.code for place in lists.regions}:
            raise CannotReport("that observatory does not know this region")
        if operator not in {place.code for place in lists.operators} | {"other"}:
            raise CannotReport("that observatory does not know this operator")
        if set(services) - set(_pages(url, lists.looks)):
            raise CannotReport("that observatory has no page by which to measure this service")
        async with self._lock:
            if url.rstrip("/") != self.chosen.url:
                self.chosen = Chosen(
                    url.rstrip("/"), credential=Ed25519PrivateKey.generate().private_bytes_raw()
                )
            self.chosen.lists = lists
            self.chosen.region, self.chosen.operator = region, operator
            self.chosen.automatic, self.chosen.services = automatic, sorted(set(services))
            await self._save()
            with contextlib.suppress(CannotReport):
                await self._restock()

    async def complain(self, functions: list[str]) -> int:
        """How many complaints the observatory counted now; others wait, or were told before.
        Raises `CannotReport` for what cannot be told at all."""
        chosen = self.chosen
        if not chosen.url:
            raise CannotReport("choose an observatory first")
        reports: list[Report] = []
        for function in functions:
            one = Complaint(chosen.region, chosen.operator, function)
            try:
                reports.append(report.decode(report.encode(one)))
            except BadReport:
                raise CannotReport("there is no such function") from None
        async with self._lock:
            for each in reports:
                self._queue(each)
            self._restocked = 0
            with contextlib.suppress(CannotReport):
                return await self._flush()
            return 0

    async def measure(self) -> int:
        """Measure, and tell it: how many of it the observatory counted now; what it did not waits.
        Raises `CannotReport` if there is nothing to tell."""
        chosen = self.chosen
        if not chosen.url:
            raise CannotReport("choose an observatory first")
        hour = report.window("measure", self.now)
        if chosen.done.get("measure") == hour:
            raise CannotReport("this hour was told already; the next one can be")
        self._measured = hour
        found = conclude(self._finding(), self._connected(), await self._calls())
        lists = chosen.lists
        if chosen.services and lists is not None and (self._connected() or lists.control):
            pages = _pages(chosen.url, lists.looks)
            control = "".join(_pages(chosen.url, {"": lists.control or ""}).values())
            found += await measuring.measure(self._see, pages, control, chosen.services)
        if not found:
            raise CannotReport("nothing can be said of this network yet")
        one = Measurement(chosen.region, chosen.operator, found[: report.MAX_RESULTS])
        async with self._lock:
            if chosen is not self.chosen:
                raise CannotReport("another observatory was chosen meanwhile")
            waits = [each for each in chosen.waiting if each.kind != "measure"]
            chosen.waiting = waits  # of what is measured, the last counts
            self._queue(one)
            self._restocked = 0
            with contextlib.suppress(CannotReport):
                return await self._flush()
            return 0

    # Within.

    def _queue(self, one: Report) -> None:
        kind = report.kind_of(one)
        window = report.window(kind, self.now)
        body = report.encode(one)
        if self.chosen.done.get(kind) == window:
            return
        if any((each.kind, each.window, each.report) == (kind, window, body)
               for each in self.chosen.waiting):  # fmt: skip
            return
        self.chosen.waiting = [*self.chosen.waiting[-MAX_WAITING:], Waiting(kind, window, body)]

    async def _flush(self) -> int:
        """Send what waits and is still of use; how much was counted."""
        chosen = self.chosen
        chosen.waiting = [
            each for each in chosen.waiting if each.window == report.window(each.kind, self.now)
        ]
        if not chosen.waiting:
            return 0
        try:
            lacking = any(not self._spare(each) for each in chosen.waiting if not each.token)
            if lacking and self.now - self._restocked >= RESTOCK:
                await self._restock()
            for each in chosen.waiting:
                spare = self._spare(each)
                if not each.token and spare is not None:
                    each.token = spare.token
                    chosen.spare.remove(spare)
            await self._save()
            ready = [each for each in chosen.waiting if each.token]
            if not ready:
                raise CannotReport(chosen.trouble or "no token for this today; each counts once")
            return await self._post(ready)
        except CannotReport as error:
            chosen.trouble = str(error)
            await self._save()
            raise

    def _spare(self, waiting: Waiting) -> Spare | None:
        key = (waiting.kind, waiting.window)
        return next((one for one in self.chosen.spare if (one.kind, one.window) == key), None)

    async def _post(self, ready: list[Waiting]) -> int:
        batch = {"reports": [
            {"report": msgspec.Raw(each.report), "token": each.token} for each in ready
        ]}  # fmt: skip
        try:
            answer = await self._fetch(self.chosen.url + "/api/reports", msgspec.json.encode(batch))
            counted = int(msgspec.json.decode(answer)["counted"])
        except OSError as error:
            raise CannotReport(f"it goes out when the network lets it: {error}") from None
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError):
            raise CannotReport("the observatory answered strangely") from None
        self.chosen.waiting = [each for each in self.chosen.waiting if each not in ready]
        self.chosen.done.update({each.kind: each.window for each in ready})
        self.chosen.trouble = ""
        await self._save()
        return counted

    async def _restock(self) -> None:
        """Ask for all tokens that can be had ahead and are not here. Raises `CannotReport`."""
        chosen = self.chosen
        self._restocked = self.now
        try:
            keys = issuance.decode_keys(await self._fetch(chosen.url + "/api/keys", None))
            self._compare(keys)
            chosen.watch = keys.watch
            here = {(one.kind, one.window) for one in chosen.spare}
            pending = []
            for key in keys.keys:
                if (key.kind, key.window) in here or key.kind not in report.KINDS:
                    continue
                challenge = report.challenge(keys.watch, key.kind, key.window)
                verifier = tokens.Verifier(key.spki)
                one = tokens.ask(verifier, challenge, secrets.token_bytes)
                pending.append((key.kind, key.window, one))
            for start in range(0, len(pending), issuance.MAX_ASKED):
                await self._ask(keys.watch, pending[start : start + issuance.MAX_ASKED])
        except OSError as error:
            raise CannotReport(f"it goes out when the network lets it: {error}") from None
        except (BadIssuance, BadToken) as error:
            raise CannotReport(f"the observatory gave no tokens: {error}") from None
        finally:
            windows = {kind: report.window(kind, self.now) for kind in report.KINDS}
            chosen.spare = [one for one in chosen.spare if one.window >= windows[one.kind]]
            await self._save()

    def _compare(self, keys: Keys) -> None:
        """Raise `BadIssuance`, and use no token any more, if the observatory shows other keys than
        before: one that is made for somebody alone tells whose token it signed."""
        chosen = self.chosen
        keys.check()
        chosen.key = chosen.key or keys.key
        shown = {f"{key.kind}/{key.window}": hashlib.sha256(key.spki).digest() for key in keys.keys}
        others = [name for name, digest in shown.items() if chosen.seen.get(name, digest) != digest]
        if keys.key != chosen.key or others:
            chosen.spare = []
            raise BadIssuance(
                "it shows other keys than before, by which it could tell people apart. Tell others,"
                " and choose another one"
            )
        windows = {kind: report.window(kind, self.now) for kind in report.KINDS}
        kept = {
            name: digest
            for name, digest in chosen.seen.items()
            if int(name.rpartition("/")[2]) >= windows.get(name.rpartition("/")[0], 0)
        }
        chosen.seen = {**kept, **shown}
        chosen.keys = issuance.fingerprint(keys.keys, self.now)

    async def _ask(self, watch: str, pending: list[tuple[str, int, tokens.Pending]]) -> None:
        credential = Ed25519PrivateKey.from_private_bytes(self.chosen.credential)
        wishes = tuple(Wish(kind, window, one.request) for kind, window, one in pending)

        async def given(worked: bytes) -> Given:
            body = issuance.encode(issuance.ask(credential, watch, wishes, worked))
            return issuance.decode_given(await self._fetch(self.chosen.url + "/api/tokens", body))

        answer = await given(self._worked)
        if answer.bits and not any(answer.answers):
            self._due = (watch, answer.bits)
            if answer.bits <= QUICK:
                await self._work()
                answer = await given(self._worked)
        if len(answer.answers) != len(pending):
            raise BadIssuance("the answer does not fit the question")
        self.chosen.trouble = answer.why if not any(answer.answers) else ""
        for (kind, window, one), signed in zip(pending, answer.answers, strict=True):
            if signed:
                self.chosen.spare.append(Spare(kind, window, one.finish(signed)))

    async def _work(self) -> None:
        """Do the work that a newcomer's first tokens cost; ends with the node."""
        assert self._due is not None
        (watch, bits), self._due = self._due, None
        if bits <= MOST_BITS:
            credential = Ed25519PrivateKey.from_private_bytes(self.chosen.credential)
            public = credential.public_key().public_bytes_raw()
            over = issuance.newcomer(watch, public, self.now // report.DAY)
            done = await asyncio.to_thread(work, over, bits, lambda: not self._stopped)
            self._worked = done or b""

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if not self.chosen.url:
                continue
            if self._due is not None:
                await self._work()  # minutes, in which everything else goes on
                with contextlib.suppress(CannotReport):
                    async with self._lock:
                        await self._restock()
            with contextlib.suppress(CannotReport):
                if self.chosen.automatic and self.now // 60 % 60 >= self._minute:
                    async with self._lock:
                        self._live()
                    if self._measured != report.window("measure", self.now):
                        await self.measure()
            with contextlib.suppress(CannotReport):
                async with self._lock:
                    await self._flush()

    def _live(self) -> None:
        """Queue this month's sign of life."""
        self._queue(Alive(self.chosen.region))

    async def _save(self) -> None:
        await self._keep(msgspec.json.encode(self.chosen).decode())


def conclude(
    finding: Finding, connected: bool, calls: list[Heard] | None = None
) -> tuple[Result, ...]:
    """What the ladder's verdict and the last hour's calls say of functions; nothing if they say
    nothing."""
    known = finding.verdict in report.VERDICTS
    verdict: Any = finding.verdict if known else "unknown"
    if connected:
        slow, blocked = verdict == "throttled", verdict == "udp-block"
        well, grade = measuring.heard(calls or [])
        return (
            Result("text", True, verdict),
            Result("calls", well and not blocked, verdict, grade=grade),
            Result("media", not slow, verdict),
        )
    if verdict in ("clear", "unknown") or finding.verdict in ("away", "impostor", "portal"):
        return ()  # the relay's trouble or nobody's, not the network's
    return (Result("text", False, verdict), Result("calls", False, verdict))


def _pages(watch: str, pages: dict[str, str]) -> dict[str, str]:
    """Only what is asked for in secret, unless the observatory is not either: whoever has no
    certificate for a public name, such as a device at home, cannot be made to answer."""
    plain = watch.startswith("http://")
    return {name: url for name, url in pages.items() if plain or url.startswith("https://")}
