"""The committed vectors, read by a second implementation of spec/groups.md that shares nothing with
the code: it knows MessagePack, SHA-256, HMAC, AES and Ed25519, and what the page says."""

import hashlib
import hmac
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = Path(__file__).parents[3] / "spec" / "vectors"
Fields = list[Any]


def vectors(name: str) -> Any:
    return json.loads((HERE / f"group-{name}.json").read_text())


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


# seal.md, "Notation".


def join(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def H(label: str, *fields: bytes) -> bytes:
    return hashlib.sha256(join(b"holdfast/" + label.encode(), *fields)).digest()


def hkdf(secret: bytes, info: bytes, length: int = 32) -> bytes:
    key = hmac.digest(bytes(32), secret, "sha256")
    out, block = b"", b""
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:length]


def HKDF(secret: bytes, label: str, *context: bytes, length: int = 32) -> bytes:
    return hkdf(secret, join(b"holdfast/" + label.encode(), *context), length)


def is_signed(key: bytes, purpose: str, body: bytes, signature: bytes) -> bool:
    try:
        signed = join(b"holdfast/" + purpose.encode(), body)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def unpacked(data: bytes) -> Fields:
    found: Fields = msgspec.msgpack.decode(data)
    return found


# Entries and their folding.

BODY = ("version", "group", "parents", "root", "device", "listed", "at", "ops", "renewal")


class Entry:
    def __init__(self, data: bytes) -> None:
        body, signature = unpacked(data)
        self.hash = H("group-entry-hash/1", body)
        fields = unpacked(body)
        for name, value in zip(BODY, fields, strict=True):
            setattr(self, name, value)
        self.ops: list[Fields]
        self.parents: list[bytes]
        assert is_signed(self.device, "group-entry/1", body, signature)
        self.strikes = {
            op[1] for op in self.ops if op[0] == "remove" or (op[0] == "role" and op[2] == "member")
        }

    device: bytes
    root: bytes
    listed: bytes
    renewal: Fields | None

    @property
    def goes_on(self) -> bool:
        """By the word of a root that has lost its devices."""
        alone = len(self.ops) == 1 and self.ops[0][0] == "devices"
        return alone and List(self.ops[0][1]).head == self.listed


class List:
    """A device list, [body, signature]."""

    def __init__(self, data: bytes) -> None:
        body, signature = unpacked(data)
        self.version, self.root, self.recovery, self.previous, devices = unpacked(body)
        self.devices = [device[0] for device in devices]
        self.head = H("devices-head/1", body)
        assert is_signed(self.root, "devices/1", body, signature)

    def is_before(self, other: "List") -> bool:
        same = (self.root, self.recovery) == (other.root, other.recovery)
        return same and other.version > self.version


