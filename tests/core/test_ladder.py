"""The ladder: which path next, and what is concluded, told as short stories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.finding import Verdict
from holdfast.core.judging import FLAPS
from holdfast.core.ladder import LATE, REST, Ladder
from holdfast.core.seen import HOP, LONGEST_REST, PATHS, QUIC, SMALL, STREAMS

HERE = "relay.example:443"
MINUTE = 60_000


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


DIRECT = (*STREAMS, SMALL)


def test_another_relay_between_is_preferred_whatever_worked_last_and_blames_nobody() -> None:
    ladder = Ladder()
    ladder.worked(HERE, "websocket", 0)
    assert ladder.order(HERE, 1) == list(PATHS)
    ladder.failed(HERE, HOP, "timeout", 1)
    assert ladder.order(HERE, 2)[0] == "websocket"
    assert ladder.finding(2).verdict == "clear"
    later = 1 + REST["timeout"]
    assert ladder.better(HERE, "websocket", later)
    assert ladder.order(HERE, later)[0] == HOP


def test_where_no_other_relay_was_reached_what_worked_goes_first() -> None:
    ladder = Ladder()
    ladder.failed(HERE, HOP, "proxy", 0)
    ladder.worked(HERE, QUIC, 1)
    assert ladder.order(HERE, MINUTE)[:2] == [QUIC, HOP]
    assert ladder.better(HERE, QUIC, MINUTE) == HOP  # but that is gone back to
    again = Ladder()
    again.recall(ladder.memory(2), 2 * MINUTE, 0)
    assert again.order(HERE, 0)[0] == QUIC
    ladder.worked(HERE, HOP, MINUTE)
    assert ladder.order(HERE, MINUTE)[:2] == [HOP, QUIC]


def test_where_another_relay_between_takes_long_the_direct_way_goes_first_and_is_left_again() -> (
    None
):
    ladder = Ladder()
    ladder.worked(HERE, "websocket", 0)
    ladder.worked(HERE, HOP, 1, took=LATE)
    assert ladder.order(HERE, 2)[:2] == ["websocket", HOP]
    assert ladder.finding(2).verdict == "clear"
    again = Ladder()
    again.recall(ladder.memory(2), 2 * MINUTE, 0)
    assert again.order(HERE, 0)[:2] == ["websocket", HOP]
    assert again.better(HERE, "websocket", 0) == HOP
    again.worked(HERE, HOP, 1, took=LATE - 1)
    assert again.order(HERE, 2)[0] == HOP


def test_where_what_is_sent_leaves_slowly_each_kind_is_tried_and_nobody_accused() -> None:
    ladder = Ladder()
    ladder.worked(HERE, "websocket", 0)
    ladder.held(HERE, "websocket", 1)
    assert next(path for path in ladder.order(HERE, 2) if path != HOP) == QUIC
    ladder = Ladder()
    ladder.worked(HERE, "websocket", 0)
    ladder.worked(HERE, HOP, 0)
    ladder.held(HERE, HOP, 1)
    assert ladder.suspect(HERE, "websocket", 2)
    assert ladder.instead(HERE, HOP, 2) == "websocket"
    ladder.worked(HERE, "websocket", 3)
    ladder.held(HERE, "websocket", 4)
    assert ladder.instead(HERE, "websocket", 5) == QUIC
    ladder.worked(HERE, QUIC, 6)
    ladder.held(HERE, QUIC, 7)
    assert not ladder.rests(HERE, QUIC, 8)
    assert ladder.instead(HERE, QUIC, 8) == ""
    again = 8 + REST["slow"]
    assert ladder.better(HERE, QUIC, again) == HOP
    ladder.worked(HERE, HOP, again)
    ladder.held(HERE, HOP, again + 1)  # so is everything here
    assert not ladder.rests(HERE, HOP, again + 2)
    assert ladder.finding(again + 2).verdict == "clear"


def test_what_others_are_reached_by_is_tried_first_where_nothing_is_known() -> None:
    ladder = Ladder(DIRECT)
    ladder.worked("other:1", "websocket", 0)
    assert ladder.order(HERE, 1) == list(DIRECT)
    ladder.failed("other:1", "websocket", "mute", 2)
    ladder.worked("other:1", "classic", 3)
    assert ladder.order(HERE, 4)[:2] == ["classic", "websocket"]
    assert ladder.better(HERE, "classic", 4) == ""
    ladder.failed(HERE, "classic", "mute", 5)
    assert ladder.order("third:1", 6)[0] == "websocket"  # it works not everywhere


def test_beside_udp_a_stream_that_was_not_tried_is_tried_unless_two_were_cut() -> None:
    ladder = Ladder()
    ladder.failed(HERE, "websocket", "timeout", 0)
    ladder.worked(HERE, QUIC, 1)
    assert ladder.better(HERE, QUIC, 2) == "classic"
    ladder.failed(HERE, "classic", "timeout", 3)
    assert ladder.better(HERE, QUIC, 4) == ""


def test_another_relay_between_hides_no_block_of_what_it_goes_by() -> None:
    ladder = Ladder()
    ladder.failed(HERE, "websocket", "tls", 0)
    ladder.worked(HERE, "classic", 1)
    ladder.worked(HERE, HOP, 2)
    assert ladder.finding(3).verdict == "fingerprint"


def test_a_freeze_at_one_relay_spares_another_only_if_a_stream_carried_much_there() -> None:
    ladder = Ladder(DIRECT)
    for place in ("quiet:1", "busy:1", HERE):
        ladder.worked(place, "websocket", 0)
    ladder.lasted("busy:1", "websocket", 0)
    for now in (10_000, 20_000):
        ladder.ended(HERE, "websocket", True, 16_000, 5_000, now)
        ladder.worked(HERE, "websocket", now + 500)
    assert ladder.order("quiet:1", 20_001)[0] == SMALL
    assert ladder.order("busy:1", 20_001)[0] == "websocket"


def test_the_best_is_first_and_what_failed_rests() -> None:
    ladder = Ladder(DIRECT)
    assert ladder.order(HERE, 0) == list(DIRECT)
    ladder.failed(HERE, "websocket", "tls", 0)
    assert ladder.order(HERE, 1_000) == ["classic", "browser", SMALL, "websocket"]
    assert ladder.order("other.example:443", 1_000) == list(DIRECT)
    assert ladder.order(HERE, REST["tls"] + 1) == list(DIRECT)


def test_where_one_relay_crawls_the_others_are_measured() -> None:
    ladder = Ladder(DIRECT)
    ladder.worked(HERE, "websocket", 0)
    ladder.worked("other:1", "websocket", 0)
    assert not ladder.suspect("other:1", "websocket", 1)
    ladder.rate(HERE, "websocket", 64_000, 1)
    assert ladder.suspect("other:1", "websocket", 2)
    ladder.rate("other:1", "websocket", 5e6, 3)
    assert not ladder.suspect("other:1", "websocket", 4)
    ladder.rate(HERE, "websocket", 5e6, 5)
    ladder.rate(HERE, "websocket", 64_000, 6)
    assert ladder.suspect("other:1", "websocket", 7)  # what it was before says nothing


def test_what_worked_last_goes_first() -> None:
    ladder = Ladder(DIRECT)
    ladder.worked(HERE, "classic", 0)
    assert ladder.order(HERE, 1)[0] == "classic"
    assert not ladder.better(HERE, "classic", 1)


def test_what_rested_is_tried_beside_what_works_and_rests_longer_when_it_fails() -> None:
    ladder = Ladder(DIRECT)
    ladder.failed(HERE, "websocket", "tls", 0)
    ladder.worked(HERE, "classic", 10)
    now = 0
    for _ in range(3):
        rest = 0
        while not ladder.better(HERE, "classic", now):
            assert ladder.order(HERE, now)[0] == "classic"
            now, rest = now + 1_000, rest + 1
        assert ladder.better(HERE, "classic", now) == "websocket"
        assert ladder.order(HERE, now)[0] == "classic"
        ladder.failed(HERE, "websocket", "tls", now)
        ladder.worked(HERE, "classic", now)
    assert rest == 240


def test_beside_a_path_that_crawls_the_next_one_is_tried() -> None:
    ladder = Ladder(DIRECT)
    ladder.worked(HERE, "websocket", 0)
    assert ladder.instead(HERE, "websocket", 1) == ""
    ladder.failed(HERE, "websocket", "slow", 1)
    assert ladder.instead(HERE, "websocket", 2) == "classic"


def test_beside_streams_that_crawl_udp_is_tried_unless_it_crawls_too() -> None:
    ladder = Ladder()
    ladder.worked(HERE, "websocket", 0)
    ladder.rate(HERE, "websocket", 64_000, 1)
    assert not ladder.rests(HERE, "websocket", 2)
    ladder.rate(HERE, "websocket", 64_000, 2)
    assert ladder.instead(HERE, "websocket", 3) == HOP
    ladder.failed(HERE, HOP, "slow", 4)
    assert ladder.instead(HERE, "websocket", 5) == QUIC
    ladder.failed(HERE, QUIC, "connect", 6)
    assert ladder.instead(HERE, "websocket", 7) == ""  # small exchanges are no faster
    slow = Ladder()
    slow.rate(HERE, QUIC, 64_000, 0)
    for now in (1, 2):
        slow.rate(HERE, "websocket", 64_000, now)
    assert not slow.rests(HERE, "websocket", 3)


def test_what_is_kept_is_known_again_and_rests_what_is_left() -> None:
    ladder = Ladder(DIRECT)
    ladder.failed(HERE, "websocket", "tls", 0)
    ladder.worked(HERE, "classic", 10)
    kept = ladder.memory(20_000)
    again = Ladder(DIRECT)
    again.recall(kept, 10_000, 5)
    assert again.order(HERE, 6)[0] == "classic"
    assert again.better(HERE, "classic", 5) == ""
    assert again.better(HERE, "classic", 5 + REST["tls"] - 30_000) == "websocket"
    again.recall({}, 0, 10)
    assert again.order(HERE, 11) == list(DIRECT)


def test_a_freeze_rests_all_streams_longer_each_time_until_one_carries() -> None:
    ladder, now = Ladder(DIRECT), 0
    ladder.ended(HERE, "websocket", True, 16_000, 5_000, now)
    assert ladder.order(HERE, now)[0] == "websocket"
    rests = []
    ladder.ended(HERE, "classic", True, 16_000, 5_000, now + 1_000)
    assert ladder.order(HERE, now)[0] == "websocket"  # both at once are one
    for _ in range(6):
        now += 5_000
        ladder.worked(HERE, "websocket", now)
        ladder.ended(HERE, "websocket", True, 16_000, 5_000, now)
        assert ladder.order(HERE, now)[0] == SMALL
        assert not ladder.better(HERE, SMALL, now)
        began = now
        while not ladder.better(HERE, SMALL, now):
            now += 1_000
        rests.append(now - began)
    assert rests == sorted(rests)
    assert rests[0] == REST["frozen"]
    assert rests[-1] == LONGEST_REST
    ladder.worked(HERE, "websocket", now)
    ladder.lasted(HERE, "websocket", now)
    assert ladder.order(HERE, now + 1)[0] == "websocket"


def test_a_connection_that_carried_much_was_not_frozen() -> None:
    ladder = Ladder(DIRECT)
    ladder.worked(HERE, "websocket", 0)
    ladder.ended(HERE, "websocket", True, 10_000_000, 600_000, 1)
    assert ladder.order(HERE, 2)[0] == "websocket"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(DIRECT),
            st.sampled_from(["worked", "lasted", "ended", *REST]),
            st.integers(0, 5 * MINUTE),
        ),
        max_size=60,
    )
)
def test_whatever_happens_there_is_always_a_path_and_a_verdict(story) -> None:
    ladder, now = Ladder(DIRECT), 0
    for path, what, pause in story:
        now += pause
        if what == "worked":
            ladder.worked(HERE, path, now)
        elif what == "lasted":
            ladder.lasted(HERE, path, now)
        elif what == "ended":
            ladder.ended(HERE, path, True, pause, pause, now)
        else:
            ladder.failed(HERE, path, what, now)
        assert sorted(ladder.order(HERE, now)) == sorted(DIRECT)
        assert ladder.finding(now).verdict
