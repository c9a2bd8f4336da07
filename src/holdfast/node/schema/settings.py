"""What a person chose for this node. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Seconds


class Settings(Struct, frozen=True, kw_only=True):
    """What a person chose. `update_settings` takes the same names, each optional."""

    language: Literal["auto", "en", "ru"] = "auto"
    theme: Literal["auto", "light", "dark"] = "auto"
    read_receipts: bool = True
    delivery_receipts: bool = True
    typing: bool = True
    single_keys: bool = True
    near: bool = False
    """Whether contacts are looked for on the local network, and told there that one is here."""
    timer: Seconds = 0
    """Lifetime of messages in new conversations, 0 for ever."""
    admit: bool = False
    """Whether who comes unasked is accepted at once: for programs that answer everybody."""
    passphrase: bool = False
    """Whether a passphrase locks this machine's copy (changed by `set_passphrase`)."""


class ReportPlace(Struct, frozen=True, kw_only=True):
    """A region or an operator that an observatory knows."""

    code: str
    en: str = ""
    ru: str = ""


class ServicePage(Struct, frozen=True, kw_only=True):
    """A service, and the page by which a node measures it."""

    name: str
    url: str


class Reporting(Struct, frozen=True, kw_only=True):
    """Which observatory is told what does not work, and from where. Off while `url` is empty."""

    url: str = ""
    region: str = ""
    operator: str = ""
    automatic: bool = False
    """Whether what the network does to this node is told once an hour, without being asked."""
    measured: list[str] = []
    """Services that are measured then, too, each by a look at its page."""
    tokens: int = 0
    """That are here, got ahead."""
    keys: str = ""
    """Fingerprint of the keys for tokens that serve today: everybody who reports there sees the
    same, or it tells people apart."""
    waiting: int = 0
    """Reports that could not be sent yet."""
    trouble: str = ""
    """Why the last attempt failed."""
    regions: list[ReportPlace] = []
    operators: list[ReportPlace] = []
    services: list[str] = []
    looks: list[ServicePage] = []
    """Of the services that can be measured."""
    counted: int = 0
    """Reports that were counted by this call of `complain` or `measure_now`."""


class Backup(Struct, frozen=True, kw_only=True):
    """A backup that was made."""

    path: str
    """Where it is, if a path was given."""
    size: int
    contacts: int
    messages: int
