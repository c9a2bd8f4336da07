"""Networks, relays and devices on which nobody blocks anything, and all is not well all the same.
Nobody may be accused of anything here."""

from __future__ import annotations

from random import Random
from typing import Final

from holdfast.lab import packet_rules, rules
from holdfast.lab.packet_rules import Down, Line
from holdfast.lab.scenario import Change, Scenario, Staging, Turn, World, scenario

TCP: Final = "websocket classic browser micro hop"
ALL_PATHS: Final = f"{TCP} quic"
HORIZON: Final = 3_600.0
"""Seconds for which turns are planned."""
DAY: Final = 86_400.0


def _cycle(random: Random, *steps: tuple[Change, float]) -> list[Turn]:
    """Each change after about so many seconds, over and over."""
    found: list[Turn] = []
    at = 0.0
    while at < HORIZON:
        for what, seconds in steps:
            at += seconds * random.uniform(0.5, 1.5)
            found.append(Turn(at, what))
    return found


def _line(
    random: Random,
    *,
    up: float = 0,
    down: float = 0,
    seconds: float = 0,
    jitter: float = 0,
    loss: float = 0,
    burst: float = 1,
    queue: float = 256_000,
    late: float = 0,
    twice: float = 0,
    full: float = 0,
) -> Staging:
    """A line in both labs; `up` and `down` are bits a second, `queue` bytes. In user space what is
    lost or late is a stall, the slower of the two directions counts for both, and a queue that is
    always `full` is so many seconds."""
    slower = min((one for one in (up, down) if one), default=0)
    rough = rules.Rough(seconds + full, jitter, 0.3, min(0.2, loss / burst + late), slower, random)
    real = Line(
        random,
        up=up,
        down=down,
        queue=int(queue),
        seconds=seconds,
        jitter=jitter,
        loss=loss,
        burst=burst,
        late=late,
        twice=twice,
    )
    return Staging([rough], [real])


def _down(world: World, names: tuple[str, ...], *, refuses: bool) -> Staging:
    gone = rules.Refuses(names) if refuses else rules.AddressBlock(names)
    return Staging([gone], [], [gone], [Down(world.packed(names), refuses)])


def _slow_relay(world: World, random: Random, bits: float) -> Staging:
    names = world.relays[:1]
    line = Line(random, up=bits, down=bits, queue=64_000, addresses=world.packed(names))
    slow = rules.Police(names, bits)
    return Staging([slow], [], [slow], [line])


def _far_relay(world: World, random: Random, seconds: float) -> Staging:
    names = world.relays[:1]
    line = Line(random, seconds=seconds, addresses=world.packed(names))
    far = rules.Slow(names, seconds)
    return Staging([far], [], [far], [line])


def _portal(world: World) -> Staging:
    portal = world.packed([world.portal])
    real = [packet_rules.Portal(one) for one in portal if len(one) == 4]
    return Staging([rules.Portal(world.portal)], real)


