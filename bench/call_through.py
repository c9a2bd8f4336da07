"""The picture of one call that goes through everything: `python bench/call_through.py [PEER...]`.

Anna and Boris talk for 95 seconds while the network between them is changed under the call, as
`WORLDS` says, on the hosts of the packet lab (root is needed). What Boris hears of recorded speech
is compared second by second with what Anna said: how well it is understood (STOI) and by how much
it comes later than in the first seconds. Holdfast has one relay; beside it Chromium's WebRTC must
use coturn, by UDP, TCP and TLS, whichever ICE finds best, with an ICE restart as soon as the
connection is in doubt. What was measured is kept in var/call_through/PEER.json; of what is there
the picture is drawn, docs/pictures/call-through.svg, and what Boris heard by Holdfast can be
listened to: docs/sounds/call-through.ogg.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from holdfast.lab import voice
from holdfast.lab.datagrams import Sweep
from holdfast.lab.packet_rules import Line, PacketRule
from holdfast.lab.peers import holdfast, webrtc
from holdfast.lab.play import Stage
from holdfast.lab.rules import Freeze, Rule
from holdfast.lab.scenario import Staging
from holdfast.lab.town import Town
from holdfast.sound.opus import RATE, SAMPLE
from holdfast.sound.voice import make
from holdfast.testing import listening

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "var" / "call_through"
PICTURE = ROOT / "docs" / "pictures" / "call-through.svg"
SOUND = ROOT / "docs" / "sounds" / "call-through.ogg"
TRIP = 0.06
"""Seconds there and back."""
LATEST = 25
"""Seconds by which something may come later and is still looked for."""
PIECE = 2
"""Seconds that are compared at a time."""
HEARD = 0.55
"""STOI above which it is certain that this was found; other speech is at 0.4."""
PATIENCE = 60


def wire(bits: float = 0, loss: float = 0) -> Line:
    """The line to Anna's home."""
    seed = Random(1)
    return Line(seed, up=bits, down=bits, queue=12_000, seconds=TRIP / 2, loss=loss)


def freeze() -> Freeze:
    """Of tcp16-20."""
    return Freeze(16_000, 25, 1.0, Random(1))


WORLDS: list[tuple[str, int, list[Rule | PacketRule]]] = [
    ("normal", 12, [wire()]),
    ("UDP blocked", 12, [wire(), Sweep()]),
    ("8 kbit/s", 18, [wire(8_000), Sweep()]),
    ("frozen after 16 KB", 14, [wire(), freeze()]),
    ("nothing", 5, [wire(loss=1)]),
    ("only small exchanges", 20, [wire(), freeze(), Sweep()]),
    ("normal", 14, [wire()]),
]
SECONDS = sum(seconds for _, seconds, _ in WORLDS)
PEERS = {"holdfast": "Holdfast", "webrtc": "WebRTC, coturn"}


@dataclass
class Second:
    """Of what was heard. `late`: seconds later than at the beginning; None: nothing was heard."""

    stoi: float
    late: float | None


@contextlib.asynccontextmanager
async def staged(peer: str, directory: Path) -> AsyncIterator[Stage]:
    """Two people with that program."""
    if peer == "holdfast":
        async with holdfast.on_hosts(directory, relays=1) as mine:
            yield mine
    else:
        async with webrtc.on_hosts(directory, webrtc.ANY) as theirs:
            yield theirs


