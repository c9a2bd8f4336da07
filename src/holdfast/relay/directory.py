"""A relay's directory, seen from outside: whose it is, its relay's end or restart, copies of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final

from holdfast.core.caps import Home, b64
from holdfast.relay.admission import invite
from holdfast.relay.keys import RelayError, Secrets, address_of
from holdfast.store import whole
from holdfast.store.care import backup
from holdfast.store.files import sync_directory
from holdfast.store.shares import folders

SEVERAL: Final = "several"
"""In the lock file: SIGHUP restarts the processes of this one."""


def take_lock(data: Path, kind: str = "") -> int:
    """Hold the directory for this process; the file descriptor keeps it, `kind` is `SEVERAL` if it
    is the parent of others. Raises `RelayError`."""
    lock = whole.hold(data / "lock")
    if lock is None:
        raise RelayError(
            f"another relay is using {data}. Stop it, or choose another directory with --data"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {kind}".strip().encode(), 0)
    return lock


def is_running(data: Path) -> bool:
    """Whether a relay holds the directory."""
    with contextlib.suppress(FileNotFoundError), open(data / "lock", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def drain(data: Path) -> bool:
    """Ask the relay of this directory to stop in good order: it takes nobody any more, tells all
    who are connected to come back later, and ends once all is on the disk. Whether there is one."""
    if not is_running(data):
        return False
    try:
        os.kill(int((data / "lock").read_text().split()[0]), signal.SIGTERM)
    except (ValueError, IndexError, OSError) as error:
        raise RelayError(f"the relay of {data} cannot be told to stop: {error}") from None
    return True


def restart(data: Path) -> bool:
    """Ask the relay of this directory to become the program that is installed now, and to replace
    its processes one by one. Whether there is one. Raises `RelayError` if it is but one process."""
    if not is_running(data):
        return False
    try:
        pid, _, kind = (data / "lock").read_text().partition(" ")
        if kind != SEVERAL:
            raise RelayError(
                "this relay is one process (see --processes): stop it with `holdfast relay drain`"
                " and start it again; nodes come back within seconds"
            )
        os.kill(int(pid), signal.SIGHUP)
    except (ValueError, OSError) as error:
        raise RelayError(f"the relay of {data} cannot be restarted: {error}") from None
    return True


def invitation(data: Path, logs: int, advertise: str | None) -> Home:
    """A new address of this relay, by which so many logs may be made a month. A relay that runs
    takes it within seconds. Raises `RelayError`."""
    keys, secret = Secrets(data), secrets.token_bytes(16)
    try:
        host, port = json.loads((data / "at").read_text())
        invite(data, secret, logs, b64)
    except (OSError, ValueError) as error:
        raise RelayError(f"start the relay of {data} once before inviting: {error}") from None
    return replace(address_of(keys, host, port, advertise), path_secret=secret)


def copy_of(data: Path, target: Path) -> None:
    """Copy the directory into a new one, while the relay runs or not. Raises `RelayError`,
    `StoreFailed`."""
    if target.exists():
        raise RelayError(f"the directory {target} exists already; name a directory that does not")
    part = target.with_name(target.name + ".making")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700, parents=True)
        for path in folders(data):
            backup(path, part / path.name)
        for path in data.iterdir():
            if path.is_file() and path.name != "lock":
                shutil.copy2(path, part)
            elif path.is_dir() and path.name.split(".")[0] != "logs":
                shutil.copytree(path, part / path.name)
        part.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise RelayError(f"{target} could not be made: {error.strerror}") from error
