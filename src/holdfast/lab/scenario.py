"""What a scenario is: a world, what is done in it, and what a node in it is to find.

A scenario has parameters, never constants: reports disagree. `stage` gives what is done for given
parameters, in both labs; `draw` draws some from a seed, `when` draws when it begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from holdfast.lab.datagrams import Suspect
from holdfast.lab.packet_rules import PacketRule
from holdfast.lab.rules import Rule

Parameters = dict[str, float]
Make = Callable[["World", Parameters, Random], "Staging"]
Onset = Literal["before", "file", "call"]
ONSETS: Final[tuple[Onset, ...]] = ("before", "file", "call")
"""Before connecting, in the middle of a file, in the middle of a call."""
Change = Literal["cut", "dark", "light", "sleep", "wake", "move"]


@dataclass(frozen=True)
class World:
    """The names in it: the relays that are to be reached, places that stand on allowed ground, and
    a host that can be a captive portal. `addresses` are the packed ones of names, in the packet
    lab. `ask` puts an active probe to a server."""

    relays: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    portal: str = ""
    addresses: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    ask: Callable[[Suspect, Callable[[], None]], None] = lambda suspect, convict: None

    def packed(self, names: Collection[str]) -> frozenset[bytes]:
        """The addresses of these names."""
        return frozenset(one for name in names for one in self.addresses.get(name, ()))


@dataclass(frozen=True)
class Turn:
    """What happens to the person's device, so many seconds after the scenario began: its
    connections are `cut`, it goes `dark` until it is `light`, it falls a`sleep` until it is
    a`wake`, it `move`s to another address."""

    at: float
    what: Change


@dataclass
class Staging:
    """What is done to what comes from or goes to the watched host: `rules` in user space, `packets`
    in the packet lab (None: the same); and to what anybody sends: `elsewhere` in user space,
    `everywhere` in the packet lab. `clock` is the seconds by which the device's clock is ahead."""

    rules: list[Rule] = field(default_factory=list)
    packets: Sequence[Rule | PacketRule] | None = None
    elsewhere: list[Rule] = field(default_factory=list)
    everywhere: list[PacketRule] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    clock: float = 0

    @property
    def on_packets(self) -> list[Rule | PacketRule]:
        """The rules of the packet lab."""
        return list(self.rules if self.packets is None else self.packets)


@dataclass(frozen=True)
class Scenario:
    """`survives`: paths that get through it, by name; () when nothing can. `verdict`: what a
    node in it is to say, see `core.ladder`, or one of several words. `needs_packets`: it
    cannot be played in user space. `on_handshakes`: it leaves alone what stands, which is cut when
    it begins late."""

    id: str
    says: str
    source: str
    make: Make
    survives: tuple[str, ...]
    verdict: str
    usual: Parameters = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    benign: bool = False
    needs_packets: bool = False
    on_handshakes: bool = False
    onsets: tuple[Onset, ...] = ONSETS

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What may be said."""
        return tuple(self.verdict.split())

    def stage(self, world: World, seed: int = 0, **changed: float) -> Staging:
        """What is done, with the usual parameters but for those changed. Raises ValueError for
        one that does not exist."""
        if unknown := sorted(set(changed) - set(self.usual)):
            raise ValueError(
                f"{self.id} has no parameter {unknown[0]}; it has: {', '.join(self.usual) or '-'}"
            )
        return self.make(world, self.usual | changed, Random(seed))

    def at(self, world: World, seed: int = 0, **changed: float) -> list[Rule]:
        """The rules in user space. Raises ValueError as `stage` does."""
        return self.stage(world, seed, **changed).rules

    def draw(self, random: Random) -> Parameters:
        """Parameters from their ranges."""
        return {name: random.uniform(*span) for name, span in self.ranges.items()}

    def when(self, random: Random) -> When:
        """One of its onsets, and every other time an end."""
        onset = random.choice(self.onsets)
        after = 0.0 if onset == "before" else random.uniform(0.5, 5)
        return When(onset, after, random.uniform(20, 120) if random.random() < 0.5 else None)


@dataclass(frozen=True)
class When:
    """It begins `after` seconds into what `onset` says, and ends after `lasts`, if it does."""

    onset: Onset = "before"
    after: float = 0
    lasts: float | None = None


def scenario(
    id: str,
    says: str,
    source: str,
    survives: str,
    verdict: str,
    make: Make,
    *,
    benign: bool = False,
    needs_packets: bool = False,
    on_handshakes: bool = False,
    onsets: tuple[Onset, ...] = ONSETS,
    **parameters: tuple[float, float, float],
) -> Scenario:
    """`parameters`: usual, lowest, highest."""
    return Scenario(
        id,
        says,
        source,
        make,
        tuple(survives.split()),
        verdict,
        {name: span[0] for name, span in parameters.items()},
        {name: (span[1], span[2]) for name, span in parameters.items()},
        benign,
        needs_packets,
        on_handshakes,
        onsets,
    )


def compose(parts: Sequence[Scenario]) -> Scenario:
    """All of it at once; what survives is what survives each. Parameters are such as
    `ja4-list.reset`."""

    def make(world: World, parameters: Parameters, dice: Random) -> Staging:
        whole = Staging(packets=[])
        on_packets: list[Rule | PacketRule] = []
        for part in parts:
            own = {name: parameters[f"{part.id}.{name}"] for name in part.usual}
            made = part.make(world, own, dice)
            whole.rules += made.rules
            on_packets += made.on_packets
            whole.elsewhere += made.elsewhere
            whole.everywhere += made.everywhere
            whole.turns += made.turns
            whole.clock += made.clock
        whole.packets = on_packets
        whole.turns.sort(key=lambda turn: turn.at)
        return whole

    return Scenario(
        "+".join(part.id for part in parts),
        " ".join(part.says for part in parts),
        "",
        make,
        tuple(path for path in parts[0].survives if all(path in one.survives for one in parts)),
        " ".join(_verdicts(parts)),
        {f"{part.id}.{name}": value for part in parts for name, value in part.usual.items()},
        {f"{part.id}.{name}": span for part in parts for name, span in part.ranges.items()},
        all(part.benign for part in parts),
        any(part.needs_packets for part in parts),
        any(part.on_handshakes for part in parts),
        tuple(one for one in ONSETS if all(one in part.onsets for part in parts)) or ("before",),
    )


def _verdicts(parts: Sequence[Scenario]) -> list[str]:
    """Of several things done at once one is said; that nothing is wrong, if all may say so."""
    every = [one for part in parts for one in part.verdicts]
    found = [one for one in dict.fromkeys(every) if one != "clear"]
    return (
        found
        if found and any("clear" not in part.verdicts for part in parts)
        else ["clear", *found]
    )