class Group:
    """A set of entries, and those of it that count."""

    def __init__(self, entries: list[Entry]) -> None:
        self.all = {entry.hash: entry for entry in entries}
        self.first = entries[0]
        self.past: dict[bytes, set[bytes]] = {}
        self.depth: dict[bytes, int] = {}
        for entry in entries:
            self.past[entry.hash] = {entry.hash}.union(*(self.past[one] for one in entry.parents))
            self.depth[entry.hash] = 1 + max((self.depth[one] for one in entry.parents), default=-1)
        # Roots that an entry strikes, and devices that it takes from its author's list.
        self.strikes: dict[bytes, set[bytes]] = {}
        for entry in entries:
            self.strikes[entry.hash] = set(entry.strikes)
            if any(op[0] == "devices" for op in entry.ops) and not entry.goes_on:
                seen = self.counting(self.past[entry.hash] - {entry.hash})
                if self.grants(entry.root, seen):
                    self.strikes[entry.hash] |= self.dropped(entry, seen)

    def place(self, one: bytes) -> tuple[int, bytes]:
        return self.depth[one], one

    def counting(self, known: set[bytes]) -> set[bytes]:
        counts: set[bytes] = set()
        decided: set[bytes] = set()
        while open := known - decided:
            ready = {one for one in open if self.past[one] - {one} <= decided}
            beside = {
                one: {
                    other
                    for other in known
                    if {self.all[one].root, self.all[one].device} & self.strikes[other]
                    and other not in self.past[one]
                    and one not in self.past[other]
                }
                for one in ready
            }
            easy = [one for one in ready if beside[one] <= decided]
            if easy:
                for one in easy:
                    decided.add(one)
                    if not beside[one] & counts and self.may(one, counts & self.past[one] - {one}):
                        counts.add(one)
                continue
            striking = [one for one in ready if self.strikes[one]] or list(ready)
            first = min(striking, key=lambda one: (self.rank(one, counts), one))
            decided.add(first)
            if self.may(first, counts & self.past[first] - {first}):
                counts.add(first)
        return counts

    def rank(self, one: bytes, counts: set[bytes]) -> tuple[int, int, bytes]:
        seen, root = counts & self.past[one] - {one}, self.all[one].root
        power = self.power(root, seen)
        if power is None:
            return 2, 0, root
        return int(root != self.owner(seen)), self.depth[power], power

    def grants(self, root: bytes, seen: set[bytes]) -> list[bytes]:
        """Entries that make somebody a member, and that no removal has not known of."""
        ends = [
            one
            for one in seen
            for op in self.all[one].ops
            if (op[0] == "remove" and op[1] == root)
            or (op[0] == "leave" and self.all[one].root == root)
        ]
        return [
            one
            for one in seen
            for op in self.all[one].ops
            if (op[0] == "found" and self.all[one].root == root)
            or (op[0] == "add" and List(op[2]).root == root)
            if all(end in self.past[one] for end in ends)
        ]

    def power(self, root: bytes, seen: set[bytes]) -> bytes | None:
        ends = [
            one
            for one in seen
            if root in self.all[one].strikes
            or (self.all[one].root == root and any(op[0] == "leave" for op in self.all[one].ops))
        ]
        held = [
            one
            for one in seen
            for op in self.all[one].ops
            if (op[0] == "found" and self.all[one].root == root)
            or (op[0] == "add" and List(op[2]).root == root and op[3:] == ["admin"])
            or (op[0] == "role" and op[1] == root and op[2] != "member")
            if all(end in self.past[one] for end in ends)
        ]
        return min(held, key=self.place, default=None)

    def owner(self, seen: set[bytes]) -> bytes:
        passed = [
            (self.place(one), op[1])
            for one in seen
            for op in self.all[one].ops
            if op[0] == "role" and op[2] == "owner"
        ]
        return max(passed)[1] if passed else self.first.root

    def role(self, root: bytes, seen: set[bytes]) -> str:
        if not self.grants(root, seen):
            return ""
        if root == self.owner(seen):
            return "owner"
        return "member" if self.power(root, seen) is None else "admin"

    def devices(self, root: bytes, seen: set[bytes]) -> List:
        lists = [
            listed
            for one in seen
            for op in self.all[one].ops
            if op[0] in ("found", "add", "devices")
            if (listed := List(op[1] if op[0] == "devices" else op[3 if op[0] == "found" else 2]))
            if listed.root == root
        ]
        if self.first.root == root:
            lists.append(List(self.first.ops[0][3]))
        return max(lists, key=lambda one: (one.version, one.head))

    def setting(self, key: str, seen: set[bytes]) -> str:
        held = [
            (self.place(one), op[2])
            for one in seen
            for op in self.all[one].ops
            if op[0] == "set" and op[1] == key
        ]
        return max(held)[1] if held else (self.first.ops[0][1] if key == "title" else "")

    def banned(self, seen: set[bytes]) -> list[bytes]:
        bans = [
            (one, op[1])
            for one in seen
            for op in self.all[one].ops
            if op[0] == "remove" and op[2] is True
        ]
        lifted = [(one, op[1]) for one in seen for op in self.all[one].ops if op[0] == "unban"]
        return sorted(
            {
                root
                for ban, root in bans
                if not any(root == who and ban in self.past[one] for one, who in lifted)
            }
        )

    def may(self, one: bytes, seen: set[bytes]) -> bool:
        entry = self.all[one]
        if not entry.parents:
            return True
        role = self.role(entry.root, seen)
        if not role:
            return False
        listed, leads = self.devices(entry.root, seen), role != "member"
        if entry.goes_on:
            new = List(entry.ops[0][1])
            return listed.is_before(new) and entry.device in new.devices
        drops = self.dropped(entry, seen)
        stuck = self._stuck(self.past[entry.hash] - {entry.hash})
        if entry.renewal is not None and not (leads or drops or stuck):
            return False
        if listed.head != entry.listed or entry.device not in listed.devices:
            return False
        for op in entry.ops:
            fine = leads
            match op[0]:
                case "leave":
                    fine = role != "owner"
                case "devices":
                    fine = listed.is_before(List(op[1]))
                    fine = fine and (entry.renewal is not None or not drops)
                case "add":
                    root = List(op[2]).root
                    known = bool(self.grants(root, seen)) or root in self.banned(seen)
                    fine = not known and (
                        leads or (self.setting("adding", seen) == "members" and op[3:] != ["admin"])
                    )
                case "remove":
                    safe = op[1] not in (self.owner(seen), entry.root)
                    fine = leads and safe and bool(self.grants(op[1], seen))
                case "role":
                    there = bool(self.grants(op[1], seen)) and op[1] != self.owner(seen)
                    fine = there and (role == "owner" if op[2] == "owner" else leads)
            if not fine:
                return False
        return True

    def dropped(self, entry: Entry, seen: set[bytes]) -> set[bytes]:
        """Devices that an entry takes from its author's list."""
        had = set(self.devices(entry.root, seen).devices)
        return {
            one for op in entry.ops if op[0] == "devices" for one in had - set(List(op[1]).devices)
        }

    # Epochs.

    def tips(self, known: set[bytes]) -> list[bytes]:
        inner = set().union(*(self.past[one] - {one} for one in known))
        return sorted(known - inner)

    def head(self, known: set[bytes]) -> bytes:
        tips = self.tips(known)
        return tips[0] if len(tips) == 1 else H("group-head/1", *tips)

    def secret(self, known: set[bytes], fresh: dict[bytes, bytes]) -> bytes | None:
        """The secret of a set; `fresh` are those that entries brought."""
        tips = self.tips(known)
        if len(tips) == 1 and self.all[tips[0]].renewal is not None:
            return fresh[tips[0]]
        before = known - {tips[0]} if len(tips) == 1 else self._before(known, tips)
        if before is None:
            return None
        secret = self.secret(before, fresh)
        return None if secret is None else HKDF(secret, "group-next/1", self.id, self.head(known))

    @property
    def id(self) -> bytes:
        return self.first.hash

    def _before(self, known: set[bytes], tips: list[bytes]) -> set[bytes] | None:
        shared = known.intersection(*(self.past[one] for one in tips))
        renewed = [one for one in known - shared if self.all[one].renewal is not None]
        counts = self.counting(known)
        if not renewed:
            return shared if self._safe(shared, counts) else None
        removals = {
            one
            for one in counts
            for op in self.all[one].ops
            if op[0] == "remove" or (op[0] == "devices" and self.all[one].renewal is not None)
        }
        fit = [
            one
            for one in renewed
            if one in counts and removals <= self.past[one] and self._safe(self.past[one], counts)
        ]
        last = [one for one in fit if not any(one in self.past[o] for o in fit if o != one)]
        return self.past[min(last)] if last else None

    def _safe(self, before: set[bytes], counts: set[bytes]) -> bool:
        void = self.counting(before) - counts
        return not any(op[0] in ("add", "devices") for one in void for op in self.all[one].ops)

    def _stuck(self, known: set[bytes]) -> bool:
        """Whether no secret follows for a set, however many were brought."""
        tips = self.tips(known)
        if len(tips) == 1 and self.all[tips[0]].renewal is not None:
            return False
        before = known - {tips[0]} if len(tips) == 1 else self._before(known, tips)
        return before is None or self._stuck(before)


