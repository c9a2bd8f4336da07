"""Anonymous single-use tokens: Privacy Pass type 2, blind RSA, both ends.

Whoever issues a token cannot recognise it when it is spent. RFC 9578 section 6 over RFC 9474's
RSABSSA-SHA384-PSS-Deterministic, keys of 2,048 bits. Spending is checked by a maintained
library's RSA-PSS; what no library offers, blinding and the signature on a blinded message,
is here over GMP's integers, whose powers with secret exponents take constant time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gmpy2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TYPE: Final = b"\x00\x02"
SIZE: Final = 256
"""Bytes of a modulus, a signature, a blinded message."""
NONCE: Final = 32
SALT: Final = 48
INPUT: Final = 2 + NONCE + 32 + 32
TOKEN: Final = INPUT + SIZE
REQUEST: Final = 2 + 1 + SIZE
EXPONENT: Final = 65_537
_HEAD: Final = bytes.fromhex(
    "30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d01"
    "0108300b0609608648016503040202a2030201300382010f003082010a0282010100"
)
_TAIL: Final = b"\x02\x03\x01\x00\x01"
_HASH: Final = hashes.SHA384()
_PSS: Final = padding.PSS(padding.MGF1(_HASH), SALT)


class BadToken(ValueError):
    """Not a token, or not one that this key signed; the message says no more."""


@dataclass(frozen=True)
class Challenge:
    """What a token is good for (RFC 9577 section 2.1)."""

    issuer: str
    context: bytes = b""
    """Nothing, or 32 bytes."""
    origin: str = ""

    def encode(self) -> bytes:
        """As its digest goes into a token."""
        issuer, origin = self.issuer.encode(), self.origin.encode()
        return b"".join(
            (
                TYPE,
                len(issuer).to_bytes(2, "big"),
                issuer,
                len(self.context).to_bytes(1, "big"),
                self.context,
                len(origin).to_bytes(2, "big"),
                origin,
            )
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 of it."""
        return hashlib.sha256(self.encode()).digest()


class Verifier:
    """An issuer's public key. `spki` is DER with the RSASSA-PSS identifier, as published.

    Raises `BadToken` for anything else.
    """

    def __init__(self, spki: bytes) -> None:
        size = len(_HEAD) + SIZE + len(_TAIL)
        if len(spki) != size or not spki.startswith(_HEAD) or not spki.endswith(_TAIL):
            raise BadToken("not an issuer's key of 2,048 bits")
        self.spki = spki
        self.key_id = hashlib.sha256(spki).digest()
        self.modulus = gmpy2.mpz(int.from_bytes(spki[len(_HEAD) : -len(_TAIL)], "big"))
        try:
            self._key = rsa.RSAPublicNumbers(EXPONENT, int(self.modulus)).public_key()
        except ValueError:
            raise BadToken("not an issuer's key of 2,048 bits") from None
        if self._key.key_size != SIZE * 8:
            raise BadToken("not an issuer's key of 2,048 bits")

    def verify(self, token: bytes, challenge_digest: bytes) -> bytes:
        """The nonce of a token made for this challenge. Raises `BadToken`."""
        if (
            len(token) != TOKEN
            or token[:2] != TYPE
            or token[2 + NONCE : 2 + NONCE + 32] != challenge_digest
            or token[2 + NONCE + 32 : INPUT] != self.key_id
        ):
            raise BadToken("not a token for this")
        try:
            self._key.verify(token[INPUT:], token[:INPUT], _PSS, _HASH)
        except InvalidSignature:
            raise BadToken("not a token of this issuer") from None
        return token[2 : 2 + NONCE]


@dataclass(frozen=True, repr=False)
class Pending:
    """A token that is being asked for: `request` goes to the issuer, the rest stays."""

    request: bytes
    _input: bytes
    _inverse: gmpy2.mpz
    _verifier: Verifier
    _digest: bytes

    @property
    def issuer(self) -> bytes:
        """The key of who is asked."""
        return self._verifier.spki

    def finish(self, response: bytes) -> bytes:
        """The token, from what the issuer answered. Raises `BadToken`."""
        if len(response) != SIZE:
            raise BadToken("not an answer to a request for a token")
        modulus = self._verifier.modulus
        signed = gmpy2.mpz(int.from_bytes(response, "big")) * self._inverse % modulus
        token = self._input + int(signed).to_bytes(SIZE, "big")
        self._verifier.verify(token, self._digest)
        return token


