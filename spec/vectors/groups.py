"""Makes the test vectors group-*.json beside this file: `python spec/vectors/groups.py`.

`group-roster`, `group-epochs` and `group-place` follow from the specification alone and come out
the same every time. `group-talk` holds what a run of the code made with random keys of the
libraries; it is written once, and made anew only with `--record`, when a format has changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.group import cards, entries, franking, senders
from holdfast.core.group.entries import (
    Add,
    AnyOp,
    Appoint,
    BadEntry,
    Body,
    Devices,
    Entry,
    Leave,
    Remove,
    Renewal,
    Set,
    Unban,
)
from holdfast.core.group.epochs import Epochs, commitment, log_secret
from holdfast.core.group.franking import message_key
from holdfast.core.group.roster import Roster, first_body
from holdfast.core.seal import keys
from holdfast.core.seal.identity import Device, DeviceList, Party
from holdfast.testing.entropy import seeded

HERE = Path(__file__).parent
Vectors = dict[str, Any]
HOMES = ("relay.example.org:443/x",)


class Somebody:
    """A person whose keys all follow from a letter. `version` is of the device list: 0 for the
    first, else of one behind a lost device. `devices` are the numbers of those in the list, the
    first of which acts; `lists` is the list that its entries name, if it is another one."""

    def __init__(
        self,
        letter: str,
        version: int = 0,
        devices: tuple[int, ...] = (),
        names: Somebody | None = None,
    ) -> None:
        self.letter = letter
        self.version = version
        self.devices = devices or (version,)
        self.names = names or self

    def _key(self, what: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(keys.digest(f"vector {what}", self._seed()))

    def _seed(self) -> bytes:
        return self.letter.encode()

    @property
    def root(self) -> bytes:
        return keys.public_bytes(self._key("root"))

    @property
    def device(self) -> Ed25519PrivateKey:
        return self._key(f"device {self.devices[0]}")

    @property
    def listed(self) -> DeviceList:
        curve = keys.digest("vector curve", self._seed())[:31] + b"\x01"
        recovery = keys.public_bytes(self._key("recovery"))
        devices = tuple(
            Device(keys.public_bytes(self._key(f"device {number}")), curve)
            for number in sorted(self.devices)
        )
        before = Somebody(self.letter).listed if self.version else None
        return DeviceList.sign(self._key("root"), recovery, devices, before, self.version)

    @property
    def party(self) -> Party:
        device = Device(keys.public_bytes(self.device), self.listed.devices[0].curve25519)
        return Party(self.root, device.ed25519, device.curve25519, self.listed.head)

    def sign(self, purpose: str, body: bytes) -> bytes:
        return keys.sign(self.device, purpose, body)


ANNA, BORIS, CLARA, DORA = (Somebody(letter) for letter in "ABCD")
BACK = Somebody("B", 30_000_000)
"""Boris with another device, after a backup."""

TWO = Somebody("C", 2, (0, 1))
"""Clara, who has linked a second device."""
SECOND = Somebody("C", 2, (1, 0), TWO)
"""And that one, when it acts."""
CLARA_TWO = Somebody("C", 0, (0,), TWO)
"""Her first device, which knows of both."""
ONE = Somebody("C", 3, (0,))
"""Clara, who has removed it again."""


def secret_of(number: int) -> bytes:
    """The secret of the epoch that entry `number` of a case begins."""
    return keys.digest("vector secret", number.to_bytes(4, "big"))


class Case:
    """Entries of a group, made one after another by who stands before which others."""

    def __init__(self, says: str) -> None:
        self.says = says
        first = first_body(ANNA.listed, ANNA.party.device, "Choir", "Anna", keys.digest("nonce"), 1)
        self.entries: list[Entry] = []
        self.secrets: dict[int, bytes] = {}
        self.roster = Roster(self._sign(ANNA, first, True))

    def _sign(self, who: Somebody, body: Body, renew: bool) -> Entry:
        if renew:
            secret = self.secrets[len(self.entries)] = secret_of(len(self.entries))
            said = commitment(b"" if not body.parents else self.roster.id, secret)
            body = msgspec.structs.replace(body, renewal=Renewal(said, HOMES))
        made = entries.sign(body, who)
        self.entries.append(made)
        return made

    def act(self, who: Somebody, after: tuple[int, ...], *ops: AnyOp, renew: bool = False) -> int:
        """An entry behind those of these numbers; its own number."""
        parents = tuple(sorted(self.entries[number].hash for number in after))
        listed, at = who.names.listed, 2 + len(self.entries)
        body = Body(
            1, self.roster.id, parents, who.root, who.party.device, listed.head, at, ops, None
        )
        made = self._sign(who, body, renew or any(isinstance(op, Remove) for op in ops))
        try:
            self.roster.add(made)
        except BadEntry:
            pass
        return len(self.entries) - 1

    def vectors(self) -> Vectors:
        """The entries, and what everybody makes of them."""
        roster, view = self.roster, self.roster.view()
        epochs = Epochs(roster)
        for number, secret in self.secrets.items():
            if self.entries[number].hash in roster:
                epochs.hold((self.entries[number].hash,), secret)
        epoch = epochs.now()
        effective = {roster.entries[i].hash for i in roster.order(roster.effective(roster.all))}
        return {
            "says": self.says,
            "entries": [
                {
                    "encoded": entry.data,
                    "hash": entry.hash,
                    "taken": entry.hash in roster,
                    "counts": entry.hash in effective,
                    "secret": self.secrets.get(number, b""),
                }
                for number, entry in enumerate(self.entries)
            ],
            "head": roster.head,
            "members": [
                [root, str(view.role(root)), [d.ed25519 for d in view.devices(root).devices]]
                for root in sorted(view.roots())
                if view.devices(root) is not None
            ],
            "banned": sorted(view.banned),
            "title": view.setting("title"),
            "epoch": None if epoch is None else {"secret": epoch.secret, "id": epoch.id},
        }


def added() -> Case:
    """Anna's group with an admin and two members."""
    case = Case("the owner adds an admin and two members")
    case.act(
        ANNA,
        (0,),
        Add("Boris", BORIS.listed.encode(), "admin"),
        Add("Clara", CLARA.listed.encode()),
    )
    return case