@pytest.mark.parametrize("case", vectors("roster"), ids=lambda case: case["says"])
def test_everybody_folds_the_same(case: Any) -> None:
    given = [Entry(raw(one["encoded"])) for one in case["entries"]]
    taken: list[Entry] = []
    for entry, said in zip(given, case["entries"], strict=True):
        assert entry.hash == raw(said["hash"])
        known = {one.hash for one in taken}
        fine = set(entry.parents) <= known
        if fine:
            group = Group([*taken, entry])
            past = group.past[entry.hash] - {entry.hash}
            fine = group.may(entry.hash, group.counting(past))
        assert fine == said["taken"]
        taken += [entry] if fine else []
    group = Group(taken)
    known = set(group.all)
    counts = group.counting(known)
    assert counts == {raw(one["hash"]) for one in case["entries"] if one["counts"]}
    assert group.head(known) == raw(case["head"])
    roots = {op_root for entry in taken for op_root in _roots(entry)}
    members = [
        [root.hex(), role, [one.hex() for one in group.devices(root, counts).devices]]
        for root in sorted(roots)
        if (role := group.role(root, counts))
    ]
    assert members == case["members"]
    assert [root.hex() for root in group.banned(counts)] == case["banned"]
    assert group.setting("title", counts) == case["title"]
    fresh = {raw(one["hash"]): raw(one["secret"]) for one in case["entries"] if one["secret"]}
    for one, secret in fresh.items():
        if one in group.all:
            entry = group.all[one]
            assert entry.renewal is not None
            of = b"" if not entry.parents else group.id
            assert entry.renewal[0] == H("group-commitment/1", of, secret)
    found = group.secret(known, fresh)
    said = case["epoch"]
    assert (found is None) == (said is None)
    if found is not None:
        assert (found, H("group-epoch/1", group.id, found)) == (
            raw(said["secret"]),
            raw(said["id"]),
        )