ALL: Final[list[Scenario]] = [
    scenario(
        "open",
        "Nothing is wrong.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(),
        benign=True,
    ),
    scenario(
        "lossy-wifi",
        "A bad wireless link: packets are lost in bursts, others are late.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(
            dice,
            up=2e7,
            down=2e7,
            queue=64_000,
            seconds=0.005,
            jitter=p["jitter"],
            loss=p["loss"],
            burst=p["burst"],
        ),
        benign=True,
        jitter=(0.02, 0, 0.06),
        loss=(0.02, 0.005, 0.05),
        burst=(3, 1, 6),
    ),
    scenario(
        "bufferbloat",
        "A full line with a long queue: slow to answer, steady.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(
            dice,
            up=p["megabits"] * 1e6,
            down=p["megabits"] * 1e6,
            queue=p["queue"] * p["megabits"] * 1e6 / 8,
            seconds=0.02,
            full=p["queue"] / 2,
        ),
        benign=True,
        megabits=(4, 2, 20),
        queue=(0.6, 0.2, 1.2),
    ),
    scenario(
        "slow-line",
        "A line of the second generation of mobile networks.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(
            dice,
            up=p["kilobits"] * 1000,
            down=p["kilobits"] * 1000,
            queue=16_000,
            seconds=0.15,
            jitter=0.1,
        ),
        benign=True,
        kilobits=(200, 64, 400),
    ),
    scenario(
        "asymmetric-line",
        "Fast to the person, slow from them.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(
            dice, up=p["kilobits"] * 1000, down=2e7, queue=32_000, seconds=0.02
        ),
        benign=True,
        kilobits=(384, 200, 1_000),
    ),
    scenario(
        "satellite",
        "A line by a satellite far above: half a second there and back.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(
            dice, up=2e6, down=2e7, seconds=p["seconds"], jitter=0.02, queue=64_000
        ),
        benign=True,
        seconds=(0.28, 0.25, 0.35),
    ),
    scenario(
        "jittery-line",
        "A wireless cell with many people in it: each packet waits for as long as it happens to.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(dice, up=4e6, down=8e6, queue=64_000, jitter=p["jitter"]),
        benign=True,
        jitter=(0.12, 0.05, 0.25),
    ),
    scenario(
        "reordering",
        "Packets overtake one another.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(dice, up=2e7, down=2e7, queue=64_000, late=p["late"]),
        benign=True,
        late=(0.05, 0.01, 0.2),
    ),
    scenario(
        "duplicates",
        "Some packets arrive twice.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(dice, twice=p["twice"]),
        benign=True,
        needs_packets=True,
        twice=(0.05, 0.01, 0.3),
    ),
    scenario(
        "lossy-line",
        "A share of all packets is lost, to whomever they go.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _line(dice, seconds=0.02, loss=p["loss"]),
        benign=True,
        loss=(0.03, 0.005, 0.06),
    ),
    scenario(
        "train",
        "Tunnels: nothing passes for some seconds, again and again.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(
            [rules.Tunnels(p["light"], p["dark"])], [packet_rules.Tunnels(p["light"], p["dark"])]
        ),
        benign=True,
        light=(20, 10, 60),
        dark=(6, 2, 15),
    ),
    scenario(
        "portal",
        "A captive portal: everything is answered by it until its terms are accepted.",
        "",
        "",
        "portal",
        lambda world, p, dice: _portal(world),
        benign=True,
        on_handshakes=True,
        onsets=("before",),
    ),
    scenario(
        "office",
        "A firewall that lets out what pages need and nothing else: no UDP.",
        "",
        TCP,
        "clear udp-block",
        lambda world, p, dice: Staging([rules.Ports((80, 443))], [packet_rules.Ports((80, 443))]),
        benign=True,
    ),
    scenario(
        "mtu-black-hole",
        "Packets above a size vanish, and no router tells.",
        "RFC 2923",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging([], [packet_rules.Largest(int(p["size"]))]),
        benign=True,
        needs_packets=True,
        size=(1_400, 1_280, 1_480),
    ),
    scenario(
        "ipv6-broken",
        "IPv6 is there and leads nowhere.",
        "RFC 8305",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging([], [packet_rules.NoSix()]),
        benign=True,
        needs_packets=True,
    ),
    scenario(
        "dns-slow",
        "The resolver is slow, and does not always answer.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(
            [rules.SlowNames(p["seconds"], p["loss"], dice)],
            [packet_rules.SlowNames(p["seconds"], p["loss"], dice)],
        ),
        benign=True,
        seconds=(1, 0.3, 2),
        loss=(0.1, 0, 0.3),
    ),
    scenario(
        "nat-timeout",
        "The address translator forgets what is idle.",
        "RFC 4787, RFC 5382",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(
            [rules.Forgets(p["tcp"])], [packet_rules.Forgets(p["udp"], p["tcp"], dice)]
        ),
        benign=True,
        tcp=(60, 20, 300),
        udp=(20, 10, 60),
    ),
    scenario(
        "relay-stopped",
        "The program of one relay is not running.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _down(world, world.relays[:1], refuses=True),
        benign=True,
    ),
    scenario(
        "relay-dead",
        "The machine of one relay is off.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _down(world, world.relays[:1], refuses=False),
        benign=True,
    ),
    scenario(
        "relays-stopped",
        "The programs of all relays are not running.",
        "",
        "",
        "away",
        lambda world, p, dice: _down(world, world.relays, refuses=True),
        benign=True,
    ),
    scenario(
        "relay-slow",
        "One relay has a bad line, for everybody.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _slow_relay(world, dice, p["kilobits"] * 1000),
        benign=True,
        kilobits=(128, 32, 500),
    ),
    scenario(
        "relay-far",
        "One relay is on the other side of the world.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: _far_relay(world, dice, p["seconds"]),
        benign=True,
        seconds=(0.15, 0.1, 0.25),
    ),
    scenario(
        "clock-ahead",
        "The device's clock is ahead.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(clock=p["days"] * DAY),
        benign=True,
        onsets=("before",),
        days=(40, 0.1, 4_000),
    ),
    scenario(
        "clock-behind",
        "The device's clock is behind.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(clock=-p["days"] * DAY),
        benign=True,
        onsets=("before",),
        days=(400, 0.1, 4_000),
    ),
    scenario(
        "sleep",
        "The device falls asleep and wakes, again and again.",
        "",
        ALL_PATHS,
        "clear offline unknown",
        lambda world, p, dice: Staging(
            turns=_cycle(dice, ("sleep", p["awake"]), ("wake", p["asleep"]))
        ),
        benign=True,
        awake=(10, 5, 30),
        asleep=(6, 1, 30),
    ),
    scenario(
        "moves",
        "From one network to another, with another address: what stood is gone.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(turns=_cycle(dice, ("move", p["seconds"]))),
        benign=True,
        seconds=(10, 4, 40),
    ),
    scenario(
        "new-network",
        "The network behind changes and forgets what stood; the device does not see it.",
        "",
        ALL_PATHS,
        "clear",
        lambda world, p, dice: Staging(turns=_cycle(dice, ("cut", p["seconds"]))),
        benign=True,
        seconds=(15, 5, 60),
    ),
    scenario(
        "handover",
        "On the way from one network to another there is none for a moment.",
        "",
        ALL_PATHS,
        "clear offline unknown",
        lambda world, p, dice: Staging(
            turns=_cycle(dice, ("dark", p["seconds"]), ("move", p["gap"]), ("light", 0.1))
        ),
        benign=True,
        seconds=(12, 5, 40),
        gap=(1.5, 0.3, 5),
    ),
    scenario(
        "no-internet",
        "The cable is out: there is a network, and nothing behind it.",
        "",
        "",
        "offline",
        lambda world, p, dice: Staging([rules.Dark()]),
        benign=True,
    ),
]
