"""call-autoconnect (FaceTime CVE-2019-6223, Signal CVE-2019-17191): whatever comes before a
person accepts, no frame of the microphone leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))

from chatters import meet, person, relay, until

from holdfast.core.call import bursts
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.commands import Attach, Burst, Keep, Send
from holdfast.core.call.frames import Frame, encode
from holdfast.core.call.machine import Machine
from holdfast.core.call.routes import Route
from holdfast.core.call.rungs import RUNGS

STEPS = ("ringing", "accept", "decline", "busy", "end", "answer", "")
ACTS = st.lists(
    st.sampled_from([*STEPS, "frame", "burst", "ways", "speak", "tick", "mute"]), max_size=60
)
SAID = bursts.encode([Spoken(0, RUNGS[0], bytes(40))])


def play(machine: Machine, acts: list[str]) -> list[object]:
    """All that the machine does when these things happen to it."""
    out: list[object] = []
    for now, act in enumerate(acts):
        match act:
            case "frame":
                out += machine.frame(now, encode(Frame(RUNGS[0], packet=bytes(40))), now * 20)
            case "speak":
                out += machine.microphone(0, bytes(40), now * 20)
            case "burst":
                out += machine.burst(SAID, 0, now * 20)
            case "ways":
                out += machine.routes((Route(0), Route(1)), now * 20)
            case "tick":
                out += machine.tick(now * 20)
            case "mute":
                out += machine.mute(not machine.muted)
            case _:
                out += machine.heard(act, now * 20)
    return out


def leaks(acts: list[str]) -> bool:
    """Whether something left, or was made ready to leave, from who was called."""
    return any(
        isinstance(one, Send | Attach | Burst | Keep) for one in play(Machine(False, 0), acts)
    )


@given(ACTS)
def test_nothing_makes_the_called_one_speak_but_their_person(acts: list[str]) -> None:
    assert not leaks(acts)


@given(ACTS)
def test_the_caller_speaks_only_once_it_was_accepted(acts: list[str]) -> None:
    before = acts[: acts.index("accept")] if "accept" in acts else acts
    done = play(Machine(True, 0), before)
    assert not any(isinstance(one, Send | Attach | Burst | Keep) for one in done)


def test_once_accepted_it_does_leave() -> None:
    machine = Machine(False, 0)
    assert any(isinstance(one, Attach) for one in machine.accept(0))
    machine.routes((Route(0),), 0)
    assert any(isinstance(one, Send) for one in machine.microphone(0, bytes(40), 20))


def test_twin_that_takes_the_callers_accept_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Machine.heard

    def careless(self: Machine, step: str, now: int) -> list[object]:
        if step == "accept" and self.state == "ringing":
            return list(self._connect(now))
        return list(heard(self, step, now))

    monkeypatch.setattr(Machine, "heard", careless)
    assert leaks(["accept", "ways", "speak"])


async def test_the_node_gives_no_sound_away_while_it_rings(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home) as anna,
        person(tmp_path / "boris", "Boris", home) as boris,
    ):
        await meet(anna, boris)
        await anna.start_call("Boris")
        (ringing,) = await until(boris.calls, bool)
        engine = boris._engine
        assert engine is not None
        calls = engine.calls
        passed: list[bytes] = []
        calls._logs.pass_on = lambda caps, home, frame, unsent, by: passed.append(frame) or True  # type: ignore[method-assign,func-returns-value]
        assert boris.join_sound(ringing.id) is None
        calls.microphone(0, bytes(40))
        assert not passed
        assert calls._logs._lines == {}  # not even a connection because of the call
        await boris.accept_call(ringing.id)
        calls.microphone(0, bytes(40))

        async def left() -> int:
            return len(passed)

        await until(left, bool)  # in its rhythm