def _roots(entry: Entry) -> set[bytes]:
    return {entry.root} | {List(op[2]).root for op in entry.ops if op[0] == "add"}


# Records.


def opened(record: bytes, group: bytes, secret: bytes) -> tuple[str, bytes]:
    kinds = ("entries", "sender", "message", "card", "keys", "ask", "report")
    kind, start = kinds[record[0] - 1], record[:33]
    assert record[1:33] == H("group-epoch/1", group, secret)
    key = HKDF(secret, "group-record/1", kind.encode(), group)
    padded = AESGCM(key).decrypt(record[33:45], record[45:], start)
    length = int.from_bytes(padded[:4], "big")
    assert not padded[4 + length :].strip(b"\0")
    return kind, padded[4 : 4 + length]


def test_records_open() -> None:
    made = vectors("epochs")
    group, founding = raw(made["group"]), raw(made["founding secret"])
    assert raw(made["commitment"]) == H("group-commitment/1", b"", founding)
    assert raw(made["log"]) == HKDF(founding, "group-log/1", length=96)
    secret = HKDF(founding, "group-next/1", group, raw(made["head"]))
    assert secret == raw(made["secret"])
    for one in made["records"]:
        assert opened(raw(one["record"]), group, secret) == (one["kind"], raw(one["plain"]))


def test_messages_stand_where_they_should() -> None:
    for one in vectors("place"):
        low = int.from_bytes(H("group-place/1", raw(one["root"]), raw(one["mid"]))[:2], "big") >> 4
        assert one["place"] == max(0, one["clock"] - 1_577_836_800_000) * 4096 + low


# What is said.


def of_megolm(message: bytes) -> tuple[int, bytes]:
    """Index and ciphertext of a short message of Megolm."""
    assert message[:2] == b"\x03\x08" and message[3] == 0x12
    length, at = message[4], 5
    if length > 127:
        length, at = (length & 127) | message[5] << 7, 6
    assert len(message) == at + length + 72
    return message[2], message[at : at + length]


def unciphered(key: bytes, sealed: bytes) -> bytes:
    raw_cipher = Cipher(algorithms.AES(key[:32]), modes.CBC(key[32:])).decryptor()
    padded = raw_cipher.update(sealed) + raw_cipher.finalize()
    return padded[: -padded[-1]]