def ask(verifier: Verifier, challenge: Challenge, entropy: Callable[[int], bytes]) -> Pending:
    """Begin to get a token (RFC 9578 section 6.1, RFC 9474 section 4.2)."""
    nonce, salt = entropy(NONCE), entropy(SALT)
    blind = gmpy2.mpz(0)
    while not 1 < blind < verifier.modulus or gmpy2.gcd(blind, verifier.modulus) != 1:
        blind = gmpy2.mpz(int.from_bytes(entropy(SIZE), "big"))
    return blinded(verifier, challenge.digest, nonce, salt, blind)


def blinded(
    verifier: Verifier, digest: bytes, nonce: bytes, salt: bytes, blind: gmpy2.mpz
) -> Pending:
    """`ask` with everything that is drawn given: for the vectors."""
    modulus = verifier.modulus
    token_input = TYPE + nonce + digest + verifier.key_id
    message = gmpy2.mpz(int.from_bytes(encode_pss(token_input, salt), "big"))
    hidden = message * gmpy2.powmod(blind, EXPONENT, modulus) % modulus
    request = TYPE + verifier.key_id[-1:] + int(hidden).to_bytes(SIZE, "big")
    return Pending(request, token_input, gmpy2.invert(blind, modulus), verifier, digest)


def encode_pss(message: bytes, salt: bytes) -> bytes:
    """EMSA-PSS with SHA-384 for a modulus of 2,048 bits (RFC 8017 section 9.1.1)."""
    digest = hashlib.sha384(b"\0" * 8 + hashlib.sha384(message).digest() + salt).digest()
    size = SIZE - len(digest) - 1
    block = b"\0" * (size - len(salt) - 1) + b"\x01" + salt
    mask = b"".join(
        hashlib.sha384(digest + counter.to_bytes(4, "big")).digest()
        for counter in range(-(-size // len(digest)))
    )[:size]
    masked = bytearray(a ^ b for a, b in zip(block, mask, strict=True))
    masked[0] &= 0x7F
    return bytes(masked) + digest + b"\xbc"


class Signer:
    """An issuer's private key, an RSA key of 2,048 bits."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        numbers = key.private_numbers()
        public = numbers.public_numbers
        if key.key_size != SIZE * 8 or public.e != EXPONENT:
            raise BadToken("not an issuer's key of 2,048 bits")
        self.verifier = Verifier(_HEAD + public.n.to_bytes(SIZE, "big") + _TAIL)
        self._key = key
        self._p, self._q = gmpy2.mpz(numbers.p), gmpy2.mpz(numbers.q)
        self._dp, self._dq = gmpy2.mpz(numbers.dmp1), gmpy2.mpz(numbers.dmq1)
        self._inverse = gmpy2.mpz(numbers.iqmp)

    def sign(self, request: bytes) -> bytes:
        """The answer to a request (RFC 9578 section 6.2). Raises `BadToken`."""
        if len(request) != REQUEST or request[:2] != TYPE:
            raise BadToken("not a request for a token")
        if request[2:3] != self.verifier.key_id[-1:]:
            raise BadToken("this request is for another key")
        modulus = self.verifier.modulus
        hidden = gmpy2.mpz(int.from_bytes(request[3:], "big"))
        if not 0 < hidden < modulus:
            raise BadToken("not a request for a token")
        # By the Chinese remainder theorem; checked, since a fault would give the key away.
        left = gmpy2.powmod_sec(hidden % self._p, self._dp, self._p)
        right = gmpy2.powmod_sec(hidden % self._q, self._dq, self._q)
        signed = right + self._q * ((left - right) * self._inverse % self._p)
        if gmpy2.powmod(signed, EXPONENT, modulus) != hidden:
            raise BadToken("this machine computes wrongly")
        return int(signed).to_bytes(SIZE, "big")

    def export(self) -> bytes:
        """The private key, DER in PKCS #8."""
        return self._key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @classmethod
    def load(cls, data: bytes) -> Signer:
        """What `export` gave. Raises `BadToken`."""
        try:
            key = serialization.load_der_private_key(data, None)
        except ValueError:
            raise BadToken("not an issuer's key of 2,048 bits") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise BadToken("not an issuer's key of 2,048 bits")
        return cls(key)
