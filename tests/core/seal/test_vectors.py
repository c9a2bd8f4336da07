"""The committed vectors, read by the code and, where a library does the work, by a second
implementation of the specification that shares nothing with it."""

import base64
import hashlib
import hmac
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import vodozemac
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core import seal
from holdfast.core.seal import (
    bundle,
    hpke,
    inner,
    invitation,
    keys,
    keyset,
    link,
    outer,
    padding,
    pairwise,
    rest,
    trail,
    waiting,
)
from holdfast.core.seal.hpke import HpkeKey
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.invitation import Contact, Invitation, Repeat
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.link import BadLink, Link
from holdfast.core.seal.pairwise import Pairwise
from holdfast.testing.pairs import seeded

SPEC = Path(__file__).parents[3] / "spec"


def read(name: str) -> Any:
    return json.loads((SPEC / "vectors" / f"seal-{name}.json").read_text())


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    found = importlib.util.spec_from_file_location("vectors_seal", SPEC / "vectors" / "seal.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_files_are_what_the_generator_makes(generator: ModuleType) -> None:
    for name, vectors in generator.fixed().items():
        assert json.loads((SPEC / "vectors" / f"{name}.json").read_text()) == vectors, name


def test_the_specification_has_the_codes_version_and_constants() -> None:
    text = (SPEC / "seal.md").read_text()
    assert text.startswith(f"# Seal: the encryption\n\nVersion {seal.VERSION}.")
    assert seal.VERSION == inner.VERSION == link.VERSION
    table = dict(re.findall(r"^\| ([^|]+) \| ([\d, ]+) \|$", text, re.MULTILINE))
    assert table == {
        "Size classes": ", ".join(map(str, padding.CLASSES)),
        "HPKE overhead": str(hpke.OVERHEAD),
        "HPKE public key": str(hpke.PUBLIC),
        "Largest content": str(pairwise.MAX_CONTENT),
        "Largest content in 512 bytes": str(pairwise.SMALL_CONTENT),
        "Records held for order": str(waiting.MAX_RECORDS),
        "Bytes held for order": str(waiting.MAX_BYTES),
        "Records before a new outer key": str(outer.ROTATE_MESSAGES),
        "Milliseconds before a new outer key": str(outer.ROTATE_MILLIS),
        "Records acknowledged at the latest": str(pairwise.ACK_AT_MOST),
        "Records back that a trail reaches": str(trail.WINDOW),
        "Profile": str(keyset.MAX_PROFILE),
        "Acceptances of one link for many": str(invitation.MAX_SESSIONS),
        "Milliseconds of grace after expiry": str(invitation.GRACE),
        "Argon2id memory in KiB": str(rest.MEMORY_KIB),
    }


def test_keys() -> None:
    vectors = read("keys")
    for key in vectors["refused curve25519"]:
        with pytest.raises(BadKey):
            keys.require_curve25519(raw(key))
    for key in vectors["refused ed25519"]:
        with pytest.raises(BadKey):
            keys.require_ed25519(raw(key))
    for made in vectors["signatures"]:
        keys.verify(raw(made["public"]), made["purpose"], raw(made["body"]), raw(made["signature"]))


def test_device_lists() -> None:
    vectors = read("identity")
    lists = [DeviceList.decode(raw(made["encoded"])) for made in vectors["lists"]]
    for found, made in zip(lists, vectors["lists"], strict=True):
        assert found.head.hex() == made["head"]
        assert found.version == made["version"]
    for pair, relation in vectors["follows"].items():
        known, other = (lists[int(n)] for n in pair.split(" to "))
        assert known.follow(other) == relation


def test_links() -> None:
    vectors = read("link")
    for made in vectors["good"]:
        found = Link.parse(made["text"], vectors["now"])
        assert Link.parse(made["address"], vectors["now"]) == found
        assert found.secret.hex() == made["secret"]
        assert [str(one) for one in found.homes] == made["homes"]
        assert found.accept.conv_id.hex() == made["accept conv_id"]
    for reason, texts in vectors["bad"].items():
        for text in texts:
            with pytest.raises(BadLink) as caught:
                Link.parse(text, vectors["now"])
            assert caught.value.reason == reason


def test_the_database_row() -> None:
    v = read("rest")
    rows = rest.Rows(raw(v["database key"]))
    plain = rows.unwrap(v["table"], raw(v["row"]), v["counter"], raw(v["stored"]))
    assert plain.hex() == v["plain"]


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    assert length <= 32
    return hmac.digest(key, info + b"\1", "sha256")[:length]


def test_an_envelope_opens_by_the_specification_alone() -> None:
    v = read("hpke")
    secret, sealed = raw(v["secret"]), raw(v["sealed"])
    assert HpkeKey(secret).open(sealed, raw(v["info"])).hex() == v["plaintext"]
    shared = X25519PrivateKey.from_private_bytes(secret[64:]).exchange(
        X25519PublicKey.from_public_bytes(sealed[1088:1120])
    )
    kem = MLKEM768PrivateKey.from_seed_bytes(secret[:64]).decapsulate(sealed[:1088])
    label = rb"\.//^" + b"\\"
    mixed = hashlib.sha3_256(
        kem + shared + sealed[1088:1120] + raw(v["public"])[1184:] + label
    ).digest()
    suite = b"HPKE" + bytes.fromhex("647a00010002")

    def labeled(salt: bytes, name: bytes, secret: bytes) -> bytes:
        return extract(salt, b"HPKE-v1" + suite + name + secret)

    schedule = (
        b"\0" + labeled(b"", b"psk_id_hash", b"") + labeled(b"", b"info_hash", raw(v["info"]))
    )
    start = labeled(mixed, b"secret", b"")
    key, nonce = (
        expand(start, length.to_bytes(2, "big") + b"HPKE-v1" + suite + name + schedule, length)
        for name, length in ((b"key", 32), (b"base_nonce", 12))
    )
    assert AESGCM(key).decrypt(nonce, sealed[1120:], b"").hex() == v["plaintext"]


def test_a_record_opens_by_the_specification_alone() -> None:
    v = read("outer")

    def fields(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def hkdf(secret: bytes, label: bytes, *context: bytes) -> bytes:
        return expand(extract(bytes(32), secret), fields(b"holdfast/" + label, *context), 32)

    key = hkdf(
        raw(v["share of the initiator"] + v["share of the responder"]),
        b"outer/1",
        raw(v["transcript"]),
    )
    assert key.hex() == v["O_0"]
    assert hkdf(key, b"epoch-id/1").hex() == v["epoch id"]
    direction = hkdf(key, b"direction/1", raw(v["sender"][1]), raw(v["recipient"][1]))
    record = raw(v["record"])
    assert len(record) == 512
    padded = AESGCM(direction).decrypt(record[2:14], record[14:], record[:2])
    length = int.from_bytes(padded[:4], "big")
    assert padded[4 : 4 + length].hex() == v["body"]
    assert not any(padded[4 + length :])
    past = bytes(8)
    for olm in v["past of"]:
        past = hashlib.sha256(fields(b"holdfast/past/1", past, raw(olm))).digest()[:8]
    assert past.hex() == v["past"]
    head = (7).to_bytes(8, "big") + (5).to_bytes(8, "big") + past + bytes(8)
    assert raw(v["body"]).startswith(head)
    step = v["next"]
    info = fields(
        b"holdfast/outer-next/1",
        step["n"].to_bytes(8, "big"),
        hashlib.sha256(raw(step["offer"])).digest(),
        hashlib.sha256(raw(step["answer"])).digest(),
    )
    assert expand(extract(key, raw(step["share"])), info, 32).hex() == step["O_1"]
    c, ends = v["context"], [*v["sender"][:3], *v["recipient"][:3]]
    named = fields(
        b"holdfast/pair/1", *(raw(text) for text in (c["conv_id"], c["session id"], c["key id"]))
    )
    hashed = hashlib.sha256(named + fields(*map(raw, ends))).hexdigest()
    assert hashed == c["hash"]


def test_emoji_and_macs_are_what_the_specification_says() -> None:
    secret = X25519PrivateKey.from_private_bytes(b"s" * 32)
    sas = vodozemac.Sas()
    shared = secret.exchange(X25519PublicKey.from_public_bytes(sas.public_key.to_bytes()))
    public = secret.public_key().public_bytes_raw()
    strings = sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_bytes(public))
    start = extract(bytes(32), shared)
    bits = int.from_bytes(expand(start, b"info", 6), "big") >> 6
    indices = [bits >> shift & 63 for shift in range(36, -1, -6)]
    assert list(strings.bytes("info").emoji_indices) == indices
    mac = hmac.digest(expand(start, b"info", 32), b"claim", "sha256")
    assert strings.calculate_mac("claim", "info") == base64.b64encode(mac).decode().rstrip("=")


def test_a_recorded_first_contact_still_opens() -> None:
    v, entropy = read("contact"), seeded("recorded")
    anna = Identity.load(raw(v["inviter's identity"]))
    assert anna.party.root.hex() == v["inviter's root"]
    found = Link.parse(v["link"], v["now"])
    shown = bundle.open_bundle(found, raw(v["bundle record"]), v["now"])
    assert shown.devices == anna.devices
    kept = Invitation.load(raw(v["invitation"]))
    contact = kept.open_accept(raw(v["answer"]), anna, v["now"], entropy)
    assert isinstance(contact, Contact)
    assert contact.devices.root.hex() == v["acceptor's root"]
    assert contact.pairwise.session_id.hex() == v["session id"]
    again = kept.open_accept(raw(v["answer"]), anna, v["now"], entropy)
    assert isinstance(again, Repeat)


def test_recorded_records_still_open() -> None:
    v = read("contact")
    kinds = []
    for record in v["records"]:
        reader = Pairwise.load(raw(record["reader's state"]))
        (message,) = reader.open(raw(record["blob"]), v["now"]).messages
        assert message.content.hex() == record["content"]
        kinds.append(raw(record["blob"])[0])
    assert kinds == [outer.OPENING, outer.OPENING, outer.KEYED, outer.KEYED]
