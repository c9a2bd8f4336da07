"""Tokens: RFC 9578's vectors, a round trip, and what is no token."""

import json
from pathlib import Path

import gmpy2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.tokens import (
    EXPONENT,
    REQUEST,
    SIZE,
    TOKEN,
    BadToken,
    Challenge,
    Signer,
    Verifier,
    ask,
    blinded,
)
from holdfast.testing.entropy import seeded

VECTORS = json.loads((Path(__file__).parent / "rfc9578.json").read_text())["vectors"]
CHALLENGE = Challenge("watch.example", bytes(32), "calls")


@pytest.fixture(scope="module")
def signer():
    return Signer(rsa.generate_private_key(EXPONENT, SIZE * 8))


@pytest.mark.parametrize("vector", VECTORS)
def test_the_rfcs_vectors(vector):
    given = {name: bytes.fromhex(value) for name, value in vector.items()}
    context = b"" if len(given["token_challenge"]) < 60 else given["token_challenge"][19:51]
    challenge = Challenge("issuer.example", context, "origin.example")
    assert challenge.encode() == given["token_challenge"]
    verifier = Verifier(given["pkS"])
    blind = gmpy2.mpz(int.from_bytes(given["blind"], "big"))
    pending = blinded(verifier, challenge.digest, given["nonce"], given["salt"], blind)
    assert pending.request == given["token_request"]
    assert pending.finish(given["token_response"]) == given["token"]
    signed = gmpy2.mpz(int.from_bytes(given["token_response"], "big"))
    opened = int(gmpy2.powmod(signed, EXPONENT, verifier.modulus)).to_bytes(SIZE, "big")
    assert opened == given["token_request"][3:]


def test_a_token_is_issued_blind_and_spent(signer):
    signer = Signer.load(signer.export())
    pending = ask(signer.verifier, CHALLENGE, seeded("one"))
    token = pending.finish(signer.sign(pending.request))
    assert len(token) == TOKEN and token[-SIZE:] not in pending.request
    nonce = Verifier(signer.verifier.spki).verify(token, CHALLENGE.digest)
    assert nonce == token[2:34]
    with pytest.raises(BadToken):
        signer.verifier.verify(token, Challenge("watch.example", bytes(32), "text").digest)
    for place in (0, 5, 40, 80, 200):
        wrong = bytearray(token)
        wrong[place] ^= 1
        with pytest.raises(BadToken):
            signer.verifier.verify(bytes(wrong), CHALLENGE.digest)


def test_another_key_is_refused_on_both_sides(signer):
    other = Signer(rsa.generate_private_key(EXPONENT, SIZE * 8))
    pending = ask(signer.verifier, CHALLENGE, seeded("two"))
    with pytest.raises(BadToken):
        pending.finish(bytes(SIZE))
    request = pending.request[:2] + other.verifier.key_id[-1:] + pending.request[3:]
    if request != pending.request:
        with pytest.raises(BadToken):
            signer.sign(request)
        with pytest.raises(BadToken):
            pending.finish(other.sign(request))


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.binary(min_size=REQUEST, max_size=REQUEST)))
def test_garbage_is_refused(signer, data):
    with pytest.raises(BadToken):
        signer.verifier.verify(data, CHALLENGE.digest)
    with pytest.raises(BadToken):
        Verifier(data)
    with pytest.raises(BadToken):
        Signer.load(data)
    try:
        assert len(signer.sign(data)) == SIZE
    except BadToken:
        pass
