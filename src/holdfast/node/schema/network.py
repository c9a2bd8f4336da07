"""What works, what the network does, and what is known of it. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis

Line = Literal["whole", "thin", "dotted", "pieces", "double", "broken"]
"""The path line's shape; see the interface's table by rung."""


Network = Literal[
    "clear", "freeze", "fingerprint", "name-block", "dns-block", "address-block", "allowlist",
    "throttled", "udp-block", "away", "impostor", "portal", "learned", "offline", "unknown",
]  # fmt: skip
"""What the network does to connections with relays. clear: nothing. freeze: they go silent after
some kilobytes. fingerprint: one kind of connection is cut, another is not. name-block: cut when
the relay's name is seen. dns-block: the name is not found, others are. address-block: nothing
reaches the relay, others can be. allowlist: only listed places can. throttled: much slower than
other places. udp-block: what goes over UDP is lost, TCP to the same machine is not. away: the
relay's machine answers, the relay does not. impostor: somebody else answers. portal: something else
answers in the place of every relay, as a login page does. learned: one relay was cut off after it
had worked, others work. offline: nothing can be reached at all, as far as that was tried."""


Phase = Literal["new", "locked", "linking", "ready"]
"""No identity yet; identity behind a passphrase; a new device that is not confirmed; running."""


class Relay(Struct, frozen=True, kw_only=True):
    """One relay that this node keeps logs on, without the secrets of its address."""

    id: Id
    label: str
    state: Literal["connecting", "connected", "waiting", "idle"]
    """idle: kept in reserve, or turned off."""
    why: str = ""
    """The last failure in plain words, empty while connected."""
    failure: Literal[
        "",
        "proxy",
        "dns",
        "connect",
        "refused",
        "mute",
        "tls",
        "pin",
        "upgrade",
        "closed",
        "timeout",
    ] = ""
    """How far it came, as in `Fact`."""
    since: Millis
    mine: bool
    """One of this node's own homes, rather than only a contact's."""
    contacts: list[str] = []
    """Names of contacts who use it, or told of it."""
    off: bool = False
    """Turned off: nothing of this node's is made there; only what a contact reads there is written
    there."""
    trouble: Literal["", "slow", "behind", "refuses", "strange"] = ""
    """How it falls behind other relays: takes what others have taken long before, brings late or
    not at all what others bring, is full, brings what nobody wrote. It is waited for no longer, and
    the last choice for what is new, until it has kept up for ten minutes."""


class Status(Struct, frozen=True, kw_only=True):
    """What works now."""

    version: str
    phase: Phase
    name: str = ""
    line: Line = "broken"
    verdict: Literal["clear", "connecting", "offline", "relay-away", "no-relay"] = "offline"
    """offline: no relay can be reached at all. relay-away: the machine of one answers, but
    not as the relay, so it is not the internet that is missing."""
    network: Network = "unknown"
    relays: list[Relay] = []
    waiting: int = 0
    """Messages of mine that no relay has yet."""
    echo: bool = False
    """Whether `add_echo` can add the contact that answers, for trying things out."""
    unlinked: bool = False
    """This device was removed by another one of its person's: it can be read and no longer used."""
    simulator: bool = False
    near: list[str] = []
    """Contacts that are on the same local network, by id."""
    finds: bool = False
    """Whether this node can look for them at all."""


class Fact(Struct, frozen=True, kw_only=True):
    """One thing that connections met."""

    place: str
    """A relay's host and port; domestic or foreign for places that nobody blocks."""
    path: str = ""
    """By which path, if by one."""
    what: Literal[
        "works", "crawls", "unreached", "over", "answers", "silent",
        "proxy", "dns", "connect", "refused", "mute", "tls", "pin", "upgrade", "closed", "timeout",
        "frozen", "slow", "lost",
    ]  # fmt: skip
    """works. crawls: at `kbits`. unreached: another relay does not reach it either. over: not
    reached any more. answers, silent: of places that nobody blocks. Else how it failed."""
    kbits: int = 0


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What the network does, and the facts that say so, for people to read and to keep."""

    network: Network
    evidence: list[str]
    """The facts as sentences."""
    facts: list[Fact] = []


class KnownPath(Struct, frozen=True, kw_only=True):
    """How one relay was reached on a network."""

    relay: str
    path: str
    """What worked last, "" if nothing did."""
    trouble: list[str] = []
    """Paths that did not work, and how."""


class KnownNetwork(Struct, frozen=True, kw_only=True):
    """A network that this machine was on, as far as it is remembered: no name, no place."""

    id: Id
    current: bool
    seen: Millis
    relays: list[KnownPath] = []


class Switch(Struct, frozen=True, kw_only=True):
    """Something a pretended censor can do, and whether it does."""

    name: str
    on: bool


class Simulator(Struct, frozen=True, kw_only=True):
    """A pretended censor between this node and its relay on the same machine, to try out."""

    switches: list[Switch]