async def play(peer: str, directory: Path) -> dict[str, Any]:
    """One call, and what is known of it."""
    async with staged(peer, directory) as stage:
        town = stage.ground
        assert isinstance(town, Town)
        town.lab.begin(Staging(packets=WORLDS[0][2]))
        await stage.arrive() if peer != "holdfast" else None
        async with asyncio.timeout(PATIENCE):
            await stage.connected()
            call = await stage.call()
        await asyncio.sleep(8)  # everything that makes itself ready has done so
        began = time.time()
        since = await stage.since() if isinstance(stage, holdfast.Holdfast) else 0
        listens = asyncio.create_task(call.listen(SECONDS))
        for name, seconds, rules in WORLDS:
            print(f"{peer}: {name}", file=sys.stderr, flush=True)
            town.lab.begin(Staging(packets=rules))
            await asyncio.sleep(seconds)
        heard = (await listens)[1]
        await call.end()
        keep(KEPT / f"{peer}.wav", heard)
        found: dict[str, Any] = {}
        if isinstance(stage, holdfast.Holdfast):
            town.lab.calm()
            async with asyncio.timeout(PATIENCE):
                told = await stage.story()
            ahead = began - since / 1000
            found["rungs"] = [(one.at / 1000 - ahead, one.rung) for one in told.samples]
            found["moments"] = [(one.at / 1000 - ahead, one.what, one.why) for one in told.moments]
    return found | {"heard": [vars(one) for one in judged(heard)]}


