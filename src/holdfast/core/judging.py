"""What a network does, concluded from what was seen of it, in one word with its evidence. Pure.
Sources: spec/paths.md, "The ladder"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.core.finding import Fact, Finding, Verdict
from holdfast.core.seen import (
    HOP,
    LONGEST_REST,
    QUIC,
    REMEMBERED,
    SILENT,
    SLOW,
    SMALL,
    STREAMS,
    SURE,
    Path,
    Place,
    Seen,
)

FASTER: Final = 10
CLEARLY: Final = 3
"""So many times as fast, and not slow, another relay shows that one is slow by itself."""
FLAPS: Final = 15_000
"""Attempts that ended so soon after another relay was reached, or a control answered, may have
begun before there was a network."""
CONTROLS: Final = ("domestic", "foreign")
TELLING: Final = STREAMS[:2]
"""Paths that tell a handshake that is not answered from silence behind it."""
_FIRST: Final = (
    "freeze", "fingerprint", "throttled", "learned", "allowlist", "name-block", "address-block",
    "dns-block", "udp-block", "clear", "impostor", "away",
)  # fmt: skip
"""What is said, if places differ."""


def judge(seen: Seen, paths: tuple[str, ...], now: int) -> Finding:
    """What is going on with the relays; `paths` is what there is, the best first."""
    return _Judge(seen, paths, now).finding()


@dataclass(frozen=True)
class _Judge:
    seen: Seen
    paths: tuple[str, ...]
    now: int

    def _rank(self, path: str) -> int:
        return self.paths.index(path)

    def finding(self) -> Finding:
        """Of all places together."""
        places = {
            name: place
            for name, place in self.seen.places.items()
            if any(
                self.now - max(one.worked, one.failed) < REMEMBERED for one in place.paths.values()
            )
        }
        if not places:
            return Finding("unknown")
        up = [name for name, place in places.items() if any(p.up for p in place.paths.values())]
        if not up and (portal := self._portal(places)):
            return portal
        found = [self._place(name, places[name]) for name in up or places]
        found += [self._lost(name, places[name]) for name in places if up and name not in up]
        found.sort(key=lambda one: _FIRST.index(one.verdict) if one.verdict in _FIRST else 99)
        return found[0]

    def _portal(self, places: dict[str, Place]) -> Finding | None:
        """Whether something answers in the place of every relay, as a login page does."""
        kinds = {
            name: {
                one.kind
                for path, one in place.paths.items()
                if path not in (HOP, QUIC) and one.kind
            }
            for name, place in places.items()
        }
        if len(kinds) < 2 or any(
            not seen or not seen <= {"upgrade", "pin"} for seen in kinds.values()
        ):
            return None
        return Finding("portal", tuple(Fact(name, "upgrade") for name in kinds))

    def _place(self, name: str, place: Place) -> Finding:
        kinds = {
            path: one.kind
            for path, one in place.paths.items()
            if one.kind and path != HOP and self.now - one.failed < LONGEST_REST
        }
        facts = tuple(Fact(name, kind, path) for path, kind in kinds.items())
        working = [path for path, one in place.paths.items() if one.up]
        working.sort(key=self._rank)
        if working:
            return self._working(name, place, working, kinds, facts)
        if slow := self._throttled(name):
            return Finding("throttled", (*slow, *self._said()))
        # What TCP met tells more: behind many addresses nobody listens to UDP.
        seen = {kind for path, kind in kinds.items() if path != QUIC} or set(kinds.values())
        hellos = sum(kinds.get(path) in ("mute", "tls", "closed") for path in (*STREAMS, SMALL))
        return Finding(self._blocked(seen, hellos), (*facts, *self._said()))

    def _lost(self, name: str, place: Place) -> Finding:
        """Of a place that is not reached while others are. Whether another relay reaches it tells
        a block from a relay that is down."""
        between = place.paths.get(HOP)
        if between is not None and self.now - between.failed < REMEMBERED:
            if between.kind in ("connect", "refused", "dns", "timeout", "tls", "mute"):
                return Finding("away", (Fact(name, "unreached"),))
            if between.kind != "proxy" or self._asks(name):
                return Finding("clear")  # not known yet
        tried = [one for path, one in place.paths.items() if path not in (HOP, QUIC) and one.fails]
        silent = {one.kind for one in tried} <= SILENT | {"tls", "frozen"}
        since = self._reached_before(name, max((one.failed for one in tried), default=0))
        if place.carried and tried and silent and since:
            return Finding("learned", (Fact(name, "over"),))
        return Finding("clear")

    def _asks(self, name: str) -> bool:
        """Whether another relay is reached directly, and can be asked."""
        return any(
            one.up
            for other, place in self.seen.places.items()
            for path, one in place.paths.items()
            if other != name and path in STREAMS
        )

    def _working(
        self,
        name: str,
        place: Place,
        working: list[str],
        kinds: dict[str, str],
        facts: tuple[Fact, ...],
    ) -> Finding:
        if "frozen" in kinds.values():
            return Finding("freeze", facts)
        if slow := self._throttled(name):
            return Finding("throttled", (*slow, *self._said()))
        direct = next((path for path in working if path != HOP), HOP)
        works = (*facts, Fact(name, "works", direct))
        if direct == HOP:
            return self._between(name, place, kinds, (*works, *self._said()))
        tried = {kind for path, kind in kinds.items() if path in STREAMS}
        if direct == QUIC and tried and tried <= SILENT | {"tls", "closed"}:
            shaken = any(kinds.get(path) == "timeout" for path in TELLING)
            if tried & {"tls", "mute"} and not shaken:
                nowhere = all(self.seen.ok(one, self.now) is False for one in CONTROLS)
                return Finding("fingerprint" if nowhere else "name-block", (*works, *self._said()))
            # Nobody may have answered to TCP because there was no network yet.
            failed = max(one.failed for path, one in place.paths.items() if path in STREAMS)
            if failed >= place.paths[QUIC].worked + FLAPS:
                return Finding("address-block", works)
            return Finding("clear", (Fact(name, "works", QUIC),))
        better = {
            kind
            for path in self.paths[: self._rank(direct)]
            if (kind := kinds.get(path, "")) not in SILENT or place.paths[path].beside
        }
        by_udp = kinds.get(QUIC, "")
        if self.seen.crawls(name, self.paths, self.now):  # on a full line what is new has to wait
            better -= SILENT
            by_udp = ""
        if better & (SILENT - {"connect"} | {"tls", "closed"}):
            return Finding("fingerprint", works)
        if direct in STREAMS and by_udp in SILENT | {"lost"}:
            return Finding("udp-block", works)
        return Finding("clear", (Fact(name, "works", working[0]),))

    def _between(
        self, name: str, place: Place, kinds: dict[str, str], works: tuple[Fact, ...]
    ) -> Finding:
        """Of a place that another relay reaches: what became of the streams that were tried, before
        it was heard by that one."""
        tried = [kinds[path] for path in STREAMS if path in kinds and place.paths[path].outlived]
        seen = set(tried)
        if seen == {"dns"}:
            return Finding("dns-block", works)
        alike = "connect" in seen or len(tried) > 1  # before the first words all are
        failed = max(place.paths.get(path, Path()).outlived for path in STREAMS)
        if not (seen and seen <= SILENT | {"tls", "frozen"} and alike) or not self._reached_before(
            name, failed
        ):
            return Finding("clear", (Fact(name, "works", HOP),))
        if any(one.worked for path, one in place.paths.items() if path in STREAMS):
            return Finding("learned", works)
        if self.seen.ok("foreign", self.now) is False and self.seen.ok("domestic", self.now):
            return Finding("allowlist", works)
        return Finding("name-block" if seen & {"tls", "mute"} else "address-block", works)

    def _reached_before(self, name: str, failed: int) -> bool:
        """Whether what failed there did so while other relays were reached, and not just before."""
        there = [
            one.worked
            for other, known in self.seen.places.items()
            for path, one in known.paths.items()
            if other != name and path != HOP and one.up
        ]
        return bool(there) and failed >= max(there) + FLAPS

    def _throttled(self, name: str) -> tuple[Fact, ...]:
        """That a relay is slow by itself, while others and what nobody blocks are not."""
        rate = self.seen.rate(name, STREAMS, self.now) or self.seen.rate(name, (QUIC,), self.now)
        fast = max((c[1] for c in self.seen.controls.values()), default=0)
        if rate is None or rate >= SLOW or self.seen.slow(self.now) < SURE:
            return ()
        by_udp = self.seen.rate(name, (QUIC,), self.now)
        if by_udp and by_udp > FASTER * rate:
            return (Fact(name, "crawls", kbits=round(rate / 1000)),)  # the same machine is fast
        if fast <= FASTER * rate:
            return ()
        up = [
            one
            for one, place in self.seen.places.items()
            if any(p.up for p in place.paths.values())
        ]
        if any(self.seen.direct(one, self.now) is None for one in up):
            return ()  # not known yet whether it is this one alone
        others = [self.seen.direct(one, self.now) for one in self.seen.places if one != name]
        by_hop = self.seen.rate(name, (HOP,), self.now)
        if any(one and one > max(2 * SLOW, CLEARLY * rate) for one in others) and not (
            by_hop and by_hop > FASTER * rate
        ):
            return ()  # another relay is fast, and not in reaching this one: it is slow itself
        return (Fact(name, "crawls", kbits=round(rate / 1000)),)

    def _blocked(self, kinds: set[str], hellos: int) -> Verdict:
        """`hellos`: so many kinds of streams were cut, or not answered, at their first words."""
        domestic, foreign = self._since("domestic"), self._since("foreign")
        if kinds & {"pin"}:
            return "impostor"
        if kinds <= {"refused", "upgrade"} and kinds:
            return "away"
        if domestic is False and foreign is not True:
            # Where there is no network, nobody answers to TCP; here it is our hellos.
            shakes = hellos > 1 and not kinds & {"connect", "dns"}
            return "fingerprint" if shakes else "offline"
        if foreign is False and domestic:
            return "allowlist"
        if "frozen" in kinds and not kinds & {"connect", "dns"}:
            return "freeze"
        if kinds == {"dns"}:
            return "dns-block" if foreign or domestic else "offline"
        if hellos > 1:
            return "name-block"
        if kinds & {"timeout", "connect", "frozen"}:
            there = (foreign or domestic) and self._fails_on()
            return "address-block" if there else "offline"
        return "unknown"

    def _since(self, kind: str) -> bool | None:
        """Whether such a place answered, if it was looked at since a relay was reached last."""
        last = max(
            (one.worked for place in self.seen.places.values() for one in place.paths.values()),
            default=0,
        )
        looked = self.seen.controls.get(kind, (False, 0.0, 0))[2]
        return self.seen.ok(kind, self.now) if looked >= last else None

    def _fails_on(self) -> bool:
        """Whether something failed so long after a place that nobody blocks answered that it had
        begun after it: before, there may have been no network."""
        answered = [
            at for ok, _, at in self.seen.controls.values() if ok and self.now - at < REMEMBERED
        ]
        failed = [one.failed for place in self.seen.places.values() for one in place.paths.values()]
        return max(failed, default=0) >= min(answered, default=self.now) + FLAPS

    def _said(self) -> tuple[Fact, ...]:
        return tuple(
            Fact(kind, "answers" if ok else "silent")
            for kind in CONTROLS
            if (ok := self.seen.ok(kind, self.now)) is not None
        )
