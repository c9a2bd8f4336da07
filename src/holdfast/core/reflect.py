"""Asking a relay's UDP port from which address one is seen, for holes in NATs.

Question and answer have one size, look like packets of a QUIC connection, and are sealed with the
relay's secret path: a stranger cannot ask, and what is recorded and sent again is not answered. No
longer than the question, an answer is of no use against others. Sources: RFC 8489 for what
it is good for, RFC 9000 section 17.3 for how it looks; spec/paths.md, "Seen from outside".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core.caps import NONCE, hkdf

SIZE: Final = 60
WITHIN: Final = 60_000
"""Milliseconds by which the two clocks may differ."""
MOST: Final = 20_000
"""Questions that are remembered, so that none is answered twice."""
_PLAIN: Final = SIZE - NONCE - 16

Address = tuple[str, int]


def _key(path_secret: bytes, way: bytes) -> AESGCM:
    return AESGCM(hkdf(path_secret, "reflect/1", way))


def looks(data: bytes) -> bool:
    """Whether it may be a question, or an answer."""
    return len(data) == SIZE and data[0] >> 6 == 1


def _nonce(entropy: Callable[[int], bytes]) -> bytes:
    nonce = entropy(NONCE)
    return bytes((0x40 | nonce[0] & 0x3F,)) + nonce[1:]


def ask(path_secret: bytes, now: int, entropy: Callable[[int], bytes]) -> bytes:
    """A question; `now` in milliseconds since 1970."""
    nonce = _nonce(entropy)
    plain = now.to_bytes(8, "big").ljust(_PLAIN, b"\0")
    return nonce + _key(path_secret, b"question").encrypt(nonce, plain, b"")


def answered(path_secret: bytes, question: bytes, data: bytes) -> Address | None:
    """The address that an answer to this question tells."""
    if not looks(data):
        return None
    nonce, asked = data[:NONCE], question[:NONCE]
    try:
        plain = _key(path_secret, b"answer").decrypt(nonce, data[NONCE:], asked)
    except InvalidTag:
        return None
    return unpack(plain[1 : 1 + plain[0]])


class Mirror:
    """A relay's end."""

    def __init__(self, path_secrets: list[bytes]) -> None:
        self._keys = [(_key(one, b"question"), _key(one, b"answer")) for one in path_secrets]
        self._seen: set[bytes] = set()
        self._before: set[bytes] = set()
        self._turned = 0

    def answer(
        self, data: bytes, address: Address, now: int, entropy: Callable[[int], bytes]
    ) -> bytes | None:
        """The answer, if this is a question."""
        if not looks(data):
            return None
        nonce = data[:NONCE]
        for question, answer in self._keys:
            try:
                plain = question.decrypt(nonce, data[NONCE:], b"")
            except InvalidTag:
                continue
            if abs(now - int.from_bytes(plain[:8], "big")) > WITHIN or not self._first(nonce, now):
                return None
            place = pack(address)
            mine = _nonce(entropy)
            said = (bytes((len(place),)) + place).ljust(_PLAIN, b"\0")
            return mine + answer.encrypt(mine, said, nonce)
        return None

    def _first(self, nonce: bytes, now: int) -> bool:
        if now - self._turned > 2 * WITHIN:
            self._before, self._seen, self._turned = self._seen, set(), now
        if nonce in self._seen or nonce in self._before or len(self._seen) >= MOST:
            return False
        self._seen.add(nonce)
        return True


def pack(address: Address) -> bytes:
    """An address in 6 bytes, or 18."""
    one = ipaddress.ip_address(address[0])
    mapped = getattr(one, "ipv4_mapped", None)
    return (mapped or one).packed + address[1].to_bytes(2, "big")


def unpack(data: bytes) -> Address | None:
    """Inverse of `pack`."""
    if len(data) not in (6, 18):
        return None
    return str(ipaddress.ip_address(data[:-2])), int.from_bytes(data[-2:], "big")