def keep(path: Path, heard: bytes) -> None:
    """What was heard, as a WAV file."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, SAMPLE, RATE, 0, "NONE", ""))
        out.writeframes(heard[: SECONDS * RATE * SAMPLE])


def judged(heard: bytes) -> list[Second]:
    """Each second of it, beside what was said."""
    said = listening.samples(voice.speech())
    ear = listening.samples(heard[: len(heard) // SAMPLE * SAMPLE])
    ear = np.pad(ear, (0, max(0, SECONDS * RATE - len(ear))))
    first = listening.align(ear[: 6 * RATE], np.concatenate([said, said[: 8 * RATE]])) % len(said)
    out: list[Second] = []
    for at in range(SECONDS - PIECE + 1):
        piece = ear[at * RATE : (at + PIECE) * RATE]
        if float(abs(piece).max()) * 32_767 < voice.QUIET:
            out.append(Second(0.0, None))
            continue
        begin = first + (at - LATEST) * RATE
        near = np.take(said, range(begin, begin + (LATEST + PIECE + 1) * RATE), mode="wrap")
        lag = min(max(0, listening.align(piece, near)), len(near) - len(piece))
        score = listening.stoi(near[lag : lag + len(piece)], piece, 0)
        late = (LATEST * RATE - lag) / RATE
        out.append(Second(max(0.0, round(score, 3)), round(late, 2) if score >= HEARD else None))
    return out


# The picture.

WIDE, LEFT, RIGHT = 960, 70, 20
COLOURS = {"holdfast": "#0b6e4f", "webrtc": "#c1440e"}
PANELS = {"late": (70, 150), "stoi": (250, 120)}
"""Top and height."""
MOST_LATE = 12.0


def x(at: float) -> float:
    """Of a second."""
    return LEFT + at * (WIDE - LEFT - RIGHT) / SECONDS


def text(at: float, top: float, words: str, **more: str) -> str:
    """Words in the picture."""
    rest = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{at:.1f}" y="{top:.1f}"{rest}>{escape(words)}</text>'


def line(points: Sequence[tuple[float, float] | None], colour: str) -> str:
    """Through these points, interrupted where there is none."""
    path, pen = "", "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path, pen = f"{path}{pen}{point[0]:.1f} {point[1]:.1f}", "L"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'


def height(panel: str, value: float, most: float) -> float:
    """Where a value is in a panel."""
    top, tall = PANELS[panel]
    return top + tall - min(value, most) / most * tall


def picture(found: dict[str, dict[str, Any]]) -> str:
    """All of it as SVG."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} 470" role="img"'
        ' font-family="system-ui, sans-serif" font-size="13" fill="#222">'
    )
    out = [
        head,
        "<title>One call through seven networks: how late it is, and how well understood</title>",
        f'<rect width="{WIDE}" height="470" fill="#fff"/>',
    ]
    at = 0
    for number, (name, seconds, _) in enumerate(WORLDS):
        shade = "#f2f2ee" if number % 2 else "#fff"
        wide = x(at + seconds) - x(at)
        out.append(f'<rect x="{x(at):.1f}" y="40" width="{wide:.1f}" height="400" fill="{shade}"/>')
        words = name.split(" ")
        lines = [name] if wide > 9 * len(name) or len(words) < 2 else [
            " ".join(words[: (len(words) + 1) // 2]), " ".join(words[(len(words) + 1) // 2 :])
        ]  # fmt: skip
        for row, part in enumerate(lines):
            middle = x(at + seconds / 2)
            out.append(text(middle, 18 + 15 * row, part, text_anchor="middle", font_size="12"))
        at += seconds
    out.append(text(LEFT, 62, "Seconds later than at the beginning", font_weight="600"))
    out.append(text(LEFT, 242, "Understood (STOI of two seconds)", font_weight="600"))
    for panel, marks, most in (("late", (0, 4, 8, 12), MOST_LATE), ("stoi", (0, 0.5, 1), 1.0)):
        for mark in marks:
            level = height(panel, mark, most)
            out.append(
                f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"'
                ' stroke="#ccc"/>'
            )
            out.append(text(LEFT - 8, level + 4, f"{mark:g}", text_anchor="end"))
    for peer, one in sorted(found.items(), reverse=True):
        late = [
            None if s["late"] is None else (x(n + 1), height("late", max(0, s["late"]), MOST_LATE))
            for n, s in enumerate(one["heard"])
        ]
        stoi = [(x(n + 1), height("stoi", s["stoi"], 1.0)) for n, s in enumerate(one["heard"])]
        out += [line(late, COLOURS[peer]), line(stoi, COLOURS[peer])]
    out.append(text(LEFT, 392, "How Anna is heard by Boris, Holdfast", font_weight="600"))
    out += strip(found.get("holdfast", {}).get("rungs", []))
    for number, peer in enumerate(found):
        left = WIDE - RIGHT - 260 + 130 * number
        out.append(f'<rect x="{left}" y="452" width="22" height="5" fill="{COLOURS[peer]}"/>')
        out.append(text(left + 28, 460, PEERS[peer]))
    return "\n".join([*out, "</svg>", ""])


def strip(rungs: list[tuple[float, str]]) -> list[str]:
    """What was spoken when."""
    out, begun, last = [], 0.0, ""
    for at, name in [*((max(0.0, at), name) for at, name in rungs), (float(SECONDS), "")]:
        if name == last or at > SECONDS:
            continue
        if last and at > begun:
            wide = x(at) - x(begun)
            colour = "#e8c468" if last == "bursts" else "#7fb7a3" if "Opus" in last else "#b9a2d8"
            out.append(
                f'<rect x="{x(begun):.1f}" y="400" width="{wide:.1f}" height="26" fill="{colour}"'
                f' stroke="#fff"><title>{escape(last)}</title></rect>'
            )
            if wide > 7 * len(last):
                middle = x((begun + at) / 2)
                out.append(text(middle, 417, last, text_anchor="middle", font_size="11"))
        begun, last = at, name
    return out


def main() -> None:
    """Measure what is asked for, and draw what there is."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for peer in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as place:
            found = asyncio.run(play(peer, Path(place)))
        (KEPT / f"{peer}.json").write_text(json.dumps(found))
        print(peer, " ".join(f"{s['stoi']:.2f}/{s['late']}" for s in found["heard"]))
        for moment in found.get("moments", []):
            print("  ", *moment)
    if (ours := KEPT / "holdfast.wav").exists():
        SOUND.parent.mkdir(exist_ok=True)
        SOUND.write_bytes(make(ours).data)
    kept = {peer: KEPT / f"{peer}.json" for peer in PEERS}
    PICTURE.write_text(
        picture({p: json.loads(file.read_text()) for p, file in kept.items() if file.exists()})
    )


if __name__ == "__main__":
    main()