def test_what_was_said_opens_and_is_proved() -> None:
    made = vectors("talk")
    entries = [Entry(raw(one)) for one in made["entries"]]
    group, known = Group(entries), {entry.hash for entry in entries}
    assert group.id == raw(made["group"])
    secret = group.secret(known, {group.id: raw(made["founding secret"])})
    assert secret is not None
    kind, plain = opened(raw(made["announcement"]), group.id, secret)
    statement, signature, session_key = unpacked(plain)
    device = raw(made["device"])
    assert kind == "sender" and is_signed(device, "group-sender/1", statement, signature)
    fields = unpacked(statement)
    said_group, epoch, head, root, said_device, session, counter, hashed = fields
    assert (said_group, root, said_device) == (group.id, raw(made["root"]), device)
    assert (epoch, head) == (H("group-epoch/1", group.id, secret), group.head(known))
    assert hashed == H("group-session/1", session_key)
    # The session key: version 2, index, ratchet of 128 bytes, Ed25519 key, its signature.
    assert session_key[0] == 2 and session_key[133:165] == session
    Ed25519PublicKey.from_public_bytes(session).verify(session_key[165:], session_key[:165])
    context = H(
        "group-message/1", group.id, epoch, head, root, device, session, counter.to_bytes(8, "big")
    )
    ratchet = session_key[5:133]
    for number, one in enumerate(made["messages"]):
        kind, plain = opened(raw(one["record"]), group.id, secret)
        named, message = unpacked(plain)
        assert (kind, named) == ("message", session)
        Ed25519PublicKey.from_public_bytes(session).verify(message[-64:], message[:-64])
        index, sealed = of_megolm(message)
        keys = hkdf(ratchet, b"MEGOLM_KEYS", 80)
        key = keys[:32] + keys[64:]
        assert index == number and key == raw(one["key"])
        assert hmac.digest(keys[32:64], message[:-72], "sha256")[:8] == message[-72:-64]
        content = unciphered(key, sealed)
        assert content[:48] == context + context[:16]
        assert content[48:] == raw(one["content"])
        assert int.from_bytes(content[48:56], "big") == 1_800_000_000_000 + number
        # Below 256 messages the last quarter of the ratchet alone moves on.
        ratchet = ratchet[:96] + hmac.digest(ratchet[96:], b"\x03", "sha256")


def test_letters_and_reports_open() -> None:
    made = vectors("talk")
    group, private = raw(made["group"]), X25519PrivateKey.from_private_bytes(raw(made["delivery"]))
    delivery = private.public_key().public_bytes_raw()
    body, signature = unpacked(raw(made["card"]))
    of_group, root, device, _, name, public = unpacked(body)
    assert (of_group, name, public) == (group, "Anna", delivery)
    assert is_signed(device, "group-card/1", body, signature)
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    for label, sealed, plain in (
        ("group-letter/1", made["letter"]["sealed"], made["letter"]["plain"]),
        ("group-report/1", made["report"]["sealed"], made["report"]["plain"]),
    ):
        assert suite.decrypt(raw(sealed), private, H(label, group, root, delivery)) == raw(plain)
    body, signature = unpacked(raw(made["report"]["plain"]))
    of_group, root, device, _, words, proofs = unpacked(body)
    assert is_signed(device, "group-report/1", body, signature)
    assert (of_group, root, words) == (group, raw(made["report"]["root"]), "this hurts")
    (statement, signature, message, key) = proofs[0]
    told = unpacked(statement)
    assert is_signed(told[4], "group-sender/1", statement, signature)
    Ed25519PublicKey.from_public_bytes(told[5]).verify(message[-64:], message[:-64])
    assert unciphered(key, of_megolm(message)[1])[56:] == b"three"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    found = importlib.util.spec_from_file_location("vectors_groups", HERE / "groups.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_files_are_what_the_generator_makes(generator: ModuleType) -> None:
    for name, made in generator.fixed().items():
        assert json.loads((HERE / f"{name}.json").read_text()) == made, name
