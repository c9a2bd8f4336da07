"""What is concluded from what paths and controls have shown, told as short stories."""

from __future__ import annotations

import pytest

from holdfast.core.finding import Verdict
from holdfast.core.judging import FLAPS
from holdfast.core.ladder import Ladder
from holdfast.core.seen import HOP, PATHS, QUIC, SMALL, STREAMS

HERE = "relay.example:443"


def after(*story: tuple) -> Verdict:
    """The verdict after calls of the ladder, each a method's name and its arguments before the
    time; a second passes between two, and more where `wait` says so."""
    ladder, now = Ladder(), 1_000
    for name, *about in story:
        if name == "wait":
            now += about[0]
            continue
        getattr(ladder, name)(*about, now)
        now += 1_000
    return ladder.finding(now).verdict


def fails(*kinds: str) -> list[tuple]:
    """Every path failing so."""
    return [("failed", HERE, path, kind) for path in PATHS for kind in kinds]


YES, NO = ("control", "foreign", True, 5e6), ("control", "foreign", False, 0)
DOMESTIC, NO_DOMESTIC = ("control", "domestic", True, 5e6), ("control", "domestic", False, 0)
CRAWLS = ("rate", HERE, "websocket", 64_000)
GONE: list[tuple] = [
    ("worked", "other:1", "websocket"),
    ("worked", HERE, "websocket"),
    ("lasted", HERE, "websocket"),
    ("worked", HERE, HOP),
    ("ended", HERE, "websocket", True, 10_000_000, 600_000),
    ("wait", FLAPS),
    ("failed", HERE, "websocket", "connect"),
]
STORIES: list[tuple[Verdict, list[tuple]]] = [
    ("unknown", []),
    ("clear", [("worked", HERE, "websocket")]),
    ("fingerprint", [("failed", HERE, "websocket", "tls"), ("worked", HERE, "classic")]),
    ("fingerprint", [("worked", HERE, "classic"), ("failed", HERE, "websocket", "timeout")]),
    # Nobody may have answered the first because there was no network yet.
    ("clear", [("failed", HERE, "websocket", "timeout"), ("worked", HERE, "classic")]),
    (
        "freeze",
        [
            ("worked", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 16_000, 5_000),
            *[("worked", HERE, "websocket")] * 5,
            ("ended", HERE, "websocket", True, 16_000, 5_000),
            ("worked", HERE, SMALL),
        ],
    ),
    (
        "clear",  # silent and then no way: a tunnel, or a lid that was closed
        [
            *[
                ("worked", HERE, "websocket"),
                ("ended", HERE, "websocket", True, 16_000, 5_000),
                ("failed", HERE, "websocket", "connect"),
                ("failed", HERE, "websocket", "connect"),
                ("failed", HERE, "websocket", "connect"),
                ("failed", HERE, "websocket", "connect"),
            ]
            * 3,
            ("worked", HERE, "websocket"),
        ],
    ),
    (
        "clear",  # once may be anything
        [
            ("worked", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 16_000, 5_000),
            ("worked", HERE, "websocket"),
        ],
    ),
    ("clear", [("worked", HERE, "websocket"), ("rate", HERE, "websocket", 5e6)]),
    ("clear", [("worked", HERE, "websocket"), ("rate", HERE, "websocket", 50_000)]),
    ("clear", [("worked", HERE, "websocket"), CRAWLS, YES]),  # once may be a moment
    ("clear", [("worked", HERE, "websocket"), CRAWLS, ("rate", HERE, "websocket", 5e6), YES]),
    ("throttled", [("worked", HERE, "websocket"), CRAWLS, CRAWLS, YES]),
    (
        "clear",  # it is not known yet whether another one is slow as well
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", "websocket"),
            CRAWLS,
            CRAWLS,
            YES,
        ],
    ),
    (
        "throttled",  # both are
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", "websocket"),
            CRAWLS,
            ("rate", "other:1", "websocket", 64_000),
            YES,
        ],
    ),
    (
        "clear",  # that the other one was fast before is no news of it
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", HOP),
            ("rate", "other:1", HOP, 5e6),
            CRAWLS,
            CRAWLS,
            YES,
        ],
    ),
    (
        "throttled",  # nor does it hide that it is not any more
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", HOP),
            ("rate", "other:1", "websocket", 5e6),
            CRAWLS,
            CRAWLS,
            ("rate", "other:1", HOP, 64_000),
            ("worked", "other:1", "classic"),
            ("rate", "other:1", "classic", 64_000),
            YES,
        ],
    ),
    (
        "clear",  # the relay is slow, since another one is not
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", "websocket"),
            CRAWLS,
            CRAWLS,
            ("rate", "other:1", "websocket", 5e6),
            YES,
        ],
    ),
    (
        "clear",  # the other one is slow through this one, which may be slow by itself
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", HOP),
            CRAWLS,
            CRAWLS,
            ("rate", "other:1", HOP, 64_000),
            YES,
        ],
    ),
    (
        "throttled",  # as a stream, and not by UDP
        [
            ("worked", HERE, "websocket"),
            CRAWLS,
            CRAWLS,
            ("worked", HERE, QUIC),
            ("rate", HERE, QUIC, 5e6),
            ("worked", "other:1", HOP),
            YES,
        ],
    ),
    (
        "throttled",  # but not for the other one
        [
            ("worked", HERE, "websocket"),
            ("worked", "other:1", "websocket"),
            CRAWLS,
            CRAWLS,
            ("rate", HERE, HOP, 5e6),
            ("rate", "other:1", "websocket", 5e6),
            YES,
        ],
    ),
    (
        "throttled",  # what is new waits on a full line: no fingerprint
        [
            ("failed", HERE, "websocket", "mute"),
            ("worked", HERE, "classic"),
            ("rate", HERE, "classic", 64_000),
            ("rate", HERE, "classic", 64_000),
            YES,
        ],
    ),
    ("udp-block", [("worked", HERE, "websocket"), ("failed", HERE, QUIC, "connect")]),
    (
        "udp-block",
        [
            ("worked", HERE, "websocket"),
            ("worked", HERE, QUIC),
            ("ended", HERE, QUIC, True, 0, 60_000),
        ],
    ),
    (
        "clear",  # it ended, and not in silence
        [
            ("worked", HERE, "websocket"),
            ("worked", HERE, QUIC),
            ("ended", HERE, QUIC, False, 0, 60_000),
        ],
    ),
    (
        "clear",  # the machine says that nobody listens
        [("worked", HERE, "websocket"), ("failed", HERE, QUIC, "refused")],
    ),
    (
        "clear",  # it works again
        [
            ("worked", HERE, "websocket"),
            ("failed", HERE, QUIC, "connect"),
            ("worked", HERE, QUIC),
        ],
    ),
    (
        "address-block",
        [
            ("failed", HERE, "websocket", "connect"),
            ("worked", HERE, QUIC),
            ("wait", FLAPS),
            ("failed", HERE, "websocket", "connect"),
        ],
    ),
    (
        "address-block",  # one shook hands, so the name is not what another was not answered for
        [
            ("worked", HERE, QUIC),
            ("wait", FLAPS),
            ("failed", HERE, "websocket", "timeout"),
            ("failed", HERE, "classic", "mute"),
        ],
    ),
    (
        "clear",  # there was no network before: the end of a tunnel
        [("failed", HERE, "websocket", "connect"), ("worked", HERE, QUIC)],
    ),
    ("name-block", [("failed", HERE, "websocket", "tls"), ("worked", HERE, QUIC)]),
    (
        "fingerprint",  # nor is a place that nobody blocks, by such a handshake
        [
            ("failed", HERE, "websocket", "mute"),
            ("failed", HERE, "classic", "mute"),
            ("worked", HERE, QUIC),
            NO,
            NO_DOMESTIC,
        ],
    ),
    (
        "fingerprint",  # of TCP, whatever UDP does
        [
            ("failed", HERE, "websocket", "tls"),
            ("worked", HERE, "classic"),
            ("failed", HERE, QUIC, "connect"),
        ],
    ),
    (
        "away",  # many machines do not say that nobody listens to UDP
        [
            *[("failed", HERE, path, "refused") for path in STREAMS],
            ("failed", HERE, QUIC, "connect"),
        ],
    ),
    ("away", fails("refused")),
    ("impostor", fails("pin")),
    (
        "portal",
        [*fails("upgrade"), ("failed", "other:1", "websocket", "pin"), YES],
    ),
    ("offline", fails("connect")),
    ("offline", [*fails("timeout"), NO, NO_DOMESTIC]),
    ("offline", [*fails("timeout"), YES]),  # there may have been no network before
    ("address-block", [YES, ("wait", FLAPS), *fails("timeout")]),
    ("allowlist", [*fails("timeout"), NO, DOMESTIC]),
    ("name-block", [*fails("tls"), YES]),
    ("name-block", [*fails("mute"), YES]),
    (
        "learned",
        [
            ("worked", HERE, "websocket"),
            ("lasted", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 10_000_000, 600_000),
            ("worked", "other:1", "websocket"),
            ("wait", FLAPS),
            *[("failed", HERE, path, "connect") for path in STREAMS],
            ("worked", HERE, HOP),
        ],
    ),
    ("clear", GONE),  # what still stands by another relay may be dead as well
    ("learned", [*GONE, ("heard", HERE, HOP)]),
    ("clear", [*GONE[:-1], ("heard", HERE, HOP), GONE[-1]]),  # it was alive, and then?
    (
        "clear",  # what was tried just before there was a network again says nothing
        [
            ("worked", HERE, "websocket"),
            ("lasted", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 10_000_000, 600_000),
            ("failed", HERE, "websocket", "connect"),
            ("worked", "other:1", "websocket"),
            *[("failed", HERE, path, "connect") for path in STREAMS],
            ("worked", HERE, HOP),
        ],
    ),
    (
        "clear",  # another relay does not reach it either: it is down
        [
            ("worked", HERE, "websocket"),
            ("lasted", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 10_000_000, 600_000),
            *[("failed", HERE, path, "connect") for path in STREAMS],
            ("worked", "other:1", "websocket"),
            ("failed", HERE, HOP, "timeout"),
        ],
    ),
    (
        "learned",  # UDP went with it
        [
            ("worked", HERE, "websocket"),
            ("worked", HERE, QUIC),
            ("lasted", HERE, "websocket"),
            ("ended", HERE, QUIC, True, 0, 60_000),
            ("ended", HERE, "websocket", True, 10_000_000, 600_000),
            ("worked", "other:1", "websocket"),
            ("wait", FLAPS),
            *[("failed", HERE, path, "connect") for path in STREAMS],
        ],
    ),
    (
        "clear",  # after a lid was closed one of them is reached before the other
        [
            ("worked", HERE, "websocket"),
            ("lasted", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 10_000_000, 600_000),
            *[("failed", HERE, path, "connect") for path in STREAMS],
            ("worked", "other:1", "websocket"),
        ],
    ),
    (
        "clear",  # the other one was not asked yet
        [
            ("worked", HERE, "websocket"),
            ("lasted", HERE, "websocket"),
            ("ended", HERE, "websocket", True, 10_000_000, 600_000),
            *[("failed", HERE, path, "connect") for path in STREAMS],
            ("worked", "other:1", "websocket"),
            ("failed", HERE, HOP, "proxy"),
            ("failed", HERE, HOP, "proxy"),
        ],
    ),
    (
        "address-block",
        [
            ("worked", "other:1", "websocket"),
            ("wait", FLAPS),
            ("failed", HERE, "websocket", "connect"),
            ("worked", HERE, HOP),
        ],
    ),
    (
        "clear",  # it may have been before there was a network
        [
            *[("failed", HERE, path, "connect") for path in STREAMS],
            ("worked", "other:1", "websocket"),
            ("worked", HERE, HOP),
        ],
    ),
    (
        "clear",  # one that was not answered may be slow
        [
            ("worked", "other:1", "websocket"),
            ("wait", FLAPS),
            ("failed", HERE, "websocket", "mute"),
            ("worked", HERE, HOP),
        ],
    ),
    (
        "name-block",
        [
            ("worked", "other:1", "websocket"),
            ("wait", FLAPS),
            ("failed", HERE, "websocket", "mute"),
            ("failed", HERE, "classic", "mute"),
            ("worked", HERE, HOP),
        ],
    ),
    (
        "allowlist",  # the other one stands on it
        [
            ("worked", "other:1", "websocket"),
            ("wait", FLAPS),
            ("failed", HERE, "websocket", "mute"),
            ("failed", HERE, "classic", "mute"),
            ("worked", HERE, HOP),
            NO,
            DOMESTIC,
        ],
    ),
    ("fingerprint", [*fails("mute"), NO, NO_DOMESTIC]),  # who shakes hands has a network
    ("offline", [*fails("connect"), *fails("mute")[:1], NO, NO_DOMESTIC]),
    ("dns-block", [*fails("dns"), YES]),
    ("offline", fails("dns")),
]


@pytest.mark.parametrize(("verdict", "story"), STORIES)
def test_a_story_has_its_verdict(verdict: Verdict, story: list[tuple]) -> None:
    assert after(*story) == verdict
