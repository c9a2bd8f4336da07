"""What a person or a node tells an observatory: coarse, with no name and no free text.

A report says what did or did not work, in which region, through which operator, and nothing
else. Each costs a token (`core.tokens`) made for its kind and a window of time, so that one
credential has one complaint a function and day, one measurement an hour, one sign of life a
month. Everything here is hostile until decoded. Normative text: spec/watch.md.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from holdfast.core.tokens import Challenge

FUNCTIONS: Final = ("text", "voice", "calls", "video", "media", "internet")
"""Text, voice notes, calls, video, photos and files, mobile internet."""
SERVICE: Final = "service:"
"""Before the name of another service, as in service:youtube."""
VERDICTS: Final = (
    "clear", "freeze", "fingerprint", "name-block", "dns-block", "address-block", "allowlist",
    "throttled", "udp-block", "offline", "unknown",
)  # fmt: skip
"""What a node's ladder says, as far as it is about the network; udp-block: datagrams are silent."""
RATES: Final = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
"""Steps of kbit/s to which throughput is rounded down."""

DAY: Final = 86_400
HOUR: Final = 3_600
MAX_RESULTS: Final = 12

Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,23}\Z")]
"""Of a region or an operator, from the observatory's lists."""
Function = Annotated[
    str,
    Meta(pattern=r"^(text|voice|calls|video|media|internet|service:[a-z0-9][a-z0-9.-]{0,30})\Z"),
]
Page = Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[!-~]{0,200}\Z")]
"""Of a service or a control, by which a node measures it."""
Rate = Annotated[int, Meta(ge=0, le=32_768)]
Verdict = Literal[
    "clear", "freeze", "fingerprint", "name-block", "dns-block", "address-block", "allowlist",
    "throttled", "udp-block", "offline", "unknown",
]  # fmt: skip


class BadReport(ValueError):
    """Not a report; the sentence says what is wrong and holds nothing of it."""


class Complaint(Struct, frozen=True, tag="complaint", forbid_unknown_fields=True):
    """Somebody says that something does not work."""

    region: Code
    operator: Code
    function: Function


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """How one function fared. Rates are kbit/s by steps, the grade is that of calls as heard
    (`core.call.grade`, 1 bad to 5 excellent); 0: not measured."""

    function: Function
    ok: bool
    verdict: Verdict = "unknown"
    rate: Rate = 0
    control: Rate = 0
    grade: Annotated[int, Meta(ge=0, le=5)] = 0


class Measurement(Struct, frozen=True, tag="measurement", forbid_unknown_fields=True):
    """What a node found out by itself."""

    region: Code
    operator: Code
    results: Annotated[tuple[Result, ...], Meta(min_length=1, max_length=MAX_RESULTS)]


class Alive(Struct, frozen=True, tag="alive", forbid_unknown_fields=True):
    """An installation was in use in this region this month."""

    region: Code


Report = Complaint | Measurement | Alive
_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)
_encoder = msgspec.json.Encoder()


def encode(report: Report) -> bytes:
    """As JSON."""
    return _encoder.encode(report)


def decode(data: bytes) -> Report:
    """Parse a report. Raises `BadReport`."""
    if len(data) > 4096:
        raise BadReport("a report has at most 4096 bytes")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadReport(f"not a report: {type(error).__name__}") from None


def coarse(kbit: float) -> int:
    """A throughput as it is reported."""
    return max(step for step in RATES if step <= max(kbit, 0))


# Kinds of tokens, and the windows they are good for.

KINDS: Final = (*FUNCTIONS, "service", "measure", "alive")
AHEAD: Final = {"measure": 24, "alive": 2}
"""Windows for which tokens are given out beforehand, this one included; else 3."""


def kind_of(report: Report) -> str:
    """Of the token that a report costs."""
    match report:
        case Complaint(function=function):
            return "service" if function.startswith(SERVICE) else function
        case Measurement():
            return "measure"
        case Alive():
            return "alive"


def window(kind: str, now: int) -> int:
    """The window that the second `now` lies in: an hour, a month or a day, counted in UTC."""
    if kind == "measure":
        return now // HOUR
    if kind == "alive":
        return _month(now)
    return now // DAY


def _month(now: int) -> int:
    """Months since 1970, by the Gregorian calendar (Hinnant's algorithm)."""
    days = now // DAY + 719_468
    era, day = divmod(days, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    of_year = day - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return (year + era * 400 - 1970) * 12 + month + 2


def challenge(watch: str, kind: str, number: int) -> Challenge:
    """What a token of this kind and window is made for, at the observatory of this name."""
    context = hashlib.sha256(f"holdfast/report/1/{kind}/{number}".encode()).digest()
    return Challenge(watch, context)


NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,30}")


def service(name: str) -> str:
    """The function that another service is, by its name. Raises `BadReport`."""
    name = name.strip().lower()
    if not NAME.fullmatch(name):
        raise BadReport("a service's name is up to 31 letters, digits, dots and hyphens")
    return SERVICE + name


def ahead(kind: str, now: int) -> range:
    """Windows for which tokens of a kind are given out now."""
    first = window(kind, now)
    return range(first, first + AHEAD.get(kind, 3))
