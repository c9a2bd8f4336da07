"""NATs of the packet lab."""

from __future__ import annotations

import pytest

from holdfast.lab import packets
from holdfast.lab.nat import Nat

INSIDE, OUTSIDE = bytes((10, 0, 0, 2)), bytes((198, 51, 100, 1))
ONE, OTHER = bytes((203, 0, 113, 1)), bytes((203, 0, 113, 2))


def out(nat: Nat, far: bytes, port: int = 5) -> packets.Packet:
    raw = nat.out(packets.read(packets.udp(INSIDE, far, (port, 9), b"hello")))
    assert raw is not None
    return packets.read(raw)


def back(nat: Nat, near: bytes, port: int) -> packets.Packet | None:
    raw = nat.back(packets.read(packets.udp(near, OUTSIDE, (9, port), b"answer")))
    return None if raw is None else packets.read(raw)


@pytest.mark.parametrize("kind", ["cone", "symmetric"])
def test_who_was_spoken_with_may_answer_and_nobody_else(kind) -> None:
    nat = Nat(INSIDE, OUTSIDE, kind)
    seen = out(nat, ONE)
    assert (seen.source, seen.payload) == (OUTSIDE, b"hello")
    answer = back(nat, ONE, seen.source_port)
    assert answer is not None
    assert (answer.target, answer.target_port, answer.payload) == (INSIDE, 5, b"answer")
    assert back(nat, OTHER, seen.source_port) is None
    assert back(nat, ONE, seen.source_port + 1) is None
    assert nat.out(packets.read(packets.build(INSIDE, ONE, packets.ICMP, bytes(8)))) is None


def test_a_cone_has_one_port_for_all_a_symmetric_one_has_many() -> None:
    for kind, same in (("cone", True), ("symmetric", False)):
        nat = Nat(INSIDE, OUTSIDE, kind)  # type: ignore[arg-type]
        ports = {out(nat, far).source_port for far in (ONE, OTHER)}
        assert (len(ports) == 1) == same
        assert out(nat, ONE, port=6).source_port not in ports
