"""What is claimed of scenarios, each a function that tries it on a field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fields import Field

KINDS = ("box", "packets")
Try = Callable[[Field], Awaitable[None]]


@dataclass(frozen=True)
class Claim:
    """What is tried of these scenarios, on these fields. `slow`: it takes some seconds."""

    ids: tuple[str, ...]
    kinds: tuple[str, ...]
    tries: Try
    slow: bool

    @property
    def name(self) -> str:
        return self.tries.__name__


CLAIMS: list[Claim] = []


def claim(*ids: str, kinds: tuple[str, ...] = KINDS, slow: bool = False) -> Callable[[Try], Try]:
    """A function that tries these scenarios."""

    def keep(tries: Try) -> Try:
        CLAIMS.append(Claim(ids, kinds, tries, slow))
        return tries

    return keep
