"""When the internet was off, as the relays tell it."""

from holdfast.node.relays import Relays
from holdfast.testing.pairs import home

ONE, TWO = home("10.0.0.1"), home("10.0.0.2")
LOG = b"l" * 32


class World:
    def __init__(self) -> None:
        self.now = 0
        self.relays = Relays(lambda: self.now)
        self.relays.use(frozenset({str(ONE), str(TWO)}), {str(ONE): ONE, str(TWO): TWO})

    def at(self, now: int) -> Relays:
        self.now = now
        return self.relays


def test_off_means_that_no_own_relay_is_there() -> None:
    w = World()
    w.at(0).up(ONE)
    w.at(0).up(TWO)
    w.at(10_000).down(ONE, "gone")
    assert w.relays.online
    w.at(20_000).down(TWO, "gone")
    assert not w.relays.online
    w.at(90_000).up(TWO)
    assert w.relays.outage(LOG, TWO) == (20_000, 90_000)
    w.at(91_000).up(ONE)
    assert w.relays.outage(LOG, ONE) == (20_000, 90_000)


def test_what_comes_after_catching_up_was_not_held_up() -> None:
    w = World()
    w.at(0).up(ONE)
    w.at(1_000).down(ONE, "gone")
    w.at(1_000).down(TWO, "gone")
    w.at(70_000).up(ONE)
    assert w.relays.outage(LOG, ONE) is not None
    w.relays.caught_up(LOG, ONE)
    assert w.relays.outage(LOG, ONE) is None
    assert w.relays.outage(b"m" * 32, ONE) is not None


def test_less_than_a_minute_is_not_worth_a_word() -> None:
    w = World()
    w.at(0).up(ONE)
    w.at(1_000).down(ONE, "gone")
    w.at(60_999).up(ONE)
    assert w.relays.outage(LOG, ONE) is None


def test_a_gap_is_asked_for_when_every_reachable_home_was_read() -> None:
    w = World()
    w.at(0).up(ONE)
    w.at(0).up(TWO)
    both = {str(ONE), str(TWO)}
    w.relays.caught_up(LOG, ONE)
    assert not w.relays.all_caught_up(LOG, both)
    w.relays.down(TWO, "gone")
    assert w.relays.all_caught_up(LOG, both)


def test_a_relay_that_is_used_no_longer_is_let_go() -> None:
    w = World()
    assert w.relays.use(frozenset({str(ONE)}), {str(ONE): ONE}) == [TWO]


def test_a_relay_that_refuses_is_no_missing_internet() -> None:
    w = World()
    w.at(0).up(ONE)
    w.at(0).up(TWO)
    w.at(1_000).down(ONE, "gone", "closed")
    w.at(1_000).down(TWO, "gone", "closed")
    w.at(2_000).down(ONE, "no relay there", "refused")
    w.at(90_000).up(ONE)
    assert w.relays.outage(LOG, ONE) is None
