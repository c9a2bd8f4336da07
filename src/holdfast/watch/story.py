"""Events that are one story: the same in several regions at once, as one headline and one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfast.core.report import FUNCTIONS
from holdfast.watch.event import Event, Hurt

APART: Final = 6 * 3600
"""Seconds within which events of one story begin."""


@dataclass(frozen=True)
class Story:
    """Events of one kind, the one with most behind it first."""

    events: tuple[Event, ...]

    @property
    def regions(self) -> tuple[str, ...]:
        """By code."""
        return tuple(sorted({event.region for event in self.events}))

    @property
    def whole(self) -> Event:
        """All as one: from the first start to the last end, with the functions of most of them."""
        main = self.events[0]
        if len(self.events) == 1:
            return main
        functions = self._mostly([one.functions for one in self.events]) or main.functions
        functions = tuple(sorted(functions, key=_order))
        start = min(one.started for one in self.events)
        hurt = tuple(Hurt(name, start) for name in functions)
        return msgspec.structs.replace(
            main,
            started=start,
            ended=0 if self.going else max(one.ended for one in self.events),
            hurt=hurt,
            operators=tuple(sorted(self._mostly([one.operators for one in self.events]))),
            unaffected=tuple(
                sorted(set.intersection(*(set(one.unaffected) for one in self.events)))
            ),
            well=tuple(sorted(set.intersection(*(set(one.well) for one in self.events)))),
            complaints=sum(one.complaints for one in self.events),
            expected=sum(one.expected for one in self.events),
            failed=sum(one.failed for one in self.events),
            measured=sum(one.measured for one in self.events),
        )

    def _mostly(self, each: list[tuple[str, ...]]) -> tuple[str, ...]:
        names = dict.fromkeys(name for some in each for name in some)
        return tuple(name for name in names if 2 * sum(name in s for s in each) > len(each))

    @property
    def going(self) -> bool:
        """Whether it goes on anywhere."""
        return any(not one.ended for one in self.events)


def _order(function: str) -> tuple[int, str]:
    return (FUNCTIONS.index(function) if function in FUNCTIONS else len(FUNCTIONS), function)


def stories(events: Iterable[Event]) -> list[Story]:
    """What goes on first, then the newest."""
    groups: list[list[Event]] = []
    for event in sorted(events, key=lambda one: (one.started, one.id)):
        for group in groups:
            first = group[0]
            if (
                event.kind == first.kind
                and event.started - first.started <= APART
                and bool(event.ended) == bool(first.ended)
                and set(event.functions) & set(first.functions)
                and event.region not in {one.region for one in group}
            ):
                group.append(event)
                break
        else:
            groups.append([event])
    found = [
        Story(tuple(sorted(group, key=lambda one: (-one.complaints - one.failed, one.id))))
        for group in groups
    ]
    return ordered(found)


def ordered(found: Iterable[Story]) -> list[Story]:
    """What goes on first, then the newest."""
    return sorted(found, key=lambda one: (not one.going, -one.events[0].started, one.regions))
