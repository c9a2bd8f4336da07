"""What a fleet costs: front ends upon three NATS servers, beside the relay that keeps its own logs.

`python bench/relay/fleet.py [--seconds N] [--pairs N] [--fronts N] [--dir DIR]`

The load is that of `throughput.py`, over TLS: pairs of a writer and a reader, records of 1,024
bytes, delivered once the reader has them. All of it runs on this machine, three copies of each
record included, so what counts is the core-seconds of each part. `followed log` is what a front
end's memory grows by for each log that somebody follows there, above a relay's own.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import served
import throughput
import uvloop

from holdfast.testing.cluster import Servers, servers

IDLE = 1_000
"""Logs that are followed to see what that takes."""


def cpu(three: Servers) -> float:
    """Core-seconds of the servers so far."""
    times = [psutil.Process(pid).cpu_times() for pid in three.pids]
    return float(sum(time.user + time.system for time in times))


async def once(
    place: Path, fronts: int, pairs: int, window: int, seconds: float, own: bool
) -> tuple[list[throughput.Result], float]:
    """Each front end's result, and the core-seconds of the servers."""
    async with servers(place, parting=False) as three:
        url = None if own else three.url
        with ExitStack() as stack:
            relays = [
                stack.enter_context(served.relay(place / f"front{n}", place=url))
                for n in range(fronts)
            ]
            before = cpu(three)
            loads = [
                throughput.load(relay, True, pairs // fronts, window, seconds) for relay in relays
            ]
            results = await asyncio.gather(*loads)
            return results, 0.0 if own else cpu(three) - before


async def followed(place: Path, own: bool) -> float:
    """Bytes of a relay's memory for each followed log and its two connections."""
    async with servers(place, parting=False) as three:
        with served.relay(place / "front", place=None if own else three.url) as relay:
            before = relay.memory()
            crowd = [throughput.Pair(n.to_bytes(16), 0, 0) for n in range(IDLE)]
            for at in range(0, IDLE, 50):
                await asyncio.gather(*(pair.connect(relay, True) for pair in crowd[at : at + 50]))
            await asyncio.sleep(1)
            grown = relay.memory() - before
            for pair in crowd:
                pair.writer.close()
                pair.reader.close()
            return grown / IDLE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--fronts", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=None, help="on the disk that matters")
    asked = parser.parse_args()
    print(f"{'':34}{'a second':>10}{'relay µs':>10}{'NATS µs':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for own, kind in ((True, "embedded"), (False, "three NATS servers")):
        for window in (1, 32):
            with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=asked.dir) as place:
                fronts = 1 if own else asked.fronts
                results, servers_cpu = uvloop.run(
                    once(Path(place), fronts, asked.pairs, window, asked.seconds, own)
                )
            count = sum(result.delivered for result in results)
            delays = sorted(1e3 * delay for result in results for delay in result.delays)
            p50, p99 = (delays[len(delays) * share // 100] for share in (50, 99))
            print(
                f"{kind + f', {window} in flight':34}"
                f"{count / max(r.seconds for r in results):10,.0f}"
                f"{sum(r.cpu for r in results) / count * 1e6:10.1f}"
                f"{servers_cpu / count * 1e6:10.1f}"
                f"{p50:9.2f}{p99:9.2f}",
                flush=True,
            )
    memory = {}
    for own in (True, False):
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=asked.dir) as place:
            memory[own] = uvloop.run(followed(Path(place), own))
    print(f"followed log: {(memory[False] - memory[True]) / 1024:.1f} KiB at a front end")


if __name__ == "__main__":
    main()
