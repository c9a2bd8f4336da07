"""token-abuse: an observatory that gives each person a key of their own recognises their token when
it is spent; and somebody spends a token twice.

Elsewhere: Privacy Pass (RFC 9576 section 4.3, draft-ietf-privacypass-key-consistency).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parents[1] / "watch"))

from watches import Clock, Person, get, watching

from holdfast.core import issuance, report
from holdfast.core.finding import Finding
from holdfast.core.issuance import Given, Key, Keys
from holdfast.core.report import Complaint
from holdfast.core.tokens import EXPONENT, INPUT, SIZE, TOKEN, Signer
from holdfast.drive.fetch import Look
from holdfast.node import reporting
from holdfast.node.measuring import Heard
from holdfast.node.reporting import Reporter
from holdfast.watch.desk import Desk
from holdfast.watch.ledger import raw
from holdfast.watch.merging import Peer
from holdfast.watch.program import key_of

NOW = 1_790_000_000
KINDS = ("calls", "measure", "alive")
PLACES = b'{"regions": [{"code": "A"}], "operators": [{"code": "b"}]}'
pytestmark = pytest.mark.usefixtures("ready_keys")


class Spy:
    """An observatory that can have keys for each person, and reads who spends what."""

    def __init__(self) -> None:
        self.own = Ed25519PrivateKey.generate()
        self.signers: dict[str, dict[str, Signer]] = {}
        self.spent: list[str] = []

    def shown_to(self, who: str) -> str:
        """Makes keys for somebody."""
        self.signers[who] = {
            kind: Signer(rsa.generate_private_key(EXPONENT, SIZE * 8)) for kind in KINDS
        }
        return who

    async def answer(self, who: str, url: str, body: bytes | None) -> bytes:
        path = url.removeprefix("https://spy.example")
        if path == "/places.json":
            return PLACES
        if path == "/api/keys":
            found = tuple(
                Key(kind, report.window(kind, NOW), signer.verifier.spki)
                for kind, signer in self.signers[who].items()
            )
            plain = Keys("spy", found, self.own.public_key().public_bytes_raw())
            signature = self.own.sign(plain.signed())
            return issuance.encode(Keys("spy", found, plain.key, signature))
        if path == "/api/tokens":
            ask = issuance.decode_ask(body or b"")
            signers = self.signers[who]
            return issuance.encode(
                Given(tuple(signers[wish.kind].sign(wish.request) for wish in ask.wishes))
            )
        assert path == "/api/reports" and body is not None
        import msgspec

        token = msgspec.json.decode(msgspec.json.decode(body)["reports"][0]["token"].join('""'),
                                    type=bytes)  # fmt: skip
        key = token[INPUT - 32 : INPUT]
        for name, signers in self.signers.items():
            if any(key == signer.verifier.key_id for signer in signers.values()):
                self.spent.append(name)
        return b'{"counted": 1, "refused": []}'


def node(spy: Spy, who: list[str]) -> Reporter:
    """A node's side, to which the observatory answers as to the last of `who`."""

    async def keep(text: str) -> None:
        pass

    async def calls() -> list[Heard]:
        return []

    async def see(url: str) -> Look:
        raise AssertionError(url)

    return Reporter(
        reporting.Chosen(), keep, lambda url, body: spy.answer(who[-1], url, body),
        lambda: NOW * 1000, lambda: Finding("clear"), lambda: True, calls, see,
    )  # fmt: skip


async def key_of_ones_own(spy: Spy) -> Reporter:
    """After an honest day somebody is shown a key that nobody else has."""
    spy.shown_to("everybody")
    who = ["everybody"]
    made = node(spy, who)
    await made.choose("https://spy.example", "A", "b", False, [])
    assert made.chosen.spare
    made.chosen.spare = []
    who.append(spy.shown_to("Amina"))
    await made.complain(["calls"])
    return made


async def test_a_key_for_one_person_is_noticed() -> None:
    spy = Spy()
    made = await key_of_ones_own(spy)
    assert spy.spent == []
    assert not made.chosen.spare and "other keys than before" in made.chosen.trouble


async def test_twin_without_comparing_the_token_says_whose_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Reporter, "_compare", lambda self, keys: None)
    spy = Spy()
    await key_of_ones_own(spy)
    assert spy.spent == ["Amina"]


