"""Two people who have just met, without a relay: for tests of what goes between them."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core.caps import Home
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.core.seal.pairwise import Opened, Pairwise
from holdfast.testing.entropy import seeded

__all__ = ["DAY", "NOW", "Met", "deliver", "home", "meet", "seeded", "settle"]

NOW = 1_800_000_000_000
DAY = 86_400_000


def home(name: str = "relay.example.org") -> Home:
    """A relay's address, always the same for a name."""
    draw = seeded(name)
    return Home(name, 443, draw(16), draw(32))


@dataclass
class Met:
    """Anna invited, Boris accepted; `record` is his answer."""

    anna: Identity
    boris: Identity
    invitation: Invitation
    record: bytes
    at_anna: Contact
    at_boris: Contact

    @property
    def pair(self) -> tuple[Pairwise, Pairwise]:
        """Anna's end and Boris's."""
        return self.at_anna.pairwise, self.at_boris.pairwise


def meet(seed: str = "met", many: bool = False) -> Met:
    """A first contact, from invitation to two ends that have not yet exchanged a word."""
    entropy = seeded(f"meet {seed}")
    anna, _ = Identity.create(entropy)
    boris, _ = Identity.create(entropy)
    invitation = Invitation.create(anna, (home(),), NOW + DAY, b"Anna", NOW, entropy, many)
    at_boris, record = accept(
        invitation.link, invitation.record, boris, (home("10.0.0.1"),), b"Boris", NOW, entropy
    )
    at_anna = invitation.open_accept(record, anna, NOW, entropy)
    assert isinstance(at_anna, Contact)
    return Met(anna, boris, invitation, record, at_anna, at_boris)


def deliver(sender: Pairwise, receiver: Pairwise, content: bytes, now: int = NOW) -> Opened:
    """Seal here, open there."""
    return receiver.open(sender.seal(content, now, seeded(f"nonce {sender.sent}")).blob, now)


def settle(one: Pairwise, other: Pairwise, now: int = NOW) -> None:
    """Both send what they owe, until neither owes anything at `now`."""
    ends = (one, other)
    for turn in range(20):
        sender, receiver = ends[turn % 2], ends[1 - turn % 2]
        while (due := sender.due()) is not None and due <= now:
            entropy = seeded(f"settle {sender!r} {turn}")
            receiver.open(sender.control(now, entropy).blob, now)
