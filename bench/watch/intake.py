"""How many reports a second an observatory takes, how fast it judges, and what noise does to it.

`python bench/watch/intake.py [--only NAME] [--years N] [--kept FILE]`.

- *admission*: token verified, checked to be unspent, durable in the journal; processor time of
  the whole process.
- *storing*: reports as JSON, decoded, counted into rollups and durable, without the token.
- *judging*: one step of a country of 27 regions, three operators, six functions.
- *noise*: complaints and measurements in which nothing is hidden, with the quorum of credentials
  left out: only the statistics stand between noise and a public alarm.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import random
import resource
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.core import report, tokens
from holdfast.core.report import Complaint
from holdfast.watch import judging, simulate
from holdfast.watch.desk import Desk
from holdfast.watch.engine import Engine
from holdfast.watch.issuer import Issuer
from holdfast.watch.journal import STEP, Entry, Journal
from holdfast.watch.places import Places, parse
from holdfast.watch.program import SAMPLE
from holdfast.watch.rollup import Sums

Row = tuple[str, str]
PLACES = parse(SAMPLE.read_bytes())
NOW = 1_790_000_000
BATCH = 256


def admission(count: int = 4000) -> Iterator[Row]:
    """Verified and durably spent."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        yield asyncio.run(_admission(Path(directory), count))


async def _admission(folder: Path, count: int) -> Row:
    issuer = Issuer(folder / "issuer.db", "bench", False)
    window = report.window("calls", NOW)
    verifier = issuer.verifier("calls", window, NOW)
    assert verifier is not None
    signer = issuer._signer("calls", window)
    challenge = report.challenge("bench", "calls", window)
    made = []
    for _ in range(count):
        pending = tokens.ask(verifier, challenge, secrets.token_bytes)
        made.append(pending.finish(signer.sign(pending.request)))
    body = report.encode(Complaint("VEL", "veltel", "calls"))
    loop = asyncio.get_running_loop()
    journal = Journal(folder / "journal", loop.call_soon_threadsafe)
    desk = Desk(issuer, PLACES, secrets.token_bytes, set())
    done = asyncio.Event()
    left = count

    def settled(why: str) -> None:
        nonlocal left
        assert not why
        left -= 1
        if not left:
            done.set()

    began, used = time.monotonic(), time.process_time()
    for start in range(0, count, BATCH):
        for token in made[start : start + BATCH]:
            journal.append(desk.admit(token, report.decode(body), NOW), settled)
        await asyncio.sleep(0)
    await done.wait()
    took, used = time.monotonic() - began, time.process_time() - used
    journal.close()
    issuer.close()
    return (
        "Reports admitted: token verified, durably spent",
        f"{count / used:,.0f} a core-second, {count / took:,.0f} a second",
    )


def storing(count: int = 400_000) -> Iterator[Row]:
    """Decoded, counted, durable."""
    draw = random.Random(1)
    regions = [region.code for region in PLACES.regions]
    bodies = [
        report.encode(Complaint(draw.choice(regions), "veltel", draw.choice(report.FUNCTIONS)))
        for _ in range(1000)
    ]
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        journal = Journal(Path(directory) / "journal", lambda call: call())
        sums, at = Sums(), NOW // STEP * STEP
        used, began = time.process_time(), time.monotonic()
        for start in range(0, count, 4096):
            group = []
            for number in range(start, min(start + 4096, count)):
                one = report.decode(bodies[number % 1000])
                assert isinstance(one, Complaint)
                entry = Entry(at, "c", one.region, one.operator, one.function)
                sums.add(entry)
                group.append(entry)
            journal.append(tuple(group), lambda why: None)
        journal.close()
        used, took = time.process_time() - used, time.monotonic() - began
    yield (
        "Reports as JSON stored after admission, in batches of 4,096",
        f"{count / used:,.0f} a core-second, {count / took:,.0f} a second",
    )


def judging_time() -> Iterator[Row]:
    """A step of a whole country."""
    engine = Engine(PLACES)
    _, steps = simulate.month(PLACES, 1, NOW, 4)
    times = []
    for at, rows in steps:
        began = time.perf_counter()
        engine.tick(at, rows)
        times.append(time.perf_counter() - began)
    times.sort()
    yield (
        "Judging five minutes of 27 regions, from the rollup: p50, p99",
        f"{times[len(times) // 2] * 1e3:.1f}, {times[len(times) * 99 // 100] * 1e3:.1f} ms",
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield "Most memory of this process", f"{memory:.0f} MiB"


def noise(years: int = 10, kept: Path | None = None) -> Iterator[Row]:
    """Region-years in which nothing happens. A year takes a minute or two; with `kept`, years that
    are in that file are not played again."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
            yield from noise(years, Path(directory) / "years")
        return
    kept.touch()
    done = {year[0]: year for year in map(json.loads, kept.read_text().splitlines())}
    for seed in range(years):
        if seed not in done:
            done[seed] = [seed, *_year(seed)]
            with kept.open("a") as file:
                file.write(json.dumps(done[seed]) + "\n")
    public, suspected, complaints = (sum(done[seed][n] for seed in range(years)) for n in (1, 2, 3))
    yield (
        "Pure noise: public alarms, and ones kept for editors, a region-year",
        f"{public / years:.2f}, {suspected / years:.2f} ({years} years, {complaints:,} complaints)",
    )


def _year(seed: int) -> tuple[int, int, int]:
    """Public events, suspected ones, complaints."""
    places = Places("ZZ", "Noise", "Шум", PLACES.regions[:1], PLACES.operators)
    engine, complaints = Engine(places), 0
    country = simulate.Country(places, seed, [], (0.2, 1.0, 5.0)[seed % 3], reports=6)
    for at in range(NOW // 3600 * 3600, NOW // 3600 * 3600 + 365 * 86_400, STEP):
        rows = country.rows(at)
        complaints += sum(row.seen for row in rows if row.source in "cf")
        # Everybody is one credential: the quorum is always met.
        engine.regions[places.regions[0].code].alive = {judging.month(at): 1}
        engine.tick(at, rows)
    public = sum(bool(event.published) for event in engine.events)
    return public, len(engine.events) - public, complaints


ALL = (admission, storing, judging_time)


def figures() -> list[Row]:
    """What `make bench` prints."""
    return [row for each in ALL for row in each()]


def main() -> None:
    """Print rows as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*(each.__name__ for each in ALL), "noise"])
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--kept", type=Path, metavar="FILE", help="years of noise played before")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    for each in (*ALL, functools.partial(noise, asked.years, asked.kept)):
        if asked.only in (None, getattr(each, "__name__", "noise")):
            for name, value in each():
                print(json.dumps([name, value]) if asked.json else f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
