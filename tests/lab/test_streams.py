"""The censor of the packet lab by itself: what it puts together, and what rules make of it."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from fields import LISTED, OTHER, hello
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.lab import dns, packets
from holdfast.lab.packet_rules import Down, Forgets, Largest, Line, Portal
from holdfast.lab.packets import ACK, SYN, Packet
from holdfast.lab.rules import Act, Dark, Flow, Freeze, NoName, Police, Rule
from holdfast.lab.streams import MOST, Censor

HOME, THERE, ELSEWHERE = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"
NAMES = {THERE: LISTED, ELSEWHERE: OTHER}
PORTS = (40_000, 443)


def censor(*rules) -> Censor:
    made = Censor(lambda address: NAMES.get(address, ""))
    made.rules = rules
    return made


def out(
    flags: int, seq: int, payload: bytes = b"", target: bytes = THERE, port: int = 40_000
) -> Packet:
    return packets.read(packets.tcp(HOME, target, (port, 443), flags, seq, 1, payload))


def back(payload: bytes, seq: int = 1) -> Packet:
    return packets.read(packets.tcp(THERE, HOME, PORTS[::-1], ACK, seq, 1, payload))


def opened(made: Censor, start: int = 0) -> None:
    made.sees(out(SYN, start), True, 0)


class Sees(Rule):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.begun: list[Flow] = []
        self.packets = 0

    def begins(self, flow: Flow, now: float) -> Act:
        self.begun.append(flow)
        return Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        self.packets += bool(size)
        return Act.PASS


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_segments_in_any_order_and_more_than_once_say_the_same(data, start: int) -> None:
    said = hello(LISTED) + b"\x14\x03\x03\x00\x01\x01" + 3 * b"\x17\x03\x03\x00\x04data"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=12)))
    pieces = [(a, said[a:b]) for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    again = data.draw(st.lists(st.sampled_from(pieces), max_size=6))
    rule = Sees()
    made = censor(rule)
    opened(made, start)
    for at, piece in data.draw(st.permutations(pieces + again)):
        made.sees(out(ACK, (start + 1 + at) % 2**32, piece), True, 0)
    (flow,) = rule.begun
    assert flow.hello is not None
    assert flow.hello.server_name == flow.name == LISTED
    assert flow.records == 3
    assert rule.packets == len(pieces) + len(again)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_packets_are_taken(raw: list[bytes]) -> None:
    made = censor(Sees(), NoName(("x",)), Police((), 1e6))
    for one in raw:
        for body in (packets.build(HOME, THERE, kind, one) for kind in (1, 6, 17)):
            made.sees(packets.read(body), True, 0)


def test_what_is_dropped_once_stays_so_until_the_rules_change() -> None:
    made = censor(Freeze(100, 1_000, 1, Random(1)))
    opened(made)
    assert made.sees(out(ACK, 1, bytes(90)), True, 0).act is Act.PASS
    assert made.sees(back(bytes(90)), False, 0).act is Act.DROP
    assert made.sees(out(ACK, 91), True, 0).act is Act.DROP
    made.rules = []
    assert made.sees(back(bytes(90)), False, 0).act is Act.PASS
    made.cut()
    assert made.sees(out(ACK, 91, b"more"), True, 0).act is Act.DROP
    made.rules = []
    assert made.sees(out(ACK, 91, b"more"), True, 0).act is Act.DROP
    assert made.sees(out(SYN, 5_000), True, 0).act is Act.PASS


def test_it_remembers_a_bounded_number_of_connections() -> None:
    made = censor()
    for at in range(MOST + 100):
        target = (0x0B00_0000 + at // 60_000).to_bytes(4, "big")
        made.sees(out(SYN, 0, target=target, port=at % 60_000 + 1), True, 0)
    assert len(made.flows) <= MOST


def test_a_rate_is_policed_by_drops() -> None:
    made = censor(Police((LISTED,), 80_000))
    opened(made)
    passed = 0
    for at in range(1_000):
        raw = out(ACK, 1, bytes(1_000))
        passed += len(raw.raw) * (made.sees(raw, True, at / 100).act is Act.PASS)
    assert 90_000 < passed < 130_000  # 10 s of 10 kB, and what passes at once
    assert made.sees(out(SYN, 0, target=ELSEWHERE), True, 10).act is Act.PASS


def test_questions_for_names_are_answered_in_the_resolvers_stead() -> None:
    made = censor(NoName((LISTED,)))
    for name, answers in ((LISTED, 1), (OTHER, 0), (LISTED.upper(), 1)):
        raw = packets.udp(HOME, ELSEWHERE, (5_000, dns.PORT), dns.ask(9, name))
        found = made.sees(packets.read(raw), True, 0)
        assert len(found.answers) == answers
        for answer in found.answers:
            said = packets.read(answer)
            assert (said.source, said.target, said.target_port) == (ELSEWHERE, HOME, 5_000)
            assert dns.found(said.payload) == (dns.NXDOMAIN, [])


def test_in_the_dark_other_protocols_do_not_pass_either() -> None:
    made = censor(Dark())
    ping = packets.read(packets.build(HOME, THERE, packets.ICMP, bytes(8)))
    assert made.sees(ping, True, 0).act is Act.DROP
    made.rules = []
    assert made.sees(ping, True, 0).act is Act.PASS


# Rules for packets.


def datagram(size: int = 100, ports: tuple[int, int] = (5_000, 443)) -> Packet:
    return packets.read(packets.udp(HOME, THERE, ports, bytes(size)))


def test_a_line_queues_and_drops_what_its_queue_does_not_hold() -> None:
    line = Line(Random(1), up=80_000, queue=5_000, seconds=0.1)
    found = [line.sees(datagram(972), True, 0) for _ in range(12)]
    delays = [one.delay for one in found if one.act is Act.PASS]
    assert delays == pytest.approx([0.1 + 0.1 * at for at in range(1, 7)])
    assert line.sees(datagram(972), False, 0).delay == pytest.approx(0.1)
    assert line.sees(datagram(972), True, 60).delay == pytest.approx(0.2)


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 1), (0.05, 3), (0.2, 1), (0.2, 6), (0.5, 4)])
def test_a_line_loses_about_the_share_that_it_is_to(loss: float, burst: float) -> None:
    line = Line(Random(5), loss=loss, burst=burst)
    lost = [line.sees(datagram(), True, 0).act is Act.DROP for _ in range(20_000)]
    runs = sum(a and not b for a, b in itertools.pairwise(lost))
    assert sum(lost) / 20_000 == pytest.approx(loss, rel=0.2)
    assert sum(lost) / runs == pytest.approx(burst, rel=0.2)


@settings(deadline=None)
@given(st.lists(st.floats(0, 0.05), min_size=2, max_size=40), st.integers(0, 99))
def test_a_line_keeps_the_order_unless_it_is_to_be_late(gaps: list[float], seed: int) -> None:
    line, now, dues = Line(Random(seed), jitter=0.2), 0.0, []
    for gap in gaps:
        now += gap
        dues.append(now + line.sees(datagram(), True, now).delay)
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(dues))


def test_an_address_translator_forgets() -> None:
    nat = Forgets(5, 5, Random(1))
    syn = out(SYN, 0)
    assert nat.sees(syn, True, 0).act is Act.PASS
    assert nat.sees(back(b"x"), False, 3).act is Act.PASS
    assert nat.sees(out(ACK, 1), True, 9).act is Act.DROP
    assert nat.sees(datagram(), True, 0).instead == b""
    moved = packets.read(nat.sees(datagram(), True, 9).instead)
    assert moved.source_port != 5_000
    answer = packets.udp(THERE, HOME, (443, moved.source_port), b"!")
    inside = packets.read(nat.sees(packets.read(answer), False, 10).instead)
    assert (inside.target_port, inside.payload) == (5_000, b"!")
    stale = packets.udp(THERE, HOME, (443, 5_000), b"!")
    assert nat.sees(packets.read(stale), False, 10).act is Act.DROP


def test_a_portal_answers_in_the_name_of_all() -> None:
    portal = Portal(ELSEWHERE)
    led = packets.read(portal.sees(out(SYN, 7), True, 0).instead)
    assert (led.target, led.seq, led.flags) == (ELSEWHERE, 7, SYN)
    answer = packets.tcp(ELSEWHERE, HOME, PORTS[::-1], SYN | ACK, 1, 8)
    seems = packets.read(portal.sees(packets.read(answer), False, 0).instead)
    assert (seems.source, seems.ack) == (THERE, 8)
    assert portal.sees(datagram(), True, 0).act is Act.DROP


def test_hosts_that_are_down_and_packets_that_are_too_large() -> None:
    refused = Down({THERE}, refuses=True)
    (answer,) = refused.sees(out(SYN, 7), True, 0).answers
    assert packets.read(answer).flags & packets.RST
    (unreachable,) = refused.sees(datagram(), True, 0).answers
    assert packets.read(unreachable).protocol == packets.ICMP
    off = Down({THERE}, refuses=False)
    assert off.sees(out(SYN, 7), True, 0).answers == ()
    assert off.sees(out(SYN, 7, target=ELSEWHERE), True, 0).act is Act.PASS
    assert Largest(1_000).sees(datagram(973), True, 0).act is Act.DROP
    assert Largest(1_000).sees(datagram(972), True, 0).act is Act.PASS
