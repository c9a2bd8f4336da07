"""`holdfast relay verify|compact|backup|drain`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Final

from holdfast.cli.say import Exit, Trouble, show

DRAIN_SECONDS: Final = 60.0


def relay(asked: argparse.Namespace) -> None:
    """Take care of a relay's data."""
    from holdfast.relay.program import RelayError
    from holdfast.store.base import StoreFailed

    if (asked.what == "backup") != (asked.to is not None):
        raise Trouble("--to DIR goes with backup", Exit.USAGE)
    act = {"verify": _verify, "compact": _compact, "backup": _backup, "drain": _drain}[asked.what]
    try:
        act(asked)
    except (StoreFailed, RelayError) as error:
        raise Trouble(str(error)) from None


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} segments", end="\r", file=sys.stderr, flush=True)


def _verify(asked: argparse.Namespace) -> None:
    from holdfast.store.care import verify

    found = verify(asked.data / "logs", _progress)
    values = {
        "logs": found.logs,
        "records": found.records,
        "bytes": found.bytes,
        "segments": found.segments,
        "damaged": found.damaged,
        "missing": found.missing,
    }
    text = (
        f"{found.logs} logs, {found.records} records in {found.segments} segments:"
        f" {found.damaged} damaged, {found.missing} missing"
    )
    show(values, asked.json, text)
    if not found.whole:
        raise Trouble(
            "the disk lost some of what it was given. Look at the disk; nodes have what is missing"
            " from their other relays, or send it again"
        )


def _compact(asked: argparse.Namespace) -> None:
    from holdfast.relay.program import now_ms, take_lock
    from holdfast.store.care import compact

    lock = take_lock(asked.data)
    try:
        before, after = compact(asked.data / "logs", now_ms())
    finally:
        os.close(lock)
    text = f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB now"
    show({"before": before, "after": after}, asked.json, text)


def _backup(asked: argparse.Namespace) -> None:
    from holdfast.relay.program import copy_of

    copy_of(asked.data, asked.to)
    show({"to": str(asked.to)}, asked.json, f"All of it is in {asked.to}; keep it to yourself.")


def _drain(asked: argparse.Namespace) -> None:
    from holdfast.relay.program import drain, is_running

    if not drain(asked.data):
        show({"running": False}, asked.json, "No relay runs there.")
        return
    until = time.monotonic() + DRAIN_SECONDS
    while is_running(asked.data):
        if time.monotonic() > until:
            raise Trouble(f"the relay still runs after {DRAIN_SECONDS:.0f} seconds")
        time.sleep(0.05)
    show({"running": False}, asked.json, "Stopped; all it promised is on the disk.")
