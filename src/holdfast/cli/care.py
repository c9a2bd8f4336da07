"""`holdfast relay verify|compact|backup|drain|restart`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from typing import Final

from holdfast.cli.say import Exit, Trouble, show

DRAIN_SECONDS: Final = 60.0


def relay(asked: argparse.Namespace) -> None:
    """Take care of a relay's data."""
    from holdfast.relay.keys import RelayError
    from holdfast.store.base import StoreFailed

    if asked.logs is not None and asked.what != "invite":
        raise Trouble("--logs goes with invite", Exit.USAGE)
    if (asked.what == "backup") != (asked.to is not None):
        raise Trouble("--to DIR goes with backup", Exit.USAGE)
    act = {
        "verify": _verify,
        "compact": _compact,
        "backup": _backup,
        "drain": _drain,
        "restart": _restart,
        "invite": _invite,
    }[asked.what]
    try:
        act(asked)
    except (StoreFailed, RelayError) as error:
        raise Trouble(str(error)) from None


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} segments", end="\r", file=sys.stderr, flush=True)


def _verify(asked: argparse.Namespace) -> None:
    from holdfast.store.care import verify
    from holdfast.store.shares import folders

    parts = [verify(path, _progress) for path in folders(asked.data) or [asked.data / "logs"]]
    found = sum(parts[1:], parts[0])
    values = dataclasses.asdict(found)
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
    from holdfast.relay.directory import take_lock
    from holdfast.relay.keys import now_ms
    from holdfast.store.care import compact
    from holdfast.store.shares import folders

    lock = take_lock(asked.data)
    try:
        parts = folders(asked.data) or [asked.data / "logs"]
        done = [compact(path, now_ms()) for path in parts]
        before, after = (sum(sizes) for sizes in zip(*done, strict=True))
    finally:
        os.close(lock)
    text = f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB now"
    show({"before": before, "after": after}, asked.json, text)


def _backup(asked: argparse.Namespace) -> None:
    from holdfast.relay.directory import copy_of

    copy_of(asked.data, asked.to)
    show({"to": str(asked.to)}, asked.json, f"All of it is in {asked.to}; keep it to yourself.")


def _invite(asked: argparse.Namespace) -> None:
    from holdfast.relay.directory import invitation

    logs = 200 if asked.logs is None else asked.logs
    if not 1 <= logs <= 1_000_000:
        raise Trouble("--logs takes how many logs it may make a month, at least 1", Exit.USAGE)
    address = str(invitation(asked.data, logs, asked.advertise))
    show({"address": address, "logs": logs}, asked.json, address)


def _restart(asked: argparse.Namespace) -> None:
    from holdfast.relay.directory import restart

    if not restart(asked.data):
        raise Trouble("no relay runs there", Exit.NOT_RUNNING)
    show({"restarting": True}, asked.json, "Its processes are replaced one by one.")


def _drain(asked: argparse.Namespace) -> None:
    from holdfast.relay.directory import drain, is_running

    if not drain(asked.data):
        show({"running": False}, asked.json, "No relay runs there.")
        return
    until = time.monotonic() + DRAIN_SECONDS
    while is_running(asked.data):
        if time.monotonic() > until:
            raise Trouble(f"the relay still runs after {DRAIN_SECONDS:.0f} seconds")
        time.sleep(0.05)
    show({"running": False}, asked.json, "Stopped; all it promised is on the disk.")
