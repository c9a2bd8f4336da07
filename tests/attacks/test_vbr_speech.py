"""vbr-speech (Wright et al., 2008; Hookt on Fon-iks, White et al., 2011): what goes over the wire
in a call does not tell speech from silence, let alone what is said.

A call between two real nodes; one speaks and is silent by turns, as a seed has it. A tap on the
speaker's connection notes when how many bytes pass, which is all that somebody on the wire has.
A classifier is trained on the first part of that and asked about the rest.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from random import Random

import av
import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

import people

from holdfast.core.call.frames import FRAME_MS
from holdfast.core.call.rungs import RUNGS
from holdfast.core.caps import Home
from holdfast.node.client import Client
from holdfast.node.schema import CallChanged
from holdfast.sound import wav
from holdfast.sound.call import talk
from holdfast.testing.listening import speech
from holdfast.testing.processes import Processes
from holdfast.testing.tap import Passed, Tap

TURN = 0.6
"""Seconds of speech or of silence that are told apart."""
SKIPPED = 3 * TURN
"""Seconds at the beginning, when the call is not yet in its rhythm."""
SAMPLES = 48_000
PIECE = SAMPLES * FRAME_MS // 1000
SURE = 0.001
"""How unlikely a success by chance must be to count as one."""


def turns(seed: int, seconds: float) -> list[bool]:
    """Whether there is speech in each turn; half of them."""
    all = [True, False] * (round(seconds / TURN) // 2)
    Random(seed).shuffle(all)
    return all


def pieces(spoken: list[bool]) -> Iterator[bytes]:
    """PCM of one frame each: real speech, or nothing."""
    voice = cycle(piece for clip in speech(8, 6) for piece in loud(clip))
    for one in [False] * round(SKIPPED / TURN) + spoken:
        for _ in range(round(TURN * SAMPLES) // PIECE):
            yield next(voice) if one else bytes(2 * PIECE)


def loud(clip: Path) -> Iterator[bytes]:
    """A clip without its pauses."""
    for piece in wav.read(clip, PIECE, format="g722"):
        if len(piece) == 2 * PIECE and np.abs(np.frombuffer(piece, np.int16)).max() > 500:
            yield piece


@dataclass
class Capture:
    """What passed, and whether there was speech in each turn since `began` (s)."""

    passed: list[Passed]
    began: float
    spoken: list[bool]


async def call(seed: int, seconds: float, directory: Path) -> Capture:
    """One call of that length, listened to."""
    spoken = turns(seed, seconds)
    with Processes(directory) as run:
        relay = await asyncio.to_thread(run.relay)
        async with Tap(Home.parse(relay.address)) as tap:
            anna = await asyncio.to_thread(run.node, "Anna", str(tap.home))
            boris = await asyncio.to_thread(run.node, "Boris", str(tap.home))
            await people.meet(anna, boris)
            async with (
                asyncio.timeout(seconds + 60),
                Client.connect(anna.directory) as caller,
                Client.connect(boris.directory) as callee,
            ):
                heard = await talked(caller, callee, spoken)
                ports = {each.laddr.port for each in psutil.Process(anna.pid).net_connections()}
    began = heard / 1e9 + SKIPPED
    hers = [one for one in tap.passed if one.port in ports]
    return Capture(hers, began, spoken)


async def talked(caller: Client, callee: Client, spoken: list[bool]) -> int:
    """Ring, accept, talk, hang up; when the speaking began, in nanoseconds since 1970."""
    await caller.node.listen()
    await callee.node.listen()
    call = await caller.node.start_call(await people.contact(caller))
    talking = asyncio.Event(), asyncio.Event()

    async def answer() -> None:
        async for event in callee.events():
            if isinstance(event, CallChanged):
                if event.call.state == "ringing":
                    await callee.node.accept_call(event.call.id)
                elif event.call.state == "talking":
                    talking[1].set()

    async def watch() -> None:
        async for event in caller.events():
            if isinstance(event, CallChanged) and event.call.state == "talking":
                talking[0].set()

    watching = [asyncio.create_task(answer()), asyncio.create_task(watch())]
    await asyncio.gather(*(one.wait() for one in talking))
    silence = iter(lambda: bytes(2 * PIECE), b"")
    listening = asyncio.create_task(
        talk(callee, call.id, silence, lambda pcm: None, talking[1], len(spoken) * TURN + SKIPPED)
    )
    said = await talk(caller, call.id, pieces(spoken), lambda pcm: None, talking[0])
    await listening
    for one in watching:
        one.cancel()
    return said.started


def features(capture: Capture) -> NDArray[np.float64]:
    """Of each turn, what sizes and times of either direction have to say."""
    rows = []
    for turn in range(len(capture.spoken)):
        start = capture.began + turn * TURN
        row: list[float] = []
        for sent in (True, False):
            mine = [
                one for one in capture.passed if one.sent is sent and start <= one.at < start + TURN
            ]
            sizes = np.array([one.size for one in mine] or [0])
            gaps = np.diff([one.at for one in mine]) if len(mine) > 2 else np.zeros(2)
            for values in (sizes, gaps):
                row += [values.mean(), values.std(), values.min(), values.max()]
                row += list(np.percentile(values, (10, 25, 50, 75, 90)))
            row += [len(mine), sizes.sum(), len(set(sizes))]
        rows.append(row)
    return np.array(rows)


def told_apart(captures: list[Capture]) -> tuple[int, int]:
    """How many turns a classifier that saw the others gets right, and of how many: each call
    half by half, so that it has heard this very call."""
    right = count = 0
    for capture in captures:
        known, spoken = features(capture), np.array(capture.spoken)
        half = len(spoken) // 2
        for train, ask in (
            (slice(0, half), slice(half, None)),
            (slice(half, None), slice(0, half)),
        ):
            forest = RandomForestClassifier(300, random_state=1, n_jobs=1)
            forest.fit(known[train], spoken[train])
            right += int((forest.predict(known[ask]) == spoken[ask]).sum())
            count += len(spoken[ask])
    return right, count


def by_chance(right: int, count: int) -> float:
    """How likely tossing a coin is at least as good."""
    wins = np.random.default_rng(1).binomial(count, 0.5, 200_000)
    return float((wins >= right).mean())


def prove(seed: int, count: int, directory: Path) -> dict[str, float]:
    """A call of so many seconds: nothing is told apart."""
    capture = asyncio.run(call(seed, count, directory))
    right, asked = told_apart([capture])
    chance = by_chance(right, asked)
    figures = {"right": right, "turns": asked, "chance": round(chance, 4)}
    assert chance > SURE, f"speech shows on the wire: {figures}"
    return figures


def vbr(capture: Capture) -> Capture:
    """The same call as it would be if each frame were as long as its packet (Opus, VBR)."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLES, "mono", "s16"
    encoder.bit_rate, encoder.time_base = RUNGS[0].rate, Fraction(1, SAMPLES)
    encoder.options = {"vbr": "on", "application": "voip", "frame_duration": str(FRAME_MS)}
    sizes = []
    for piece in pieces(capture.spoken):
        frame = av.AudioFrame.from_ndarray(np.frombuffer(piece, np.int16)[None, :], layout="mono")
        frame.sample_rate = SAMPLES
        sizes += [len(bytes(packet)) for packet in encoder.encode(frame)]
    start = capture.began - SKIPPED
    passed = []
    for one in capture.passed:
        at = int((one.at - start) * 1000) // FRAME_MS
        size = one.size - 40 + sizes[at] if one.sent and 0 <= at < len(sizes) else one.size
        passed.append(Passed(one.at, one.port, one.sent, size))
    return Capture(passed, capture.began, capture.spoken)


@pytest.mark.timeout(180)
def test_speech_does_not_show_but_would_if_sizes_did(tmp_path: Path) -> None:
    capture = asyncio.run(call(1, 24, tmp_path))
    frames = [one.size for one in capture.passed if one.sent and one.at > capture.began]
    assert max(set(frames), key=frames.count) > 80
    right, count = told_apart([capture])
    assert by_chance(right, count) > SURE, f"speech shows on the wire: {right} of {count}"
    right, count = told_apart([vbr(capture)])  # the twin
    assert by_chance(right, count) < SURE, f"the classifier sees nothing: {right} of {count}"
