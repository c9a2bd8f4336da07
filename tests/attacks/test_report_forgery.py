"""report-forgery: a member is reported for what they did not write, or writes what cannot be
reported.

Elsewhere: Facebook's franking (Dodis et al., Fast Message Franking, 2018), where one ciphertext
opened under two keys, so that what was received and what was reported differed.
"""

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from holdfast.core.chat import content
from holdfast.core.group import franking, senders
from holdfast.core.group.franking import Proof
from holdfast.core.group.senders import announced
from holdfast.core.seal import keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.testing.entropy import seeded
from holdfast.testing.groups import begin, person, proved, root, talking

DRAW = seeded("forgery")
WROTE = content.encode(content.Text(b"m" * 16, 1, "see you at six"))
UGLY = content.encode(content.Text(b"m" * 16, 1, "I hate you all"))


def honest() -> tuple[bytes, Proof]:
    """A group, and what member 3 holds of a message of member 2."""
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 2)
    inbound = announced(epoch, plain, roster.view())
    return roster.id, proved(epoch, inbound, outbound.seal(epoch, WROTE, DRAW))


def shown(group: bytes, proof: Proof) -> franking.Said | None:
    try:
        return franking.opened(proof, group)
    except Unopenable:
        return None


def put_into_the_mouth() -> bool:
    """Member 3 seals an ugly message in a session of their own and says that it is of member 2,
    whose signature of it they do not have."""
    roster, _, epoch = talking()
    group, proof = honest()
    outbound, plain = begin(epoch, 3)
    inbound = announced(epoch, plain, roster.view())
    own = proved(epoch, inbound, outbound.seal(epoch, UGLY, DRAW))
    said = msgspec.msgpack.decode(own.statement, type=senders.Statement)
    victim = person(2).party
    claimed = msgspec.structs.replace(said, root=victim.root, device=victim.device)
    forged = msgspec.structs.replace(
        own, statement=msgspec.msgpack.encode(claimed), signature=proof.signature
    )
    found = shown(group, forged)
    return found is not None and (found.root, found.content) == (root(2), UGLY)


def test_nobody_is_reported_for_what_another_signed() -> None:
    group, proof = honest()
    found = shown(group, proof)
    assert found is not None and (found.root, found.content) == (root(2), WROTE)
    assert not put_into_the_mouth()


def test_twin_without_the_devices_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    monkeypatch.setattr(senders, "prefix", lambda *_: bytes(48))
    assert put_into_the_mouth()


def opened_otherwise() -> bool:
    """Member 3 reports the very bytes of member 2 with another first block, by which they begin
    with something else: CBC lets whoever knows the plain text choose that block."""
    group, proof = honest()
    plain = senders.prefix(msgspec.msgpack.decode(proof.statement, type=senders.Statement))
    wanted = b"I hate you all. "
    turned = bytes(a ^ b ^ c for a, b, c in zip(proof.key[32:], plain, wanted, strict=False))
    forged = msgspec.structs.replace(proof, key=proof.key[:32] + turned)
    found = shown(group, forged)
    return found is not None


def test_what_was_signed_opens_one_way_only() -> None:
    assert not opened_otherwise()


def test_twin_without_the_48_bytes_that_bind_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(franking, "_is_bound", lambda *_: True)
    assert opened_otherwise()


def two_keys() -> int:
    """How many of two keys open a ciphertext that its sender made for both: the first block of a
    short message is whatever each one's own 16 bytes make it."""
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 2)
    inbound = announced(epoch, plain, roster.view())
    proof = proved(epoch, inbound, outbound.seal(epoch, WROTE, DRAW))
    (index, sealed), opens = franking._parts(proof.message), 0
    assert index == 0 and len(sealed) % 16 == 0
    for key in (b"a" * 32, b"b" * 32):
        # Of one block, which each of the keys is made to open to what is wanted.
        block = sealed[:16]
        raw = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
        filled = PKCS7(128).padder()
        wanted = filled.update(key[:4]) + filled.finalize()
        first = bytes(a ^ b for a, b in zip(raw.update(block), wanted, strict=True))
        forged = msgspec.structs.replace(proof, key=key + first, message=_cut(proof.message, block))
        opens += shown(roster.id, forged) is not None
    return opens


def _cut(message: bytes, block: bytes) -> bytes:
    """The same message with this ciphertext; its sender can sign it."""
    return message[:3] + b"\x12" + bytes([len(block)]) + block + message[-72:]


@pytest.fixture
def signs_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender has the session's key and signs what they want."""

    class Willing:
        @staticmethod
        def from_public_bytes(_: bytes) -> "Willing":
            return Willing()

        def verify(self, *_: bytes) -> None:
            return

    monkeypatch.setattr(franking, "Ed25519PublicKey", Willing)


def test_no_sender_makes_bytes_that_two_keys_open(signs_all: None) -> None:
    assert two_keys() == 0


def test_twin_without_the_48_bytes_both_keys_open(
    signs_all: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(franking, "_is_bound", lambda *_: True)
    assert two_keys() == 2


def put_into_a_private_mouth() -> bool:
    """Member 3 shows a text that member 2 did not write to them, with what member 2 signed."""
    roster, _, _ = talking()
    author, reader = person(2).party, person(3).party
    said = franking.Private(
        roster.id,
        author.root,
        author.device,
        reader.root,
        b"m" * 16,
        5,
        "see you at six",
        DRAW(32),
        bytes(64),
    )
    wrote = franking.vouch(said, person(2).account)
    franking.require_vouched(wrote)
    forged = msgspec.structs.replace(wrote, text="I hate you all", key=DRAW(32))
    try:
        franking.require_vouched(forged)
    except Unopenable:
        return False
    return True


def test_a_private_text_is_committed_to_for_its_reader() -> None:
    assert not put_into_a_private_mouth()


def test_twin_without_its_authors_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    assert put_into_a_private_mouth()