def cases() -> list[Case]:
    """One of each thing that can be mistaken."""
    dora = Add("Dora", DORA.listed.encode())
    found = [added()]

    case = added()
    case.says = "a member adds nobody, a stranger does nothing"
    case.act(CLARA, (1,), dora)
    case.act(DORA, (1,), Set("title", "Mine"))
    found.append(case)

    case = added()
    case.says = "a removal beats an addition beside it, and what was removed does not act"
    case.act(ANNA, (1,), Remove(BORIS.root, True))
    case.act(BORIS, (1,), dora)
    case.act(BORIS, (3,), Set("title", "Boris's"))
    found.append(case)

    case = added()
    case.says = "two admins remove each other: the owner's removal counts"
    case.act(BORIS, (1,), Remove(CLARA.root))
    case.act(ANNA, (1,), Remove(BORIS.root))
    case.act(ANNA, (2, 3), Set("title", "After it"))
    found.append(case)

    case = added()
    case.says = "an admin of later appointment strikes back in vain"
    case.act(ANNA, (1,), Appoint(CLARA.root, "admin"))
    case.act(BORIS, (2,), Remove(CLARA.root))
    case.act(CLARA, (2,), Remove(BORIS.root))
    found.append(case)

    case = added()
    case.says = "two removals beside each other: nobody has the key before somebody renews it"
    case.act(ANNA, (1,), dora)
    case.act(ANNA, (2,), Remove(CLARA.root))
    case.act(BORIS, (2,), Remove(DORA.root))
    found.append(case)

    case = added()
    case.says = "and then it is renewed"
    case.act(ANNA, (1,), dora)
    case.act(ANNA, (2,), Remove(CLARA.root))
    case.act(BORIS, (2,), Remove(DORA.root))
    case.act(BORIS, (3, 4), renew=True)
    found.append(case)

    case = added()
    case.says = "two titles and an addition beside each other: all count, the greater hash names it"
    case.act(ANNA, (1,), Set("title", "One"))
    case.act(BORIS, (1,), Set("title", "Two"))
    case.act(ANNA, (1,), dora)
    found.append(case)

    case = added()
    case.says = "somebody leaves, is added again, is banned and let in again"
    case.act(CLARA, (1,), Leave())
    case.act(BORIS, (2,), Add("Clara", CLARA.listed.encode()))
    case.act(ANNA, (3,), Remove(CLARA.root, True))
    case.act(BORIS, (4,), Add("Clara", CLARA.listed.encode()))
    case.act(BORIS, (4,), Unban(CLARA.root))
    case.act(BORIS, (6,), Add("Clara", CLARA.listed.encode()))
    found.append(case)

    case = added()
    case.says = "a lost device goes on by the root's word, the old one does nothing behind it"
    case.act(BACK, (1,), Devices(BACK.listed.encode()))
    case.act(BORIS, (2,), Set("title", "With the old device"))
    case.act(BACK, (2,), Set("title", "With the new one"))
    found.append(case)

    case = added()
    case.says = "a member links a device, which acts, and removes it with a fresh key"
    case.act(CLARA, (1,), Devices(TWO.listed.encode()))
    case.act(SECOND, (2,), renew=True)
    case.act(CLARA_TWO, (2,), Devices(ONE.listed.encode()))
    case.act(CLARA_TWO, (2,), Devices(ONE.listed.encode()), renew=True)
    case.act(CLARA_TWO, (2,), renew=True)
    found.append(case)

    case = added()
    case.says = "what a removed device does beside its removal does not count"
    case.act(ANNA, (1,), Appoint(CLARA.root, "admin"))
    case.act(CLARA, (2,), Devices(TWO.listed.encode()))
    case.act(SECOND, (3,), dora)
    case.act(CLARA_TWO, (3,), Devices(ONE.listed.encode()), renew=True)
    case.act(SECOND, (4,), Remove(BORIS.root))
    found.append(case)

    case = added()
    case.says = "a device and a member are removed beside each other: somebody has to renew the key"
    case.act(CLARA, (1,), Devices(TWO.listed.encode()))
    case.act(CLARA_TWO, (2,), Devices(ONE.listed.encode()), renew=True)
    case.act(ANNA, (2,), Remove(BORIS.root))
    found.append(case)

    case = added()
    case.says = "the group is given away, and the former owner is an admin"
    case.act(ANNA, (1,), Appoint(CLARA.root, "owner"))
    case.act(ANNA, (2,), Appoint(BORIS.root, "member"))
    case.act(ANNA, (3,), Remove(CLARA.root))
    found.append(case)
    return found