async def test_keys_of_ones_own_from_the_start_are_found_by_comparing() -> None:
    spy = Spy()
    prints = []
    for name in ("Amina", "Boris"):
        made = node(spy, [spy.shown_to(name)])
        await made.choose("https://spy.example", "A", "b", False, [])
        prints.append(made.chosen.keys)
    assert all(prints) and prints[0] != prints[1]
    lists = [
        issuance.decode_keys(await spy.answer(name, "https://spy.example/api/keys", None))
        for name in ("Amina", "Boris")
    ]
    for each in lists:
        each.check()  # both bear its signature: the proof
    assert lists[0].key == lists[1].key and lists[0].keys != lists[1].keys
    honest = Spy()
    honest.shown_to("everybody")
    prints = []
    for _ in range(2):
        made = node(honest, ["everybody"])
        await made.choose("https://spy.example", "A", "b", False, [])
        prints.append(made.chosen.keys)
    assert prints[0] == prints[1]


@pytest.mark.timeout(120)
async def test_another_observatory_sees_which_keys_are_everybodys_and_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node's mark beside what is seen from elsewhere; Amina, the twin, is shown other keys."""
    one = {kind: report.window(kind, NOW) for kind in report.KINDS}
    monkeypatch.setattr(report, "ahead", lambda kind, now: range(one[kind], one[kind] + 1))
    clock = Clock(NOW)
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    async with watching(tmp_path / "1", clock) as first:
        peer = Peer(first, raw(key_of(tmp_path / "1")))
        async with watching(tmp_path / "2", clock, peers=(peer,)) as second:
            spy = Spy()
            spy.shown_to("Amina")

            async def fetch(url: str, body: bytes | None) -> bytes:
                return (await get(url, body))[1]

            async def fetch_hers(url: str, body: bytes | None) -> bytes:
                if url.endswith("/api/keys"):
                    return await spy.answer("Amina", "https://spy.example/api/keys", None)
                return await fetch(url, body)

            everybody, hers = node(spy, []), node(spy, [])
            everybody._fetch, hers._fetch = fetch, fetch_hers
            for each in (everybody, hers):
                await each.choose(first, "VEL", "veltel", False, [])
            shown = json.loads((await get(first + "/about.json"))[1])["tokens"]
            assert shown.encode() in (await get(first + "/data"))[1].replace(b" ", b"")
            clock.now += 600
            seen = ""
            while not seen:
                about = json.loads((await get(second + "/about.json"))[1])
                seen = about["with"][0]["tokens"]
                clock.now += 60  # what is published is made anew
                await asyncio.sleep(0.1)
            assert everybody.chosen.keys == shown == seen != hers.chosen.keys


async def test_what_was_not_signed_by_the_observatory_is_no_list() -> None:
    spy = Spy()
    keys = issuance.decode_keys(
        await spy.answer(spy.shown_to("x"), "https://spy.example/api/keys", None)
    )
    for wrong in (
        Keys("spy", keys.keys), Keys("other", keys.keys, keys.key, keys.signature),
        Keys("spy", keys.keys[1:], keys.key, keys.signature),
    ):  # fmt: skip
        with pytest.raises(issuance.BadIssuance):
            wrong.check()


COMPLAINT = Complaint("VEL", "veltel", "calls")


async def spend_twice(directory: Path) -> int:
    """One token: at once a hundred times, changed, and after a restart. How often it counts."""
    clock, counted = Clock(NOW), 0
    async with watching(directory, clock) as root:
        person = Person(root, clock)
        (token,) = await person.tokens("calls")
        assert token is not None and len(token) == TOKEN
        pairs = [(COMPLAINT, token)] * 20
        answers = await asyncio.gather(*(person.send(*pairs) for _ in range(5)))
        counted += sum(answer["counted"] for _, answer in answers)
        other = bytearray(token)
        other[2:34] = secrets.token_bytes(32)
        counted += (await person.send((COMPLAINT, bytes(other))))[1]["counted"]
    async with watching(directory, clock) as root:
        person.root = root
        counted += (await person.send((COMPLAINT, token)))[1]["counted"]
    return counted


@pytest.mark.timeout(120)
async def test_no_token_is_spent_twice(tmp_path: Path) -> None:
    assert await spend_twice(tmp_path) == 1


class Forgetful(set[bytes]):
    """Knows nothing of what was spent."""

    def __contains__(self, one: object) -> bool:
        return False


@pytest.mark.timeout(120)
async def test_twin_that_forgets_counts_one_token_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Desk.__init__

    def forgets(self: Desk, *about: object) -> None:
        begin(self, *about)  # type: ignore[arg-type]
        self._spent = Forgetful()

    monkeypatch.setattr(Desk, "__init__", forgets)
    assert await spend_twice(tmp_path) > 100
