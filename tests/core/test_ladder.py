"""The ladder: which path next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.ladder import LATE, REST, Ladder
from holdfast.core.seen import HOP, LONGEST_REST, PATHS, QUIC, SMALL, STREAMS

HERE = "relay.example:443"
MINUTE = 60_000
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
