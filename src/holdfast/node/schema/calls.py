"""Calls: as they go, and as they went. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis
from holdfast.node.schema.network import Line


class CallEntry(Struct, frozen=True, kw_only=True):
    """A call as the conversation remembers it."""

    outcome: Literal["talked", "missed", "unanswered", "declined", "busy", "lost", "failed"]
    duration: Millis = 0


class Call(Struct, frozen=True, kw_only=True):
    """A call that is going on, or has just ended. At most one at a time."""

    id: Id
    contact: Id
    outgoing: bool
    state: Literal["calling", "ringing", "connecting", "talking", "ended"]
    """calling: their node has not answered. ringing: it rings there, or (not outgoing) here.
    connecting: accepted, nothing was heard yet."""
    reason: Literal["", "hung-up", "declined", "busy", "missed", "unanswered", "lost", "failed"] = (
        ""
    )
    """Why it ended."""
    since: Millis = 0
    """When talking began."""
    muted: bool = False
    their_muted: bool = False
    line: Line = "whole"
    delay: Millis = 0
    """From mouth to ear, estimated, without the devices."""
    lost: int = 0
    """Of a hundred frames, how many did not come in time lately."""
    away: Millis = 0
    """Since when nothing comes from them, 0 while it does."""
    offline: bool = False
    """It is this side that has no network."""


class CallSample(Struct, frozen=True, kw_only=True):
    """How a call was at a moment, as this side heard it."""

    at: Millis
    """Of the call."""
    rung: str
    """How what they said was coded; "bursts" where it came in bursts."""
    way: Literal["live", "bursts", "none"]
    """How what was said here left."""
    delay: Millis
    lost: int


class CallMoment(Struct, frozen=True, kw_only=True):
    """Something that was decided in a call, and why."""

    at: Millis
    what: Literal["way", "no-way", "two-ways", "goes-on", "coding", "bursts", "live"]
    """way: by another way. no-way: there is no live one. two-ways: by two at once. goes-on: a
    silent one answers. coding: in another coding. bursts: in bursts. live: live again."""
    why: Literal[
        "start", "came", "gone", "answers", "silent", "all-silent", "none", "proved", "well",
        "queue", "calm", "lost", "lost-no-more", "behind", "too-much", "bursting",
    ]  # fmt: skip
    of: str = ""
    """The number of the way (of each relay of the call datagrams, and behind them the stream; 6 is
    straight to the other side), or the coding's name."""
    figures: list[int] = []
    """Of the reason: silent, all-silent, none, calm, behind: ms. well: s. queue: ms that it is
    long, kbit/s that get through. lost: of a hundred."""
    again: int = 0
    """Frames that are sent again."""


class CallStory(Struct, frozen=True, kw_only=True):
    """How a call went."""

    samples: list[CallSample] = []
    """About one a second; of long calls, fewer."""
    moments: list[CallMoment] = []
