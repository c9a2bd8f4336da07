"""A person's devices. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis


class Device(Struct, frozen=True, kw_only=True):
    """One of this person's devices."""

    id: Id
    name: str
    """Empty if it was never given one."""
    since: Millis
    """When it was linked, 0 for the first one of old."""
    here: bool
    """It is this one."""
    first: bool
    """It holds the key that signs: it alone links and removes devices and makes backups."""


class Linking(Struct, frozen=True, kw_only=True):
    """A new device on its way to be one of this person's, as either of the two sees it."""

    here: Literal["old", "new"]
    """What this node is in it: the first device, or the new one."""
    state: Literal[
        "preparing",
        "waiting",
        "expired",
        "connecting",
        "compare",
        "confirmed",
        "done",
        "cancelled",
        "mismatch",
    ]
    """preparing: no relay has the code yet. waiting: for the other side. connecting: it came, and
    the keys are being exchanged. compare: the emoji are here; say whether the other shows the same.
    confirmed: the other side has not said so yet. mismatch: somebody said that they differ."""
    name: str
    """Of the new device."""
    code: str = ""
    qr: str = ""
    """The code as QR, SVG."""
    expires: Millis = 0
    emoji: list[tuple[str, str]] = []
    past: bool = False
    """Whether it is given what was said before."""
