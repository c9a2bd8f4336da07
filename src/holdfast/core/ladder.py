"""Which path to a relay next. Pure.

For each place it remembers how each path fared. What failed rests, longer
each time, since a censor's silence is extended by trying again; what last worked goes first; after
a rest the better path is tried again. What is concluded from all that is in `core.judging`.
Sources: spec/paths.md, "The ladder".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from holdfast.core import judging
from holdfast.core.finding import Finding
from holdfast.core.seen import (
    HOP,
    LONGEST_REST,
    PATHS,
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

REST: Final = {
    "dns": 10_000, "refused": 2_000, "connect": 30_000, "timeout": 60_000, "tls": 60_000,
    "mute": 60_000, "closed": 20_000, "pin": 60_000, "upgrade": 60_000, "proxy": 2_000,
    "frozen": 120_000, "slow": 120_000, "lost": 30_000,
}  # fmt: skip
"""Milliseconds before a path is tried again at a place where others are left, by how it failed."""
HEAD_START: Final = 3_000
"""What the first path has before a second is tried beside it: never more than two at once."""
PATIENCE: Final = 7_000
"""What a path has while others wait that were not tried at all."""
FREEZE_BYTES: Final = 64 * 1024
"""A connection that goes silent before so much came was frozen, not merely lost."""
FREEZE_MS: Final = 40_000
ONE_EVENT: Final = 4_000
AT_ONCE: Final = 4_000
"""Where one that went silent was frozen, the next one stands so soon; where there is no network,
or none for a moment, it does not."""
FREEZES: Final = 2
"""So many are a censor's; one is a tunnel, or a lid that was closed."""
LATE: Final = 1_000
"""What a connection through another relay may take once that one is reached; where it takes longer,
the direct way goes first, and is left for it when it stands."""
NOTICED: Final = 10_000
"""After which it is seen at the latest that this machine is elsewhere, or slept."""


class PathMemory(Struct, array_like=True, frozen=True):
    """How one path fared, to be kept: as in `Path`, and the milliseconds it has to rest."""

    kind: str
    fails: int
    rest: int


class PlaceMemory(Struct, array_like=True, frozen=True):
    """How a place fared, to be kept: what worked last, whether a stream carried much, how many
    freezes lately, and each path."""

    last: str
    carried: bool
    froze: int
    paths: dict[str, PathMemory]


