"""Documented ways of blocking, and networks that are merely bad, each as a scenario to be played.

A scenario has parameters, never constants: reports disagree. `at` gives a censor for given
parameters; `draw` draws some from a seed. What each is taken from is in its `source`; P is a paper
or a measurement, F field reports. Rows that need packets or UDP are played by the packet lab only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from holdfast.lab import rules
from holdfast.lab.rules import Act, Rule

Parameters = dict[str, float]
Make = Callable[["World", Parameters, Random], list[Rule]]


@dataclass(frozen=True)
class World:
    """The names in it: the relays that are to be reached, and one that stands on allowed ground."""

    relays: tuple[str, ...]
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """`survives`: paths that get through it, by name; () when nothing can. `verdict`: what a
    node in it is to say, see `core.ladder`; of a composition, each part's."""

    id: str
    says: str
    source: str
    make: Make
    survives: tuple[str, ...]
    verdict: str
    usual: Parameters = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    benign: bool = False

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What may be said: of several things done at once it is one of them."""
        found = tuple(self.verdict.split())
        return tuple(one for one in found if one != "clear") or ("clear",)

    def at(self, world: World, seed: int = 0, **changed: float) -> list[Rule]:
        """The rules, with the usual parameters but for those changed. Raises ValueError for
        one that does not exist."""
        if unknown := sorted(set(changed) - set(self.usual)):
            raise ValueError(
                f"{self.id} has no parameter {unknown[0]}; it has: {', '.join(self.usual) or '-'}"
            )
        return self.make(world, self.usual | changed, Random(seed))

    def draw(self, random: Random) -> Parameters:
        """Parameters from their ranges."""
        return {name: random.uniform(*span) for name, span in self.ranges.items()}


ALL: Final[dict[str, Scenario]] = {}


def _add(
    id: str,
    says: str,
    source: str,
    survives: str,
    verdict: str,
    make: Make,
    *,
    benign: bool = False,
    **parameters: tuple[float, float, float],
) -> None:
    """`parameters`: usual, lowest, highest."""
    ALL[id] = Scenario(
        id,
        says,
        source,
        make,
        tuple(survives.split()),
        verdict,
        {name: span[0] for name, span in parameters.items()},
        {name: (span[1], span[2]) for name, span in parameters.items()},
        benign,
    )


TLS: Final = "websocket classic browser micro"

_add(
    "tcp16-20",
    "Connections freeze after 15 to 20 KB or about 25 packets, whichever comes first.",
    "Russia since June 2025, net4people/bbs#490 (F)",
    "micro",
    "freeze",
    lambda world, p, dice: [
        rules.Freeze(int(p["kilobytes"] * 1000), int(p["packets"]), p["share"], dice)
    ],
    kilobytes=(16, 15, 20),
    packets=(25, 25, 30),
    share=(1, 0.8, 1),
)
_add(
    "conn-count",
    "Of many new TLS connections those beyond a number hang for a while.",
    "Russia, November 2025, bbs#546 (F)",
    TLS,
    "clear",
    lambda world, p, dice: [rules.Crowd(int(p["connections"]), p["seconds"])],
    connections=(12, 12, 24),
    seconds=(60, 45, 75),
)
_add(
    "siberian",
    "Several parallel TLS connections to one name: its handshakes are dropped for two minutes.",
    "Russia, June 2026, Xray-core#6293 (F)",
    TLS,
    "clear",
    lambda world, p, dice: [rules.Parallel(int(p["connections"]), 3, p["seconds"])],
    connections=(3, 3, 5),
    seconds=(120, 60, 180),
)
_add(
    "pq-share",
    "Handshakes that offer ML-KEM fail for ten minutes after about a dozen.",
    "Russia 2026 (F, contradictory)",
    "classic",
    "fingerprint",
    lambda world, p, dice: [rules.Groups(False, int(p["after"]), p["seconds"])],
    after=(0, 0, 0),
    seconds=(600, 300, 900),
)
_add(
    "classical-flagged",
    "Handshakes that do not offer ML-KEM fail.",
    "Russia 2026 (F, contradictory)",
    "websocket browser micro",
    "clear",
    lambda world, p, dice: [rules.Groups(True, 0, p["seconds"])],
    seconds=(600, 300, 900),
)
_add(
    "ja4-list",
    "Listed TLS fingerprints are reset, or dropped.",
    "Russia, April-June 2026, tdesktop#30733 (F)",
    "classic browser",
    "fingerprint",
    lambda world, p, dice: [
        rules.Fingerprint(Act.RESET if p["reset"] >= 0.5 else Act.DROP, round(p["listed"]))
    ],
    reset=(1, 0, 1),
    listed=(1, 1, 2),
)
_add(
    "appdata-drop",
    "The TLS handshake passes, the first data does not.",
    "mtg#547 (F)",
    "",
    "address-block",
    lambda world, p, dice: [rules.FirstData(world.relays)],
)
_add(
    "sni-block",
    "Connections that ask for a listed name are cut or dropped.",
    "Russia, China, Iran (P)",
    "",
    "name-block",
    lambda world, p, dice: [
        rules.NameBlock(world.relays, Act.RESET if p["reset"] >= 0.5 else Act.DROP, p["residual"])
    ],
    reset=(1, 0, 1),
    residual=(60, 60, 180),
)
_add(
    "address-block",
    "Nothing reaches listed addresses.",
    "everywhere (P)",
    "",
    "address-block",
    lambda world, p, dice: [rules.AddressBlock(world.relays)],
)
_add(
    "voip-degrade",
    "Small packets in an even rhythm are taken for a call and dropped.",
    "vendor's manual, about 2021 (?)",
    "",
    "clear",
    lambda world, p, dice: [rules.Rhythm(p["packets"], int(p["size"]), p["seconds"])],
    packets=(40, 20, 60),
    size=(250, 150, 300),
    seconds=(2, 1, 4),
)
_add(
    "learn-list",
    "A relay that is used is recognised and its address blocked after some minutes.",
    "vendor's manual (?)",
    TLS,
    "learned",
    lambda world, p, dice: [rules.Learn(world.relays[:1], p["seconds"])],
    seconds=(20, 10, 900),
)
_add(
    "fully-encrypted",
    "First bytes that look like nothing are dropped, and the address for three minutes.",
    "China 2021-2023, USENIX Security 2023 (P)",
    TLS,
    "clear",
    lambda world, p, dice: [rules.Noise(p["share"], 180, dice)],
    share=(0.26, 0.2, 1),
)
_add(
    "protocol-filter",
    "What is neither TLS nor HTTP is dropped for a minute.",
    "Iran, bbs#49 (P)",
    TLS,
    "clear",
    lambda world, p, dice: [rules.Unknown(p["seconds"])],
    seconds=(60, 30, 90),
)
_add(
    "allowlist",
    "Only listed places can be reached; handshakes to others hang.",
    "Russia, mobile networks, since September 2025, bbs#516 (F)",
    "",
    "allowlist",
    lambda world, p, dice: [rules.AllowList(world.allowed)],
)
_add(
    "dns-remove",
    "The relays' names are not found.",
    "Russia 2026, bbs#657 (F)",
    "",
    "dns-block",
    lambda world, p, dice: [rules.NoName(world.relays)],
)
_add(
    "throttle-sni",
    "Connections to a listed name get 130 to 150 kbit/s.",
    "Russia 2021 (P)",
    TLS,
    "throttled",
    lambda world, p, dice: [rules.Police(world.relays, p["kilobits"] * 1000)],
    kilobits=(140, 130, 150),
)
_add(
    "throttle-ip",
    "Listed addresses get 8 to 64 kbit/s.",
    "Russia 2026 (F)",
    TLS,
    "throttled",
    lambda world, p, dice: [rules.Police(world.relays, p["kilobits"] * 1000)],
    kilobits=(64, 32, 64),
)
_add(
    "volume-ban",
    "An address with much traffic is banned for hours.",
    "Turkmenistan, bbs#523, Iran (F)",
    TLS,
    "learned",
    lambda world, p, dice: [
        rules.Volume(world.relays[:1], int(p["megabytes"] * 1_000_000), p["seconds"])
    ],
    megabytes=(2, 1, 5),
    seconds=(7_200, 3_600, 14_400),
)
_add(
    "shutdown",
    "Nothing passes at all.",
    "Kazakhstan 2022, Krasnodar 2025 (P)",
    "",
    "offline",
    lambda world, p, dice: [rules.Dark()],
)

_add(
    "open",
    "Nothing is wrong.",
    "",
    TLS,
    "clear",
    lambda world, p, dice: [],
    benign=True,
)
_add(
    "lossy-wifi",
    "A bad wireless link: uneven, sometimes standing still for a moment.",
    "",
    TLS,
    "clear",
    lambda world, p, dice: [
        rules.Rough(0.01, p["jitter"], p["stall"], p["stalls"], 8_000_000, dice)
    ],
    benign=True,
    jitter=(0.02, 0, 0.08),
    stall=(0.4, 0.1, 1),
    stalls=(0.005, 0, 0.01),
)
_add(
    "bufferbloat",
    "A full line: slow to answer, steady.",
    "",
    TLS,
    "clear",
    lambda world, p, dice: [rules.Rough(p["delay"], 0.05, 0, 0, p["megabits"] * 1e6, dice)],
    benign=True,
    delay=(0.3, 0.1, 0.6),
    megabits=(4, 2, 20),
)


def find(id: str) -> Scenario:
    """By its name, or several played at once: `tcp16-20+ja4-list`, with parameters such as
    `ja4-list.reset`. Raises KeyError with a sentence."""
    parts = []
    for name in id.split("+"):
        if name not in ALL:
            raise KeyError(f"there is no scenario {name}; there are: {', '.join(ALL)}")
        parts.append(ALL[name])
    return parts[0] if len(parts) == 1 else compose(parts)


def compose(parts: Sequence[Scenario]) -> Scenario:
    """All of it at once; what survives is what survives each."""

    def make(world: World, parameters: Parameters, dice: Random) -> list[Rule]:
        found = []
        for part in parts:
            own = {name: parameters[f"{part.id}.{name}"] for name in part.usual}
            found += part.make(world, own, dice)
        return found

    return Scenario(
        "+".join(part.id for part in parts),
        " ".join(part.says for part in parts),
        "",
        make,
        tuple(path for path in parts[0].survives if all(path in one.survives for one in parts)),
        " ".join(part.verdict for part in parts),
        {f"{part.id}.{name}": value for part in parts for name, value in part.usual.items()},
        {f"{part.id}.{name}": span for part in parts for name, span in part.ranges.items()},
        all(part.benign for part in parts),
    )
