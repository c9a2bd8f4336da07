"""A call between two command lines: real processes, real speech, what each side heard."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.sound import wav
from holdfast.sound.opus import RATE
from holdfast.testing.listening import align, delay_ms, samples, speech, stoi
from holdfast.testing.processes import NodeProgram, Processes

# Figures of time need a machine that does nothing else; run: pytest tests/e2e/test_headless_call.py
pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]

PAUSE = RATE // 2
PATIENCE = 120


def command(node: NodeProgram, *arguments: str) -> list[str]:
    words = [sys.executable, "-m", "holdfast.cli", *arguments]
    return [*words, "--json", "--home", str(node.directory)]


def run(node: NodeProgram, *arguments: str) -> list[Any]:
    done = subprocess.run(
        command(node, *arguments), capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def meet(anna: NodeProgram, boris: NodeProgram) -> None:
    (invitation,) = run(anna, "invite")
    run(boris, "accept", invitation["link"])
    for _ in range(PATIENCE * 2):
        if any(one["state"] == "active" for one in run(anna, "contacts")):
            return
        time.sleep(0.2)
    raise AssertionError("they never became contacts")


def monologue(path: Path, clips: list[Path]) -> list[tuple[int, np.ndarray]]:
    """The clips with pauses, as a file; where each begins, and what it sounds like."""
    parts, at = [], PAUSE
    with wav.Writer(path) as out:
        out.write(bytes(2 * PAUSE))
        for clip in clips:
            pcm = b"".join(wav.read(clip, format="g722"))
            out.write(pcm + bytes(2 * PAUSE))
            parts.append((at, samples(pcm)))
            at += len(pcm) // 2 + PAUSE
    return parts


def call(anna: NodeProgram, boris: NodeProgram, folder: Path) -> tuple[Any, Any]:
    """One whole call: what `call` and `answer` said of it."""
    files = "--in", str(folder / "b.wav"), "--out", str(folder / "b-heard.wav")
    answering = subprocess.Popen(
        command(boris, "answer", *files, "--once"), stdout=-1, stderr=-1, text=True
    )
    try:
        assert answering.stderr is not None
        assert "Waiting" in answering.stderr.readline()
        files = "--in", str(folder / "a.wav"), "--out", str(folder / "a-heard.wav")
        (calling,) = run(anna, "call", "Boris", *files)
        said, errors = answering.communicate(timeout=PATIENCE)
    finally:
        answering.kill()
        answering.wait()
    assert answering.returncode == 0, errors
    return calling, json.loads(said)


def test_each_understands_the_other_at_once(tmp_path: Path) -> None:
    assert prove(1, 1, tmp_path)


def prove(seed: int, count: int, directory: Path) -> dict[str, list[float]]:
    """One call with four clips each way."""
    clips = speech(4)
    spoken = {
        "a": monologue(directory / "a.wav", clips),
        "b": monologue(directory / "b.wav", clips[::-1]),
    }
    with Processes(directory / "run") as programs:
        relay = programs.relay()
        anna, boris = programs.node("Anna", relay.address), programs.node("Boris", relay.address)
        meet(anna, boris)
        told = dict(zip("ab", call(anna, boris, directory), strict=True))
    scores: list[float] = []
    delays: list[float] = []
    for speaker, listener in ("ab", "ba"):
        assert told[listener]["call"]["reason"] == "hung-up"
        assert told[listener]["broken"] == 0
        heard = samples(b"".join(wav.read(directory / f"{listener}-heard.wav")))
        apart = told[listener]["started"] - told[speaker]["started"]
        for at, clip in spoken[speaker]:
            # What was played from when the clip began until a pause after its end.
            start = max(0, at - apart * RATE // 10**9)
            piece = heard[start : start + len(clip) + PAUSE]
            lag = align(clip, piece)
            delay = delay_ms(start - at + lag, 0, apart)
            score = stoi(clip, piece, lag)
            scores.append(round(score, 3))
            delays.append(round(delay))
            assert score >= 0.95, f"{speaker} to {listener}: {score:.3f}, {told}"
            assert 20 <= delay <= 120, f"{speaker} to {listener}: {delay:.0f} ms, {told}"
    return {"STOI": scores, "ms": delays}