def epoch_vectors() -> Vectors:
    """Secrets, what follows from them, and records."""
    case = added()
    epochs = Epochs(case.roster)
    epochs.hold((case.entries[0].hash,), case.secrets[0])
    epoch = epochs.now()
    assert epoch is not None
    plains = (b"", b"hello", bytes(range(256)) * 3)
    return {
        "group": case.roster.id,
        "founding secret": case.secrets[0],
        "commitment": commitment(b"", case.secrets[0]),
        "log": log_secret(case.secrets[0]),
        "secret": epoch.secret,
        "head": epoch.head,
        "id": epoch.id,
        "records": [
            {
                "kind": kind,
                "plain": plain,
                "record": epoch.seal(kind, plain, seeded(f"record {number}")),
            }
            for number, (kind, plain) in enumerate(
                zip(("sender", "message", "report"), plains, strict=True)
            )
        ],
    }


def place_vectors() -> list[Vectors]:
    """Where messages stand, see spec/chat.md, "Order"."""
    found = []
    for clock in (0, 1_577_836_800_000, 1_800_000_000_000, 1_800_000_000_001):
        for number in (1, 2):
            mid = bytes([number]) * 16
            low = int.from_bytes(keys.digest("group-place/1", ANNA.root, mid)[:2], "big") >> 4
            place = max(0, clock - 1_577_836_800_000) << 12 | low
            found.append({"clock": clock, "root": ANNA.root, "mid": mid, "place": place})
    return found


def talk_vectors() -> Vectors:
    """A session with three messages, a card, a letter and a report: by the libraries' dice."""
    case = added()
    epochs = Epochs(case.roster)
    epochs.hold((case.entries[0].hash,), case.secrets[0])
    epoch = epochs.now()
    assert epoch is not None
    draw = seeded("talk vectors")
    outbound, announcement = senders.Outbound.begin(
        epoch, CLARA.party, CLARA, 1_800_000_000_000, 5, draw
    )
    inbound = senders.announced(epoch, epoch.open(announcement)[1], case.roster.view())
    said = []
    for number, text in enumerate(("one", "two", "three")):
        data = senders.timed(1_800_000_000_000 + number, text.encode())
        record = outbound.seal(epoch, data, draw)
        _, message = senders.read(epoch.open(record)[1])
        exported = inbound.exported(number)
        assert exported is not None
        proof = franking.Proof(*inbound.statement, message.to_bytes(), message_key(exported))
        assert inbound.open(message) == data
        said.append({"record": record, "content": data, "key": proof.key})
    card, private = cards.make(case.roster.id, ANNA.party, "Anna", 7, ANNA, draw)
    told = franking.sign(case.roster.id, BORIS.party, "this hurts", (proof,), 8, BORIS)
    read = cards.read(card, case.roster.id)
    return {
        "group": case.roster.id,
        "founding secret": case.secrets[0],
        "entries": [entry.data for entry in case.entries],
        "root": CLARA.root,
        "device": CLARA.party.device,
        "announcement": announcement,
        "messages": said,
        "card": card,
        "delivery": private,
        "letter": {"plain": b"a letter", "sealed": cards.letter(read, b"a letter")},
        "report": {
            "plain": told,
            "sealed": cards.letter(read, told, franking.PURPOSE),
            "root": BORIS.root,
            "words": "this hurts",
        },
    }


def plain(value: Any) -> Any:
    """Bytes as hexadecimal, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def fixed() -> dict[str, Any]:
    """What comes out the same every time, by file."""
    made = {
        "group-roster": [case.vectors() for case in cases()],
        "group-epochs": epoch_vectors(),
        "group-place": place_vectors(),
    }
    return {name: plain(vectors) for name, vectors in made.items()}


def main() -> None:
    """Write them."""
    made = fixed()
    talk = HERE / "group-talk.json"
    if "--record" in sys.argv or not talk.exists():
        made["group-talk"] = plain(talk_vectors())
    for name, vectors in made.items():
        (HERE / f"{name}.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
