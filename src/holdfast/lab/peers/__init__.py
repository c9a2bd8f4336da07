"""Who is measured in the lab: Holdfast, and what else people use, each as a `play.Stage`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from holdfast.lab.play import Stage

MINE: Final = "holdfast"
BOX: Final = "holdfast-box"
"""Holdfast around the box that sees streams only, and needs no rights."""
PEERS: Final = {
    MINE: "holdfast:on_hosts",
    BOX: "holdfast:boxed",
    "xmpp": "xmpp:on_hosts",
    "sip": "sip:on_hosts",
    "webrtc-udp": "webrtc:udp",
    "webrtc-tcp": "webrtc:tcp",
    "webrtc-tls": "webrtc:tls",
}
"""By name, the function that makes the stage."""
Make = Callable[[Path], AbstractAsyncContextManager[Stage]]


def make(peer: str) -> Make:
    """How to get that peer's stage in a directory: that raises `CannotPlay`."""
    module, name = PEERS[peer].split(":")
    found: Make = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found
