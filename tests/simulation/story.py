"""One schedule: what people, relays and the network do is drawn from a seed; then what must hold.

    tell("17", ACTS)      raises `Broken`, with the whole story, if anything is not

Each act is one event of the schedule; what follows from it (frames, commits, answers) is not
counted. One relay is honest; the others may do anything with what they hold. In some stories a
person's database is set back to what it was.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from simulation import town
from simulation.town import GROUP, PATIENCE, PEOPLE, RELAYS, Person, Relay, Town

from holdfast.node.api import Node
from holdfast.testing.virtual import VirtualLoop

ACTS: Final = 60
"""Events of one schedule."""
MARK: Final = town.MARK.decode()
EMOJI: Final = ("👍", "❤️", "")
PAIRS: Final = tuple(itertools.permutations(PEOPLE, 2))


class Broken(AssertionError):
    """A promise was broken; the story says how it came to that."""


class Story:
    """Acts on a town; `kind` is what may go wrong in this one."""

    def __init__(self, place: Town) -> None:
        self.town = place
        self.dice = Random(f"story {place.seed}")
        self.numbers = itertools.count(1)
        self.kept: dict[str, bytes] = {}
        """Copies of databases."""
        self.stores: dict[str, Any] = {}
        """Copies of what relays held."""
        honest = self.dice.choice(RELAYS)
        self.honest = place.relays[honest]
        self.liars = [relay for name, relay in place.relays.items() if name != honest]
        if self.dice.random() < 0.3:
            self.liars = []
        self.set_back = self.dice.random() < 0.15
        self.acts: list[tuple[float, Callable[[], str | Awaitable[str]]]] = [
            (12, self.write),
            (2, self.edit),
            (1, self.take_back),
            (2, self.react),
            (1, self.remove),
            (1, self.pin),
            (3, self.read),
            (3, self.cut),
            (3, self.block),
            (3, self.unblock),
            (2, self.slow),
            (2, self.relay_crashes),
            (2, self.relays_come_back),
            (3, self.crash),
            (3, self.come_back),
            (3, self.time_passes),
        ]
        if self.liars:
            self.acts += [(2, getattr(self, name)) for name in ("tempt", "misbehave", "misbehave")]
            self.acts.append((1, self.relay_is_set_back))
        if self.set_back:
            self.acts += [(1, self.keep_copy), (2, self.restore)]

    async def play(self, acts: int) -> None:
        """All acts."""
        weights, all = [weight for weight, _ in self.acts], [act for _, act in self.acts]
        done = 0
        while done < acts:
            (act,) = self.dice.choices(all, weights)
            said = act()
            if not isinstance(said, str):
                said = await said
            if said:
                done += 1
                self.town.tell(said)
                await asyncio.sleep(self.dice.choice((0, 0.003, 0.02, 0.1, 1, 5)))

    # People.

    def _somebody(self) -> Person | None:
        up = [person for person in self.town.people.values() if person.node is not None]
        return self.dice.choice(up) if up else None

    def write(self) -> str:
        person = self._somebody()
        if person is None or person.node is None:
            return ""
        others = [name for name in PEOPLE if name != person.name]
        to = self.dice.choice([*others, GROUP])
        text = f"{MARK} {next(self.numbers)} {person.name} to {to}" + "." * self.dice.choice(
            (0, 0, 300, 3000)
        )
        wrote = town.Wrote(to, text)
        person.asked.append(wrote)
        node, contact = person.node, person.contact(to)

        async def send() -> None:
            await node.send(contact, text)
            person.answered.append(wrote)

        person.go(send())
        return f"{person.name} writes {text[:24]!r} to {to}"

    def _message(self, person: Person, mine: bool | None) -> Any:
        which = "" if mine is None else f" AND mine = {int(mine)}"
        found = person.rows(
            "SELECT id, contact FROM message WHERE kind = 'text' AND NOT deleted"
            f"{which} ORDER BY id"
        )
        return self.dice.choice(found) if found else None

    def edit(self) -> str:
        person = self._somebody()
        if person is None or person.node is None or (found := self._message(person, True)) is None:
            return ""
        text = f"{MARK} {next(self.numbers)} edited"
        person.go(person.node.edit(str(found[0]), text))
        return f"{person.name} edits message {found[0]}: {text!r}"

    def take_back(self) -> str:
        person = self._somebody()
        if person is None or person.node is None or (found := self._message(person, True)) is None:
            return ""
        person.go(person.node.delete(str(found[0])))
        return f"{person.name} takes message {found[0]} back"

    def react(self) -> str:
        person = self._somebody()
        if person is None or person.node is None or (found := self._message(person, None)) is None:
            return ""
        emoji = self.dice.choice(EMOJI)
        person.go(person.node.react(str(found[0]), emoji))
        return f"{person.name} reacts to message {found[0]}: {emoji}"

    def _of_all(self, where: str) -> tuple[Node, int] | None:
        """Who leads the group, and a message of it."""
        leader = self.town.people[PEOPLE[0]]
        found = leader.rows(
            "SELECT m.id FROM message m JOIN contact c ON c.id = m.contact WHERE c.own_name = ?"
            f" AND m.kind = 'text' AND NOT m.deleted{where} ORDER BY m.id",
            GROUP,
        )
        if leader.node is None or not found:
            return None
        return leader.node, self.dice.choice(found)[0]

    def remove(self) -> str:
        if (found := self._of_all(" AND NOT m.mine")) is None:
            return ""
        self.town.people[PEOPLE[0]].go(found[0].delete(str(found[1])))
        return f"{PEOPLE[0]} removes message {found[1]} for all"

    def pin(self) -> str:
        if (found := self._of_all("")) is None:
            return ""
        on = self.dice.random() < 0.6
        self.town.people[PEOPLE[0]].go(found[0].pin(str(found[1]), on))
        return f"{PEOPLE[0]} {'pins' if on else 'takes down'} message {found[1]}"

    def read(self) -> str:
        person = self._somebody()
        if person is None or person.node is None or (found := self._message(person, False)) is None:
            return ""
        person.go(person.node.mark_read(found[1], str(found[0])))
        return f"{person.name} reads up to message {found[0]}"

    async def crash(self) -> str:
        person = self._somebody()
        if person is None:
            return ""
        await person.crash()
        return f"{person.name}'s node dies"

    async def come_back(self) -> str:
        away = [person for person in self.town.people.values() if person.node is None]
        if not away:
            return ""
        person = self.dice.choice(away)
        await person.start()
        return f"{person.name}'s node starts"

    def keep_copy(self) -> str:
        person = self.dice.choice(list(self.town.people.values()))
        self.kept[person.name] = person.db.serialize("main")
        return f"a copy of {person.name}'s database is kept"

    async def restore(self) -> str:
        if not self.kept:
            return ""
        person = self.town.people[self.dice.choice(list(self.kept))]
        await person.crash()
        person.load(self.kept[person.name])
        person.back = True
        await person.start()
        return f"{person.name}'s database is set back"

    # The network.

    def cut(self) -> str:
        who, where = self.dice.choice(PEOPLE), self.dice.choice(RELAYS)
        return f"{who} loses {where}" if self.town.weather.cut(who, where) else ""

    def block(self) -> str:
        who, where = self.dice.choice(PEOPLE), self.dice.choice(RELAYS)
        if (who, where) in self.town.weather.blocked:
            return ""
        self.town.weather.blocked.add((who, where))
        self.town.weather.cut(who, where)
        return f"{who} is kept from {where}"

    def unblock(self) -> str:
        if not self.town.weather.blocked:
            return ""
        way = self.dice.choice(sorted(self.town.weather.blocked))
        self.town.weather.blocked.discard(way)
        return f"{way[0]} reaches {way[1]} again"

    def slow(self) -> str:
        who, where = self.dice.choice(PEOPLE), self.dice.choice(RELAYS)
        delay = self.dice.choice((0.001, 0.05, 0.5, 4, 15))
        self.town.weather.delays[who, where] = delay
        return f"between {who} and {where} it takes {delay} s"

    def relay_crashes(self) -> str:
        up = [relay for relay in self.town.relays.values() if relay.up]
        if not up:
            return ""
        relay = self.dice.choice(up)
        relay.crash()
        return f"relay {relay.name} dies"

    def relays_come_back(self) -> str:
        away = [relay for relay in self.town.relays.values() if not relay.up]
        for relay in away:
            relay.start()
        return f"{len(away)} relays start" if away else ""

    async def time_passes(self) -> str:
        seconds = self.dice.choice((10, 60, 60, 600, 4_000))
        await asyncio.sleep(seconds)
        return f"{seconds} s pass"

    # Relays that lie.

    def tempt(self) -> str:
        relay = self.dice.choice(self.liars)
        relay.honest = False
        relay.withholding = self.dice.choice((0, 0.2, 0.5, 1))
        relay.forgetful = self.dice.choice((0, 0, 0.1, 0.5))
        return f"relay {relay.name} withholds {relay.withholding} and forgets {relay.forgetful}"

    def misbehave(self) -> str:
        relay = self.dice.choice(self.liars)
        act = self.dice.choice(
            (
                Relay.repeat,
                Relay.reorder,
                Relay.lose,
                Relay.invent,
                Relay.mix,
                Relay.release,
            )
        )
        said = act(relay) if relay.up else ""
        return f"relay {relay.name} {said}" if said else ""

    def relay_is_set_back(self) -> str:
        relay = self.dice.choice(self.liars)
        if relay.name not in self.stores:
            self.stores[relay.name] = relay.store.dump()
            return f"a copy of relay {relay.name} is kept"
        relay.crash()
        relay.store.load(self.stores.pop(relay.name))
        relay.start()
        return f"relay {relay.name} is set back"

    # Afterwards.

    async def heal(self) -> None:
        """The network is as it should be, everybody is there, and everybody writes once more."""
        self.town.tell("all trouble ends")
        self.town.weather.blocked.clear()
        self.town.weather.delays.clear()
        for relay in self.town.relays.values():
            if not relay.up:
                relay.start()
        for person in self.town.people.values():
            if person.node is None:
                await person.start()
        await asyncio.sleep(120)
        for name, to in PAIRS:
            person = self.town.people[name]
            text = f"{MARK} {name}'s last to {to}"
            assert person.node is not None
            person.asked.append(town.Wrote(to, text))
            person.go(person.node.send(person.contact(to), text))
        for name, person in self.town.people.items():
            text = f"{MARK} {name}'s last to all"
            assert person.node is not None
            person.asked.append(town.Wrote(GROUP, text))
            person.go(person.node.send(person.contact(GROUP), text))
        for _ in range(PATIENCE // 20):
            await asyncio.sleep(20)
            if not any(self.lacking()) and not any(self.grouped(healed=True)):
                break
        await asyncio.sleep(100)

    def _frozen(self, one: Person, other: Person) -> bool:
        states = one.rows("SELECT state FROM contact WHERE own_name = ?", other.name)
        states += other.rows("SELECT state FROM contact WHERE own_name = ?", one.name)
        return ("frozen",) in states

    def said(self, person: Person, contact: str, mine: bool) -> list[tuple[Any, ...]]:
        """A side of a conversation, as it is shown."""
        return person.rows(
            "SELECT m.mid, m.text, m.deleted, m.state, (SELECT group_concat(r.mine || r.emoji)"
            " FROM (SELECT * FROM reaction WHERE message = m.id ORDER BY mine) r)"
            " FROM message m JOIN contact c ON c.id = m.contact"
            " WHERE c.own_name = ? AND m.mine = ? AND m.kind = 'text' ORDER BY m.id",
            contact,
            int(mine),
        )

    def lacking(self) -> Iterator[str]:
        """What has not arrived, of pairs in which nothing stopped that shows."""
        for one, other in PAIRS:
            sender, receiver = self.town.people[one], self.town.people[other]
            if self._frozen(sender, receiver):
                continue
            wrote, got = self.said(sender, other, True), self.said(receiver, one, False)
            there = {mid for mid, *_ in got}
            for mid, text, _, state, _ in wrote:
                if mid not in there:
                    yield f"{other} has not got {text[:30]!r} from {one}, where it is {state}"
                elif state in ("waiting", "sent"):
                    yield f"{one} does not know that {other} has {text[:30]!r}: {state}"

    def group(self, person: Person, author: str) -> list[tuple[Any, ...]]:
        """What somebody wrote to the group, as it is shown to a person."""
        mine = person.name == author
        known = person.rows("SELECT root FROM contact WHERE own_name = ?", author)
        return person.rows(
            "SELECT m.mid, m.text, m.deleted, m.state FROM message m"
            " JOIN contact c ON c.id = m.contact WHERE c.own_name = ? AND m.mine = ?"
            " AND m.author = ? AND m.kind = 'text' ORDER BY m.id",
            GROUP,
            int(mine),
            b"" if mine else known[0][0],
        )

    def grouped(self, healed: bool) -> Iterator[str]:
        """The same of the group. Who was set back has forgotten what others have of them."""
        for one, other in PAIRS:
            sender, receiver = self.town.people[one], self.town.people[other]
            asked = {wrote.text for wrote in sender.asked if wrote.to == GROUP}
            wrote, got = self.group(sender, one), self.group(receiver, one)
            mids, mine = [mid for mid, *_ in got], [mid for mid, *_ in wrote]
            if len(set(mids)) != len(mids):
                yield f"{other} has a message of {one}'s to all twice"
            if healed and not sender.back and not set(mids) <= set(mine):
                yield f"{other} has what {one} is not shown to have written to all"
            for _, text, deleted, _ in got:
                if not deleted and "edited" not in text and text not in asked:
                    yield f"{other} has {text[:30]!r} from {one} to all, who did not write it"
            if healed:
                for mid, text, _, state in wrote if not receiver.back else ():
                    if mid not in mids:
                        yield f"{other} has not got {text[:30]!r} to all from {one}: {state}"

    def shown(self, person: Person) -> list[tuple[Any, ...]]:
        """The group as a person sees it, with roots for everybody."""
        ((mine,),) = person.rows(
            "SELECT DISTINCT root FROM group_card WHERE root NOT IN (SELECT root FROM contact)"
        )
        return [
            (
                mid,
                author or mine,
                text,
                deleted,
                remover,
                pinned,
                sorted(
                    (by or mine, emoji)
                    for by, emoji in person.rows(
                        "SELECT author, emoji FROM reaction WHERE message = ? AND emoji <> ''", id
                    )
                ),
            )
            for id, mid, author, text, deleted, remover, pinned in person.rows(
                "SELECT m.id, m.mid, m.author, m.text, m.deleted, m.remover, m.pinned > 0"
                " FROM message m JOIN contact c ON c.id = m.contact"
                " WHERE c.own_name = ? AND m.kind = 'text'"
                " ORDER BY m.place, m.mid",
                GROUP,
            )
        ]

    def wrong(self, healed: bool) -> Iterator[str]:
        """Promises that hold at any time; that a state was set back shows once two have spoken."""
        yield from self.town.troubles
        yield from self.grouped(healed)
        for one, other in PAIRS:
            sender, receiver = self.town.people[one], self.town.people[other]
            asked = {wrote.text for wrote in sender.asked if wrote.to == other}
            wrote, got = self.said(sender, other, True), self.said(receiver, one, False)
            mids = [mid for mid, *_ in got]
            if len(set(mids)) != len(mids):
                yield f"{other} has a message of {one}'s twice"
            texts = [text for _, text, deleted, *_ in got if not deleted and "edited" not in text]
            for text in texts:
                if text not in asked:
                    yield f"{other} has {text[:30]!r} from {one}, who did not write it to them"
                if texts.count(text) > 1:
                    yield f"{other} has {text[:30]!r} twice"
            if not sender.back:
                answered = [w.text for w in sender.answered if w.to == other]
                mine = [mid for mid, *_ in wrote]
                if mids != mine[: len(mids)] and not receiver.back:
                    yield f"{other}'s transcript of {one} is not the beginning of what {one} wrote"
                kept = {text for _, text, *_ in wrote}
                changed = sum(deleted or "edited" in text for _, text, deleted, *_ in wrote)
                if sum(text not in kept for text in answered) > changed:
                    yield f"{one} lost what was answered as kept"
            spoken = healed or not (sender.back or receiver.back)
            if spoken and not self._frozen(sender, receiver):
                lost = {m for m, _, _, state, _ in wrote if state in ("delivered", "read")} - set(
                    mids
                )
                if lost:
                    yield f"{other} has not got {len(lost)} that {one} is shown as delivered"

    def different(self) -> Iterator[str]:
        """Once everything has arrived, both sides show the same, and in the group everybody. What
        somebody wrote and was set back behind may be missing to some, for nobody sends it again;
        the rest stands in the same order."""
        still = [person for person in self.town.people.values() if not person.back]
        seen = [self.shown(person) for person in still]
        if 0 < len(still) < len(self.town.people):
            both = set.intersection(*({one[0] for one in each} for each in seen))
            seen = [[(one[0],) for one in each if one[0] in both] for each in seen]
        for person, other_seen in zip(still, seen, strict=True):
            if other_seen != seen[0]:
                apart = [two for two in zip(seen[0], other_seen, strict=False) if two[0] != two[1]]
                yield f"{person.name} and {still[0].name} see another group: {apart[:1]}"
        for one, other in PAIRS:
            sender, receiver = self.town.people[one], self.town.people[other]
            if self._frozen(sender, receiver) or sender.back or receiver.back:
                continue
            wrote, got = self.said(sender, other, True), self.said(receiver, one, False)
            for mine, theirs in zip(wrote, got, strict=False):
                if mine[1:3] != theirs[1:3]:
                    yield f"{one} shows {mine[1:3]} and {other} {theirs[1:3]}"
                if sorted(_turned(mine[4])) != sorted(theirs[4] or ""):
                    yield f"reactions to {mine[1][:30]!r}: {mine[4]} and {theirs[4]}"
        for person in self.town.people.values():
            if person.back:
                continue
            for one, state in person.rows("SELECT own_name, state FROM contact"):
                if one != GROUP and state != "active" and not self.town.people[one].back:
                    yield f"{one} is {state} at {person.name} and nobody was set back"

    def ended(self) -> Iterator[str]:
        """Who has what since when: two runs are the same only if this is."""
        for person in self.town.people.values():
            for row in person.rows(
                "SELECT c.own_name, m.mine, m.state, m.received, substr(m.text, 1, 40)"
                " FROM message m JOIN contact c ON c.id = m.contact ORDER BY m.id"
            ):
                yield f"{person.name}: {row}"


def _turned(reactions: str | None) -> str:
    """Mine are theirs on the other side."""
    return "".join({"0": "1", "1": "0"}.get(letter, letter) for letter in reactions or "")


async def _told(seed: str, acts: int, folder: Path, base: town.Base) -> list[str]:
    place = Town(seed, base, folder)
    story = Story(place)
    await place.start()
    await asyncio.sleep(3)
    problems: list[str] = []
    try:
        await story.play(acts)
        problems += story.wrong(healed=False)
        await story.heal()
        problems += [*story.wrong(healed=True), *story.lacking(), *story.different()]
        place.story += story.ended()
    finally:
        await place.stop()
    if problems:
        listed = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        raise Broken(f"seed {seed}:\n{listed}\n\n" + "\n".join(place.story))
    return place.story


def tell(seed: str, acts: int = ACTS) -> list[str]:
    """Play one schedule; its story. Raises `Broken`."""
    start = town.base()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        return runner.run(_told(seed, acts, Path(folder), start))
