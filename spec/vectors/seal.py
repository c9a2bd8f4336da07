"""Makes the test vectors seal-*.json beside this file: `python spec/vectors/seal.py`.

`fixed` follows from the specification alone and comes out the same every time.
`recorded` holds what a run of the code made with random keys of the libraries; it is
written once, and made anew only with `--record`, when a format has changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import caps
from holdfast.core.seal import hpke, keys, outer, padding, trail
from holdfast.core.seal.hpke import HpkeKey
from holdfast.core.seal.identity import Device, DeviceList, Identity, Party
from holdfast.core.seal.inner import Inner, context
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.core.seal.link import Link
from holdfast.core.seal.olm import Ciphertext
from holdfast.core.seal.rest import Rows
from holdfast.core.seal.verification import Show, Verification
from holdfast.core.seal.waiting import Record
from holdfast.testing.pairs import DAY, NOW, home, seeded

HERE = Path(__file__).parent
Vectors = dict[str, Any]


def plain(value: Any) -> Any:
    """Bytes as hexadecimal, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def party(letter: bytes) -> Party:
    return Party(letter * 32, letter.upper() * 32, letter * 31 + b"1", letter * 31 + b"2")


def key_vectors() -> Vectors:
    secret = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return {
        "refused curve25519": [
            n.to_bytes(32, "little") for n in [*sorted(keys.LOW_CURVE25519), keys.P, keys.P + 9]
        ],
        "refused ed25519": [
            (n | top).to_bytes(32, "little")
            for n in [*sorted(keys.LOW_ED25519), keys.P, keys.P + 3]
            for top in (0, 1 << 255)
        ],
        "signatures": [
            {
                "secret": bytes(range(32)),
                "public": keys.public_bytes(secret),
                "purpose": purpose,
                "body": b"body",
                "signature": keys.sign(secret, purpose, b"body"),
            }
            for purpose in ("devices/1", "invite/1", "accept/1")
        ],
    }


def identity_vectors() -> Vectors:
    root = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    others = [
        keys.public_bytes(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2, 3)
    ]
    first = DeviceList.sign(root, others[0], (Device(others[1], b"c" * 31 + b"1"),))
    more = (*first.devices, Device(others[2], b"d" * 31 + b"1"))
    second = DeviceList.sign(root, others[0], more, first)
    other = DeviceList.sign(root, others[0], more[::-1], first)
    return {
        "lists": [
            {
                "encoded": made.encode(),
                "version": made.version,
                "root": made.root,
                "recovery": made.recovery,
                "previous": made.previous,
                "devices": [[device.ed25519, device.curve25519] for device in made.devices],
                "head": made.head,
            }
            for made in (first, second, other)
        ],
        "follows": {"1 to 0": "older", "0 to 1": "newer", "1 to 2": "fork", "0 to 0": "same"},
    }


def link_vectors() -> Vectors:
    links = [
        Link(1_800_000_060, b"s" * 16, b"h" * 32, (home(),)),
        Link(2**32 - 1, bytes(16), bytes(32), (home("::1"), home("10.0.0.1")), many=True),
    ]
    text = links[0].text()
    changed = caps.unb64(text[9:])
    return {
        "now": NOW,
        "good": [
            {
                "text": link.text(),
                "address": link.text("landing.example.org"),
                "expires": link.expires,
                "secret": link.secret,
                "bundle hash": link.bundle_hash,
                "homes": [str(one) for one in link.homes],
                "many": link.many,
                "bundle locator": link.bundle.locator,
                "bundle read": link.bundle.read,
                "accept locator": link.accept.locator,
                "accept append": link.accept.append,
                "accept conv_id": link.accept.conv_id,
            }
            for link in links
        ],
        "bad": {
            "not-a-link": ["", "hello", "https://landing.example.org/?" + text[9:]],
            "damaged": [text[:-1], text[:-2] + "AA", "holdfast:" + text[9:] + "="],
            "newer": ["holdfast:" + caps.b64(b"\2" + changed[1:])],
            "expired": [Link(1, b"s" * 16, b"h" * 32, (home(),)).text()],
        },
    }


