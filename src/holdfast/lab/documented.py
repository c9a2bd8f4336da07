"""Documented ways of blocking. What each is taken from is in its `source`: P is a paper or a
measurement, F field reports, ? weak; bbs#N is the tracker of net4people."""

from __future__ import annotations

import math
from typing import Final

from holdfast.lab import datagrams, rules
from holdfast.lab.packet_rules import Drops, Line
from holdfast.lab.rules import Act
from holdfast.lab.scenario import Scenario, Staging, scenario

TLS: Final = "websocket classic browser micro hop"
BOTH: Final = f"{TLS} quic"
ECH_NAMES: Final = ("cloudflare-ech.com",)
FAR: Final = 0.04
"""Seconds to a listed address, where what is lost costs as much as it does at such a distance."""


def _cut(reset: float) -> Act:
    return Act.RESET if reset >= 0.5 else Act.DROP


ALL: Final[list[Scenario]] = [
    scenario(
        "tcp16-20",
        "Connections freeze after 15 to 20 KB or about 25 packets, whichever comes first.",
        "Russia since June 2025, bbs#490 (F)",
        "micro quic",
        "freeze",
        lambda world, p, dice: Staging(
            [rules.Freeze(int(p["kilobytes"] * 1000), int(p["packets"]), p["share"], dice)]
        ),
        kilobytes=(16, 15, 20),
        packets=(25, 25, 30),
        share=(1, 0.8, 1),
    ),
    scenario(
        "conn-count",
        "Of many new TLS connections those beyond a number hang for a while.",
        "Russia, November 2025, bbs#546 (F)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([rules.Crowd(int(p["connections"]), p["seconds"])]),
        on_handshakes=True,
        connections=(12, 12, 24),
        seconds=(60, 45, 75),
    ),
    scenario(
        "siberian",
        "Several parallel TLS connections to one name: its handshakes are dropped for two minutes.",
        "Russia, June 2026, Xray-core#6293 (F)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([rules.Parallel(int(p["connections"]), 3, p["seconds"])]),
        on_handshakes=True,
        connections=(3, 3, 5),
        seconds=(120, 60, 180),
    ),
    scenario(
        "pq-share",
        "Handshakes that offer ML-KEM fail for ten minutes after about a dozen.",
        "Russia 2026 (F, contradictory)",
        "classic quic",
        "fingerprint",
        lambda world, p, dice: Staging([rules.Groups(False, int(p["after"]), p["seconds"])]),
        on_handshakes=True,
        after=(0, 0, 0),
        seconds=(600, 300, 900),
    ),
    scenario(
        "classical-flagged",
        "Handshakes that do not offer ML-KEM fail.",
        "Russia 2026 (F, contradictory)",
        "websocket browser micro hop quic",
        "clear",
        lambda world, p, dice: Staging([rules.Groups(True, 0, p["seconds"])]),
        on_handshakes=True,
        seconds=(600, 300, 900),
    ),
    scenario(
        "ja4-list",
        "Listed TLS fingerprints are reset, or dropped.",
        "Russia, April-June 2026, tdesktop#30733 (F)",
        "classic browser quic",
        "fingerprint",
        lambda world, p, dice: Staging([rules.Fingerprint(_cut(p["reset"]), round(p["listed"]))]),
        on_handshakes=True,
        reset=(1, 0, 1),
        listed=(1, 1, 2),
    ),
    scenario(
        "appdata-drop",
        "The TLS handshake passes, the first data does not.",
        "mtg#547 (F)",
        "quic",
        "address-block",
        lambda world, p, dice: Staging([rules.FirstData(world.relays)]),
    ),
    scenario(
        "sni-block",
        "Connections that ask for a listed name are cut or dropped.",
        "Russia, China, Iran (P)",
        "quic",
        "name-block",
        lambda world, p, dice: Staging(
            [rules.NameBlock(world.relays, _cut(p["reset"]), p["residual"])]
        ),
        on_handshakes=True,
        reset=(1, 0, 1),
        residual=(60, 60, 180),
    ),
    scenario(
        "ech-block",
        "Encrypted ClientHellos with the outer name of a large provider are dropped.",
        "Russia, November 2024, bbs#417 (P)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([datagrams.EncryptedHello(ECH_NAMES)]),
        on_handshakes=True,
    ),
    scenario(
        "quic-1001",
        "QUIC of version 1 to UDP port 443, in datagrams of 1,001 bytes or more, is dropped.",
        "Russia 2022, bbs#108 (P)",
        TLS,
        "clear udp-block",
        lambda world, p, dice: Staging([datagrams.Quic(1, int(p["size"]), 443)]),
        size=(1001, 1001, 1001),
    ),
    scenario(
        "stun-call",
        "Between two ports that speak STUN, datagrams are lost.",
        "Russia, August 2025, inferred from rules that bypass it (P)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([datagrams.Stun(p["loss"], p["ports"] >= 0.5, dice)]),
        loss=(1, 0.3, 1),
        ports=(1, 0, 1),
    ),
    scenario(
        "voip-degrade",
        "Small datagrams in an even rhythm are taken for a call, and a share of them lost.",
        "vendor's manual, about 2021 (?)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging(
            [rules.Rhythm(p["packets"], int(p["size"]), p["seconds"], ("udp",), p["loss"], dice)]
        ),
        packets=(15, 12, 40),
        size=(400, 250, 600),
        seconds=(2, 1, 4),
        loss=(0.5, 0.02, 1),
    ),
    scenario(
        "voip-streams",
        "Small packets in an even rhythm are taken for a call over TCP too, which is dropped.",
        "not reported: what a censor would do next (?)",
        "",
        "clear",
        lambda world, p, dice: Staging([rules.Rhythm(p["packets"], int(p["size"]), p["seconds"])]),
        packets=(40, 20, 60),
        size=(250, 150, 300),
        seconds=(2, 1, 4),
    ),
    scenario(
        "learn-list",
        "A relay that is used is recognised and its address blocked after some minutes.",
        "vendor's manual (?)",
        BOTH,
        "learned",
        lambda world, p, dice: Staging([rules.Learn(world.relays[:1], p["seconds"])]),
        seconds=(20, 10, 900),
    ),
    scenario(
        "dtls-fingerprint",
        "Hellos of DTLS from a known library are dropped, of client or server.",
        "Russia 2022-2026, pion/dtls#409 (P)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([datagrams.Dtls(round(p["listed"]))]),
        listed=(1, 1, 2),
    ),
    scenario(
        "fully-encrypted",
        "First bytes that look like nothing are dropped, and the address for three minutes.",
        "China 2021-2023, USENIX Security 2023 (P)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([rules.Noise(p["share"], 180, dice)]),
        on_handshakes=True,
        share=(0.26, 0.2, 1),
    ),
    scenario(
        "active-probe",
        "New servers are asked what they are; those that do not answer as a site are blocked.",
        "China (P)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([datagrams.ActiveProbe(world.ask, p["seconds"])]),
        on_handshakes=True,
        seconds=(10, 1, 300),
    ),
    scenario(
        "tls-in-tls",
        "TLS connections whose first bursts are those of a handshake within are dropped.",
        "USENIX Security 2024 (P)",
        "websocket classic browser micro quic",
        "clear",
        lambda world, p, dice: Staging(
            [datagrams.InnerTls((250, int(p["hello"])), (900, int(p["answer"])))]
        ),
        on_handshakes=True,
        hello=(2_400, 1_900, 2_600),
        answer=(9_000, 6_000, 12_000),
    ),
    scenario(
        "wireguard",
        "What shakes hands as WireGuard does dies after a few packets.",
        "Russia 2023, bbs#274 (F)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([datagrams.WireGuard(int(p["packets"]))]),
        packets=(3, 0, 10),
    ),
    scenario(
        "allowlist",
        "Only listed places can be reached; handshakes to others hang.",
        "Russia, mobile networks, since September 2025, bbs#516, #579 (F)",
        "hop",
        "allowlist",
        lambda world, p, dice: Staging([rules.AllowList(world.allowed)]),
        on_handshakes=True,
    ),
    scenario(
        "udp-sweep",
        "All UDP but questions for names is dropped.",
        "Iran, June 2025, bbs#489 (P)",
        TLS,
        "clear udp-block",
        lambda world, p, dice: Staging([datagrams.Sweep()]),
    ),
    scenario(
        "protocol-filter",
        "What is neither TLS nor HTTP is dropped for a minute.",
        "Iran, bbs#49 (P)",
        BOTH,
        "clear",
        lambda world, p, dice: Staging([rules.Unknown(p["seconds"])]),
        on_handshakes=True,
        seconds=(60, 30, 90),
    ),
    scenario(
        "dns-remove",
        "The relays' names are not found, whoever is asked over UDP.",
        "Russia 2026, bbs#657 (F)",
        "",
        "dns-block",
        lambda world, p, dice: Staging([rules.NoName(world.relays)]),
        on_handshakes=True,
        onsets=("before",),
    ),
    scenario(
        "throttle-sni",
        "Connections that ask for a listed name get 130 to 150 kbit/s.",
        "Russia 2021 (P)",
        BOTH,
        "throttled",
        lambda world, p, dice: Staging([rules.Police(world.relays, p["kilobits"] * 1000, True)]),
        kilobits=(140, 130, 150),
    ),
    scenario(
        "throttle-ip",
        "Listed addresses get 8 to 64 kbit/s.",
        "Russia 2026 (F)",
        BOTH,
        "throttled",
        lambda world, p, dice: Staging([rules.Police(world.relays, p["kilobits"] * 1000)]),
        kilobits=(64, 32, 64),
    ),
    scenario(
        "throttle-drops",
        "A share of the packets to and from listed addresses is lost.",
        "Russia 2026 (F)",
        BOTH,
        "throttled",
        lambda world, p, dice: Staging(
            [rules.Police(world.relays, _left(p["loss"]))],
            [
                Line(dice, seconds=FAR, addresses=world.packed(world.relays)),
                Drops(world.packed(world.relays), p["loss"], dice),
            ],
        ),
        loss=(0.2, 0.18, 0.24),
    ),
    scenario(
        "address-block",
        "Nothing reaches listed addresses.",
        "everywhere (P)",
        "",
        "address-block",
        lambda world, p, dice: Staging([rules.AddressBlock(world.relays)]),
    ),
    scenario(
        "volume-ban",
        "An address with much traffic is banned for hours.",
        "Turkmenistan, bbs#523, Iran (F)",
        BOTH,
        "learned",
        lambda world, p, dice: Staging(
            [rules.Volume(world.relays[:1], int(p["megabytes"] * 1_000_000), p["seconds"])]
        ),
        megabytes=(2, 1, 5),
        seconds=(7_200, 3_600, 14_400),
    ),
    scenario(
        "shutdown",
        "Nothing passes at all.",
        "Kazakhstan 2022, Krasnodar 2025 (P)",
        "",
        "offline",
        lambda world, p, dice: Staging([rules.Dark()]),
    ),
]


def _left(loss: float) -> float:
    """Bits a second that TCP gets where so many packets are lost, as measured in the packet lab at
    that distance; for user space, where packets cannot be lost."""
    return 80_000 * math.exp(18 * (0.2 - loss))
