"""Who may make logs at a relay, and what it costs: the parts that both ends compute.

A relay may ask for work: a number such that SHA-256 over the connection's nonce and it begins with
so many zero bits. Or for an anonymous token (`core.tokens`) of an issuer whose key it names, which
it may be itself. Normative text: spec/log.md, "Admission".
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import Final

from holdfast.core import tokens

NUMBER: Final = 8
"""Bytes of what work finds."""
MOST_BITS: Final = 28
"""Work that would take minutes is not done."""
_LABEL: Final = b"holdfast/pow/1"


def covered(nonce: bytes) -> bytes:
    """What is hashed before the number."""
    return _LABEL + nonce


def is_work(nonce: bytes, found: bytes, bits: int) -> bool:
    """Whether that much work was done for this connection."""
    if len(found) != NUMBER:
        return False
    digest = hashlib.sha256(covered(nonce) + found).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits) == 0


def work(nonce: bytes, bits: int, goes_on: Callable[[], bool] = lambda: True) -> bytes | None:
    """Do it: 2^bits hashes on average; None if it does not go on."""
    base = hashlib.sha256(covered(nonce))
    shift = 64 - bits
    for number in itertools.count():
        found = number.to_bytes(NUMBER, "big")
        each = base.copy()
        each.update(found)
        if int.from_bytes(each.digest()[:8], "big") >> shift == 0:
            return found
        if not number & 0xFFFF and not goes_on():
            return None
    raise AssertionError("unreachable")


def challenge(pin: bytes) -> tokens.Challenge:
    """What tokens of the relay with this pin are good for."""
    return tokens.Challenge("holdfast-relay", hashlib.sha256(b"holdfast/logs/1" + pin).digest())