class Ladder:
    """Memory of one network; `paths` is what there is, the best first."""

    def __init__(self, paths: tuple[str, ...] = PATHS) -> None:
        self.paths = paths
        self.seen = Seen()

    # Which path.

    def order(self, place: str, now: int) -> list[str]:
        """All paths, in the order in which to try them: another relay between, unless none was
        reached or it came late; what worked last, there or, if nothing is known of it, elsewhere;
        the others, and those that rest."""
        known = self.seen.places.setdefault(place, Place())
        last = known.last or self._elsewhere(known)
        if last and known.paths.get(last, Path()).kind:
            last = ""
        first = "" if last and known.paths.get(HOP, Path()).kind in ("proxy", "late") else HOP

        def key(path: str) -> tuple[int, bool, bool, int]:
            resting = max(0, known.paths.get(path, Path()).until - now)
            return (resting, path != first, path != last, self._rank(path))

        return sorted(self.paths, key=key)

    def _elsewhere(self, known: Place) -> str:
        """The path that other places were reached by, if it failed nowhere and nothing was tried
        at this one; "" if there is none."""
        if any(one.kind for path, one in known.paths.items() if path != HOP):
            return ""
        found = {one.last for one in self.seen.places.values() if one.last}
        if len(found) != 1 or found <= set(STREAMS[:1]):
            return ""
        (last,) = found
        kinds = {one.paths[last].kind for one in self.seen.places.values() if last in one.paths}
        return "" if kinds - {""} else last

    def rests(self, place: str, path: str, now: int) -> bool:
        """Whether the path failed there too lately to be tried for anything but need."""
        known = self.seen.places.get(place, Place())
        return known.paths.get(path, Path()).until > now

    def knows(self, place: str, path: str) -> bool:
        """Whether the path is known to work there."""
        known = self.seen.places.get(place, Place()).paths.get(path)
        return known is not None and not known.kind

    def cut(self, place: str, now: int) -> int:
        """How many streams were cut there, or not answered, and rest."""
        known = self.seen.places.get(place, Place()).paths
        return sum(
            known[path].kind in SILENT | {"tls", "closed"} and known[path].until > now
            for path in STREAMS
            if path in known
        )

    def resting(self, place: str, now: int) -> int:
        """How long until a stream to there has rested enough, in milliseconds."""
        known = self.seen.places.get(place, Place())
        untils = (known.paths.get(path, Path()).until for path in STREAMS)
        return max(0, min(untils) - now)

    def better(self, place: str, path: str, now: int) -> str:
        """The best path that failed and has rested enough to be tried again beside this one, which
        is worse; or a stream that was never tried, beside what is none and unless two of them
        were cut. "" if there is none."""
        known = self.seen.places.get(place, Place())
        cut = self.cut(place, now) > 1
        untried = () if cut or path in (HOP, *STREAMS) else STREAMS
        for name in self.paths[: self._rank(path)]:
            one = known.paths.get(name)
            if one is not None and one.kind and one.until <= now:
                return name
            if one is None and name in untried:
                return name
        return ""

    def instead(self, place: str, path: str, now: int) -> str:
        """Which path to try beside this one, which is in use: a better one or, if it was found to
        crawl, the next one. "" if there is none."""
        if not self.rests(place, path, now):
            return self.better(place, path, now)
        others = [one for one in self.order(place, now) if one != path]
        if self.seen.at(place, path).kind == "slow":  # small exchanges are no faster
            others = [one for one in others if one != SMALL and not self.rests(place, one, now)]
        return next(iter(others), "")

    def _rank(self, path: str) -> int:
        return self.paths.index(path)

    # What is kept.

    def memory(self, now: int) -> dict[str, PlaceMemory]:
        """All that is worth keeping, for `recall`."""
        found = {}
        for name, place in self.seen.places.items():
            paths = {
                path: PathMemory(one.kind, one.fails, max(0, one.until - now))
                for path, one in place.paths.items()
                if one.kind or one.worked or path == place.last
            }
            froze = sum(now - at < REMEMBERED for at in place.froze)
            if paths:
                found[name] = PlaceMemory(place.last, place.carried, froze, paths)
        return found

    def recall(self, memory: Mapping[str, PlaceMemory], ago: int, now: int) -> None:
        """Know what was kept `ago` milliseconds before, and nothing else: this is that network."""
        self.seen.controls.clear()
        self.seen.places = {}
        self.learn(memory, ago, now)

    def learn(self, memory: Mapping[str, PlaceMemory], ago: int, now: int) -> None:
        """Know this of places of which nothing is known."""
        for name, kept in memory.items():
            if self.seen.places.get(name, Place()).paths:
                continue
            place = self.seen.places[name] = Place(carried=kept.carried)
            for path, one in kept.paths.items():
                if path in self.paths:
                    rest = max(0, min(one.rest, LONGEST_REST) - ago)
                    fails = max(0, min(one.fails, 10))
                    failed = now if rest else now - LONGEST_REST
                    place.paths[path] = Path(fails, now + rest, one.kind, failed)
            if kept.last in place.paths and kept.last != HOP:
                place.last = kept.last
            if ago < REMEMBERED:
                place.froze = [now] * min(kept.froze, FREEZES)

    # What happened.

    def worked(self, place: str, path: str, now: int, second: bool = False, took: int = 0) -> None:
        """A connection stands; `second`: beside one that is in use, and stays the first choice;
        `took`: milliseconds since the one stood that it leads through."""
        one = self.seen.at(place, path)
        one.worked = now
        one.up += 1
        if one.kind != "frozen":
            _forget(one)
        if took >= LATE:
            one.kind = "late"
        self.heard(place, path, now)
        known = self.seen.places[place]
        if not second:
            known.last = known.last if path == HOP else path
            self.answered(place, path, now)

    def heard(self, place: str, path: str, now: int) -> None:
        """Something came over a connection: the place is alive, and what failed there before did
        so for another reason. Once a second is enough."""
        for other, one in self.seen.places.get(place, Place()).paths.items():
            if other != path and one.kind:
                one.outlived = one.failed

    def answered(self, place: str, path: str, now: int) -> None:
        """A connection brings something that was new, or was not used before."""
        known = self.seen.places.setdefault(place, Place())
        if known.stalled and path in STREAMS:
            at, known.stalled = known.stalled, 0
            if now - at <= AT_ONCE:
                self._froze(place, at)

    def lasted(self, place: str, path: str, now: int) -> None:
        """A connection carried more than what a freeze lets pass, or stood for long."""
        one = self.seen.at(place, path)
        _forget(one)
        self.seen.places[place].froze = []
        self.seen.places[place].carried = path in STREAMS

    def failed(self, place: str, path: str, kind: str, now: int) -> None:
        """A connection could not be made, for a reason as in `paths.base.Kind`."""
        one = self.seen.at(place, path)
        one.fails += 1
        one.kind, one.failed = kind, now
        one.beside = any(other.up for other in self.seen.places[place].paths.values())
        rest = REST.get(kind, 20_000) << min(one.fails - 1, 6)
        one.until = now + min(rest, LONGEST_REST)

    def ended(self, place: str, path: str, stalled: bool, size: int, age: int, now: int) -> None:
        """A connection is over: after so many bytes both ways and so long; `stalled`: it went
        silent with something unanswered."""
        one = self.seen.at(place, path)
        one.up = max(0, one.up - 1)
        one.worked = now
        if path == HOP and stalled:
            self.failed(place, path, "closed", now)
        if path == QUIC and stalled:
            self.failed(place, path, "lost", now)
        if not stalled or size >= FREEZE_BYTES or age >= FREEZE_MS or path not in STREAMS:
            return
        if self.seen.crawls(place, self.paths, now) and self.seen.slow(now) >= SURE:
            return  # on a full line answers are late
        known = self.seen.places[place]
        if one.kind == "frozen" or any(now - at < REMEMBERED for at in known.froze):
            self._froze(place, now)
        else:
            known.stalled = now

    def _froze(self, place: str, now: int) -> None:
        known = self.seen.places[place]
        if known.froze and now - known.froze[-1] < ONE_EVENT:
            return  # connections beside each other froze together
        known.carried = False
        known.froze = [*(at for at in known.froze if now - at < REMEMBERED), now]
        again = any(known.paths.get(path, Path()).kind == "frozen" for path in STREAMS)
        if len(known.froze) >= FREEZES or again:
            # Streams are frozen alike, whatever their fingerprint, and at other places as well
            # unless one carried much there.
            alike = [name for name, one in self.seen.places.items() if not one.carried]
            for where in {place, *alike}:
                for other in STREAMS:
                    if other in self.paths:
                        self.failed(where, other, "frozen", now)

    def rate(self, place: str, path: str, bits: float, now: int) -> None:
        """What came in a second while there was more to come. A slow way by another relay rests,
        unless the direct one is known to be slow as well; slow streams do, unless UDP is."""
        one = self.seen.at(place, path)
        one.rate, one.rated = bits, now
        if not one.slow:
            one.slowed = now
        one.slow = one.slow + 1 if bits < SLOW else 0
        if path == HOP and bits < SLOW and not self.seen.crawls(place, STREAMS, now):
            self.failed(place, HOP, "slow", now)
        if path in STREAMS and one.slow >= SURE and QUIC in self.paths:
            known = self.seen.rate(place, (QUIC,), now)
            if not self.rests(place, QUIC, now) and (known is None or known >= SLOW):
                for other in STREAMS:
                    self.failed(place, other, "slow", now)

    def held(self, place: str, path: str, now: int) -> None:
        """What is sent leaves slowly. That may be the line, so nobody is accused of it; but the
        path rests, with those like it, if there is another kind that is not known for that."""
        self.seen.at(place, path).held = now
        known = self.seen.places[place].paths

        def free(kind: Sequence[str]) -> bool:
            there = [known.get(one, Path()) for one in kind if one in self.paths]
            reached = kind != (HOP,) or (HOP in known and known[HOP].worked > 0)
            lately = any(one.held and now - one.held < LONGEST_REST for one in there)
            return reached and not lately and any(one.until <= now for one in there)

        kinds = ((HOP,), STREAMS, (QUIC,))
        if any(path not in kind and free(kind) for kind in kinds):
            for other in next((kind for kind in kinds if path in kind), ()):
                if other in self.paths:
                    self.failed(place, other, "slow", now)

    def suspect(self, place: str, path: str, now: int) -> bool:
        """Whether a connection there should be measured: something was slow lately, or it was,
        once only."""
        unknown = self.seen.rate(place, (path,), now) is None
        known = self.seen.places.get(place, Place())
        if (
            any(one.held and now - one.held < REMEMBERED for one in known.paths.values())
            and unknown
        ):
            return True  # what is sent there leaves slowly
        if self.seen.crawls(place, self.paths, now):
            return unknown or self.seen.slow(now) < SURE
        return (
            unknown and self.seen.slow(now) > 0
        )  # is it slow as well, or the other one by itself?

    def control(
        self, kind: Literal["domestic", "foreign"], ok: bool, bits: float, now: int
    ) -> None:
        """Whether a place that nobody blocks could be reached, and how fast it was (0: unknown)."""
        self.seen.controls[kind] = (ok, bits, now)

    def moved(self, now: int) -> None:
        """This machine slept, or is elsewhere: what failed until that was seen, and what controls
        said before, counts for nothing."""
        self.seen.controls.clear()
        for place in self.seen.places.values():
            for one in place.paths.values():
                if one.kind and now - one.failed < NOTICED:
                    _forget(one)

    def finding(self, now: int) -> Finding:
        """What is going on with the relays, from what was seen lately."""
        return judging.judge(self.seen, self.paths, now)


def _forget(one: Path) -> None:
    """How it failed."""
    one.kind, one.fails, one.until, one.outlived = "", 0, 0, 0
