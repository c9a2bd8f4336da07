"""What the command says: exit codes, one plain sentence for an error, safe texts."""

from __future__ import annotations

import enum
import re
import sys
from typing import Any

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""Controls a terminal obeys, and marks that change the direction of what follows."""


class Exit(enum.IntEnum):
    """Exit codes; scripts rely on them (docs/cli.md)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NOT_FOUND = 4
    REFUSED = 5
    NETWORK = 6
    LOCKED = 7
    TIMEOUT = 8
    DECLINED = 9
    BUSY = 10
    UNANSWERED = 11
    STOPPED = 130


CODES = {
    "phase": Exit.LOCKED,
    "wrong-passphrase": Exit.LOCKED,
    "not-found": Exit.NOT_FOUND,
    "no-relay": Exit.NETWORK,
    "bad-params": Exit.USAGE,
    "too-long": Exit.USAGE,
    "bad-link": Exit.REFUSED,
    "used": Exit.REFUSED,
    "expired": Exit.REFUSED,
    "own-link": Exit.REFUSED,
    "taken": Exit.REFUSED,
    "not-allowed": Exit.REFUSED,
    "storage": Exit.FAILED,
}
"""Exit codes of the node's refusals."""


class Trouble(Exception):
    """The command cannot be carried out; the sentence says why and what to do."""

    def __init__(self, text: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.code = code


def safe(text: str) -> str:
    """A text somebody else wrote, without what a terminal would obey."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def indent(text: str) -> str:
    """A text of several lines, such that no line of it looks like one of ours."""
    return text.replace("\n", "\n    ")


def tell(text: str) -> None:
    """One plain sentence on stderr: what goes on, or went wrong."""
    sentence = safe(text).strip() or "It failed without saying why."
    if sentence[-1] not in ".!?…":
        sentence += "."
    print(sentence[0].upper() + sentence[1:], file=sys.stderr)


def show(value: Any, json: bool, text: str) -> None:
    """One result: a JSON object on one line, or its text."""
    if json:
        import msgspec

        line = msgspec.json.encode(value).decode()
        # These stand only in strings, where JSON allows escapes.
        print(UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line), flush=True)
    else:
        print(safe(text), flush=True)


def size_text(size: float) -> str:
    """Bytes for people."""
    power = 0
    while size >= 999.5 and power < 4:
        size, power = size / 1000, power + 1
    digits = 1 if power and size < 99.95 else 0
    return f"{size:.{digits}f} {('bytes', 'KB', 'MB', 'GB', 'TB')[power]}"