def outer_vectors() -> Vectors:
    first, second, transcript = b"1" * 32, b"2" * 32, b"t" * 32
    key = caps.hkdf(first + second, "outer/1", transcript)
    me, peer = party(b"a"), party(b"b")
    state = outer.OuterState(True, transcript, first, None, b"", 0, {0: key})
    said = trail.longer(trail.longer(trail.START, b"olm message 1"), b"olm message 2")
    ends = trail.newest(said), trail.START
    body = Record.encode(7, 5, *ends, Ciphertext(1, b"olm message"))
    record = outer.Outer(state, me, peer, b"c" * 16).seal(body, lambda n: b"n" * n)
    inner = Inner(7, 5, me.head, b"x" * 32, resend=(3, 0), content=b"hello")
    return {
        "share of the initiator": first,
        "share of the responder": second,
        "transcript": transcript,
        "O_0": key,
        "epoch id": caps.hkdf(key, "epoch-id/1"),
        "sender": list(msgspec.structs.astuple(me)),
        "recipient": list(msgspec.structs.astuple(peer)),
        "direction key": caps.hkdf(key, "direction/1", me.device, peer.device),
        "past of": [b"olm message 1", b"olm message 2"],
        "past": trail.newest(said),
        "body": body,
        "nonce": b"n" * 12,
        "record": record,
        "next": {
            "share": b"3" * 32,
            "n": 0,
            "offer": b"o" * 1216,
            "answer": b"a" * 1168,
            "O_1": outer.next_key(key, b"3" * 32, 0, b"o" * 1216, b"a" * 1168),
        },
        "inside": {
            "seq": 7,
            "ack": 5,
            "context": b"x" * 32,
            "resend": [3, 0],
            "content": b"hello",
            "encoded": inner.encode(),
        },
        "context": {
            "conv_id": b"c" * 16,
            "session id": b"s" * 32,
            "key id": b"k" * 32,
            "hash": context(b"c" * 16, b"s" * 32, b"k" * 32, me, peer),
        },
    }


def sas_vectors() -> Vectors:
    asker, other = party(b"a"), party(b"b")
    machine = Verification(asker, other)
    machine.start(NOW, lambda n: b"n" * n)
    machine._pair = (b"A" * 32, b"B" * 32)
    return {
        "name": b"n" * 16,
        "asker": list(msgspec.structs.astuple(asker)),
        "other": list(msgspec.structs.astuple(other)),
        "asker's key": b"A" * 32,
        "other's key": b"B" * 32,
        "transcript": machine._transcript,
        "commitment": machine._promise(b"B" * 32),
        "emoji info": machine._about("emoji"),
        "mac info, asker": machine._about("mac", asker),
        "mac input, asker": machine._claim(asker),
        "show": machine._say(Show(b"n" * 16, b"A" * 32)),
    }


def rest_vectors() -> Vectors:
    return {
        "database key": bytes(range(32)),
        "table": "sessions",
        "row": b"row",
        "counter": 7,
        "nonce": b"n" * 12,
        "plain": b"secret",
        "stored": Rows(bytes(range(32))).wrap("sessions", b"row", 7, b"secret", lambda n: b"n" * n),
        "padded": {"data": b"data", "for 16 bytes around it": padding.pad(b"data", 16)},
    }


def fixed() -> dict[str, Vectors]:
    """Every file that follows from the specification alone."""
    made = {
        "seal-keys": key_vectors(),
        "seal-identity": identity_vectors(),
        "seal-link": link_vectors(),
        "seal-outer": outer_vectors(),
        "seal-sas": sas_vectors(),
        "seal-rest": rest_vectors(),
    }
    return {name: plain(vectors) for name, vectors in made.items()}


def recorded() -> dict[str, Vectors]:
    """What random keys of the libraries were drawn for: an envelope and a first contact.
    Identities, invitation and states are as this implementation stores them."""
    entropy = seeded("vectors")
    key = HpkeKey.make(bytes(range(96)))
    info = hpke.info("message", b"r" * 32, b"d" * 32, key.public, b"c" * 16)
    anna, boris = (Identity.create(entropy)[0] for _ in range(2))
    invitation = Invitation.create(anna, (home(),), NOW + DAY, b"Anna", NOW, entropy)
    before = invitation.dump()
    at_boris, answer = accept(
        invitation.link, invitation.record, boris, (home("10.0.0.1"),), b"Boris", NOW, entropy
    )
    contact = invitation.open_accept(answer, anna, NOW, entropy)
    assert isinstance(contact, Contact)
    ends = (at_boris.pairwise, contact.pairwise)
    records = []
    for turn, content in enumerate((b"hello", b"and to you", b"under O_0", b"both ways")):
        sender = turn % 2
        blob = ends[sender].seal(content, NOW, entropy).blob
        reader = ends[1 - sender].dump(entropy)
        ends[1 - sender].open(blob, NOW)
        by = ("initiator", "responder")[sender]
        records.append({"by": by, "blob": blob, "content": content, "reader's state": reader})
    return {
        "seal-hpke": plain(
            {
                "secret": key.secret,
                "public": key.public,
                "purpose": "message",
                "root": b"r" * 32,
                "device": b"d" * 32,
                "conv_id": b"c" * 16,
                "info": info,
                "sealed": hpke.seal(key.public, info, b"plaintext"),
                "plaintext": b"plaintext",
            }
        ),
        "seal-contact": plain(
            {
                "now": NOW,
                "link": invitation.link.text(),
                "bundle record": invitation.record,
                "inviter's identity": anna.dump(),
                "acceptor's identity": boris.dump(),
                "invitation": before,
                "answer": answer,
                "inviter's root": anna.party.root,
                "acceptor's root": boris.party.root,
                "session id": contact.pairwise.session_id,
                "records": records,
            }
        ),
    }


def write(files: dict[str, Vectors]) -> None:
    for name, vectors in files.items():
        (HERE / f"{name}.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(fixed())
    if "--record" in sys.argv or not (HERE / "seal-contact.json").exists():
        write(recorded())
