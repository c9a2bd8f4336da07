"""What a network does, in one word, and the facts from which that was concluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Verdict = Literal[
    "clear",
    "freeze",
    "fingerprint",
    "name-block",
    "dns-block",
    "address-block",
    "allowlist",
    "throttled",
    "udp-block",
    "away",
    "impostor",
    "portal",
    "learned",
    "offline",
    "unknown",
]


class Fact(NamedTuple):
    """One thing that was seen: of a place by a path how it failed (see `SAYS`) or that it works;
    of a place that it crawls, that another relay does not reach it either, or that it is not
    reached any more; of a kind of places that nobody blocks, whether they answer."""

    place: str
    what: str
    """A kind of failure, or works, crawls, unreached, over, answers, silent."""
    path: str = ""
    kbits: int = 0

    def __str__(self) -> str:
        match self.what:
            case "crawls":
                return f"{self.place}: {self.kbits} kbit/s"
            case "answers" | "silent":
                said = "answers" if self.what == "answers" else "does not answer"
                return f"a {self.place} place that nobody blocks: {said}"
        by = f" by {self.path}" if self.path else ""
        return f"{self.place}{by}: {SAYS.get(self.what, self.what)}"


@dataclass(frozen=True)
class Finding:
    """What is going on, and what it was concluded from."""

    verdict: Verdict
    evidence: tuple[Fact, ...] = ()


SAYS: Final = {
    "proxy": "the proxy does not answer",
    "dns": "its name is not found",
    "connect": "no way to it",
    "refused": "the machine answers, no relay does",
    "mute": "no answer to its first words",
    "tls": "cut while the connection was being secured",
    "pin": "somebody else answers in its place",
    "upgrade": "what answers is not the relay",
    "closed": "cut",
    "timeout": "no answer",
    "frozen": "went silent after some kilobytes",
    "slow": "crawled",
    "lost": "worked, and then its packets were lost",
    "unreached": "another relay does not reach it either",
    "over": "worked, and is not reached any more",
}
"""How it failed, for people."""
