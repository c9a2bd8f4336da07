"""Every decoder that a stranger can reach, fed with anything.

A target takes bytes and raises only if something is wrong: a decoder may refuse in its own
words and in no other way, and what it accepts it must write back. Here each target gets its
seeds, seeds with deterministic damage, and what Hypothesis finds; `make fuzz` gives the
same targets to a fuzzer that watches coverage (tools/fuzz.py) for as long as one likes.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core import wire

sys.path.insert(0, str(Path(__file__).parent))
import log_protocol
import observatory
import open_port
import sealed


@dataclass(frozen=True)
class Target:
    """`run` raises if the bytes did harm; `seeds` are what is usual."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


TARGETS = {
    name: Target(*both)
    for part in (log_protocol, sealed, open_port, observatory)
    for name, both in part.targets().items()
}


def damaged(seed: bytes, dice: random.Random) -> bytes:
    """A seed with one to three wounds."""
    data = bytearray(seed)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0 if data:
                data[at % len(data)] ^= 1 << dice.randrange(8)
            case 1 if data:
                data[at % len(data)] = dice.choice((0, 1, 0x7F, 0x80, 0xC1, 0xDD, 0xFF))
            case 2:
                del data[at:]
            case 3:
                data[at:at] = dice.randbytes(dice.randint(1, 9))
            case _:
                data[at:at] = data[: dice.randint(0, 64)]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_damaged_seeds(name: str) -> None:
    target = TARGETS[name]
    dice = random.Random(name)
    for seed in target.seeds:
        target.run(seed)
        for _ in range(150):
            target.run(damaged(seed, dice))


@pytest.mark.parametrize("name", TARGETS)
def test_anything(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(st.one_of(st.binary(max_size=400), st.sampled_from(target.seeds)))
    def anything(data: bytes) -> None:
        target.run(data)

    anything()


def test_a_target_reports_what_a_decoder_must_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> wire.ClientFrame:
        raise IndexError

    monkeypatch.setattr(wire, "decode_client", broken)
    with pytest.raises(IndexError):
        TARGETS["wire-client"].run(b"")
