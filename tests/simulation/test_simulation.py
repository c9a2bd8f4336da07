"""Seeds drive three people and three relays through everything that goes wrong; see `story`.

One seed again, with its story: `python tests/simulation/test_simulation.py SEED`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation import story, town
from simulation.story import Broken, tell

from holdfast.core.chat import content
from holdfast.core.seal.invitation import Inbox
from holdfast.core.seal.olm import Ciphertext, Session
from holdfast.core.seal.pairwise import Pairwise
from holdfast.node import effects, group_talk, receiving
from holdfast.node.desk import LIFETIME, Desk, unpack_inbox
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.taking import Arrived
from holdfast.testing.virtual import VirtualLoop

SAMPLE = 5
ENOUGH = 40
"""Stories after which a twin that nobody noticed is not noticed."""


@pytest.mark.parametrize("seed", range(SAMPLE))
def test_nothing_is_lost_doubled_or_shown_to_others(seed: int) -> None:
    assert len(tell(f"sample {seed}")) > story.ACTS


def test_a_seed_tells_the_same_story_again() -> None:
    """In another process, where sets have another order and libraries draw other keys."""
    told = []
    for hashing in ("1", "2"):
        done = subprocess.run(
            [sys.executable, __file__, "sample 1", "--digest"],
            env=os.environ | {"PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(done.stdout)
    assert told[0] == told[1] and len(told[0]) == 65


def test_what_all_relays_bring_to_a_group_is_opened_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    came: Counter[tuple[int, bytes]] = Counter()
    opened: Counter[tuple[int, bytes]] = Counter()
    received, open_ = group_talk.received, group_talk._open

    def coming(desk: Desk, work: Work, cid: str, what: Arrived) -> None:
        came[id(desk), what.blob] += 1
        received(desk, work, cid, what)

    def opening(desk: Desk, work: Work, group: Group, blob: bytes, outage: Any) -> bool:
        opened[id(desk), blob] += 1
        return open_(desk, work, group, blob, outage)

    base = town.base()

    async def talk() -> None:
        place = town.Town("once", base, tmp_path)
        await place.start()
        anna = place.people[town.PEOPLE[0]]
        assert anna.node is not None
        await anna.node.send(anna.contact(town.GROUP), "to all")
        await asyncio.sleep(60)
        await place.stop()

    monkeypatch.setattr(group_talk, "received", coming)
    monkeypatch.setattr(group_talk, "_open", opening)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(talk())
    assert set(came.values()) == {len(town.RELAYS)}
    assert set(opened.values()) == {1}


# The twins: what each lacks is noticed.


def forget_the_ratchet(patch: pytest.MonkeyPatch) -> None:
    """Every other state of a session is not stored: a crash restores an older one."""
    keep, turns = Desk.keep, iter(range(10**9))

    def forgetful(self: Desk, work: Work, contact: str, session: Pairwise, *more: int) -> None:
        stored = work.db.execute("SELECT session FROM contact WHERE id = ?", (contact,)).fetchone()
        counter = work.db.execute("SELECT counter FROM contact WHERE id = ?", (contact,)).fetchone()
        keep(self, work, contact, session, *more)
        if next(turns) % 2 and stored and stored[0]:
            work.db.execute(
                "UPDATE contact SET session = ?, counter = ? WHERE id = ?",
                (*stored, *counter, contact),
            )

    patch.setattr(Desk, "keep", forgetful)


def feed_as_they_come(patch: pytest.MonkeyPatch) -> None:
    """Records are fed to Olm in whichever order relays bring them."""
    patch.setattr(Pairwise, "_is_next", lambda self, seq: True)


def trust_one_relay(patch: pytest.MonkeyPatch) -> None:
    """A record goes to the first home alone."""
    send = Desk.send_to_homes

    def sparing(
        self: Desk, work: Work, contact: str, inbox: Inbox, seq: int, rid: bytes, blob: bytes
    ) -> None:
        send(self, work, contact, replace(inbox, homes=inbox.homes[:1]), seq, rid, blob)

    patch.setattr(Desk, "send_to_homes", sparing)


def take_everything_again(patch: pytest.MonkeyPatch) -> None:
    """No layer drops what came before: not the sequence, not Olm, not the message's name."""
    plains: dict[bytes, bytes] = {}
    decrypt, decode = Session.decrypt, content.decode
    names = iter(range(10**9))

    def remember(self: Session, message: Ciphertext) -> bytes:
        if message.body not in plains:
            plains[message.body] = decrypt(self, message)
        return plains[message.body]

    def rename(data: bytes) -> Any:
        said = decode(data)
        if isinstance(said, content.Text):
            mid = next(names).to_bytes(16, "big")
            return content.Text(mid, said.at, said.text, said.reply, said.timer)
        return said

    patch.setattr(Session, "decrypt", remember)
    patch.setattr(content, "decode", rename)
    patch.setattr(Pairwise, "_is_old", lambda self, seq: False)
    patch.setattr(Pairwise, "_is_next", lambda self, seq: True)


def mistake_the_sender(patch: pytest.MonkeyPatch) -> None:
    """What comes is shown in the conversation that was made last."""
    take = receiving._take

    def elsewhere(desk: Desk, work: Work, cid: str, *more: Any) -> None:
        ((other,),) = work.db.execute("SELECT max(id) FROM contact").fetchall()
        take(desk, work, other, *more)  # type: ignore[arg-type]

    patch.setattr(receiving, "_take", elsewhere)


def send_a_copy_that_is_not_sealed(patch: pytest.MonkeyPatch) -> None:
    """A message goes to its relays as it is, too."""
    say = Desk.say

    def loudly(self: Desk, work: Work, contact: str, what: content.Known) -> int:
        ((outbox,),) = work.db.execute("SELECT outbox FROM contact WHERE id = ?", (contact,))
        log = unpack_inbox(outbox)
        for home in log.homes:
            body = content.encode(what)
            work.after.append(effects.Append(log.caps, home, self.entropy(16), body, LIFETIME))
        return say(self, work, contact, what)

    patch.setattr(Desk, "say", loudly)
    patch.setattr("holdfast.core.caps.Envelope.seal", lambda self, rid, body, nonce: body)


def _breaks(seed: str) -> bool:
    try:
        tell(seed)
    except Broken:
        return True
    return False


@pytest.mark.parametrize(
    "lack",
    [
        forget_the_ratchet,
        feed_as_they_come,
        trust_one_relay,
        take_everything_again,
        mistake_the_sender,
        send_a_copy_that_is_not_sealed,
    ],
)
def test_twins_are_noticed(
    lack: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    town.base()
    monkeypatch.setattr(town, "PATIENCE", 600)
    monkeypatch.setattr(story, "PATIENCE", 600)
    lack(monkeypatch)
    logging.disable(logging.CRITICAL)
    try:
        assert any(_breaks(f"twin {seed}") for seed in range(ENOUGH))
    finally:
        logging.disable(logging.NOTSET)


# Longer, see tools/prove.py.


def prove(seed: int, count: int, directory: Path) -> dict[str, Any]:
    """`count` schedules of `story.ACTS` events."""
    town.base()
    began = time.monotonic()
    for number in range(count):
        tell(f"{seed} {number}")
    took = time.monotonic() - began
    return {"events": count * story.ACTS, "schedules a second": round(count / took, 2)}


if __name__ == "__main__":
    lines = "\n".join(tell(sys.argv[1]))
    print(hashlib.sha256(lines.encode()).hexdigest() if "--digest" in sys.argv else lines)
