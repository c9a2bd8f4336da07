"""Which path to a relay next, and what the network is doing, in one word. Pure.

For each place (a relay's host and port) it remembers how each path fared. What failed rests, longer
each time, since a censor's silence is extended by trying again; what last worked goes first; after
a rest the better path is tried again. Times are milliseconds of any clock. Sources: spec/paths.md,
"The ladder".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import Struct

from holdfast.core.finding import Fact, Finding, Verdict

Control = Literal["domestic", "foreign"]
STREAMS: Final = ("websocket", "classic", "browser")
"""Paths whose connections last, in the order of preference."""
SMALL: Final = "micro"
HOP: Final = "hop"
"""By another relay, which is reached by a path of its own."""
QUIC: Final = "quic"
"""Over UDP. It costs more than a stream, and has datagrams."""
PATHS: Final = (HOP, *STREAMS, QUIC, SMALL)
REST: Final = {
    "dns": 10_000, "refused": 2_000, "connect": 30_000, "timeout": 60_000, "tls": 60_000,
    "mute": 60_000, "closed": 20_000, "pin": 60_000, "upgrade": 60_000, "proxy": 2_000,
    "frozen": 120_000, "slow": 120_000, "lost": 30_000,
}  # fmt: skip
"""Milliseconds before a path is tried again at a place where others are left, by how it failed."""
LONGEST_REST: Final = 600_000
SILENT: Final = frozenset({"connect", "mute", "timeout"})
"""Failures in which nobody said anything."""
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
REMEMBERED: Final = 300_000
"""How long what was seen counts for the verdict."""
SLOW: Final = 160_000
"""Bits a second below which a place is throttled, if another is much faster."""
FASTER: Final = 10
CLEARLY: Final = 3
"""So many times as fast, and not slow, another relay shows that one is slow by itself."""
SURE: Final = 2
"""Measurements that find it slow before that is said: one may be of a moment."""
NOTICED: Final = 10_000
"""After which it is seen at the latest that this machine is elsewhere, or slept."""
FLAPS: Final = 15_000
"""Attempts that ended so soon after another relay was reached, or a control answered, may have
begun before there was a network."""


@dataclass
class _Path:
    """How one path fares at one place."""

    fails: int = 0
    until: int = 0
    kind: str = ""
    """Of the last failure; empty after a success."""
    failed: int = 0
    worked: int = 0
    """When last; 0: never."""
    up: int = 0
    """Connections that stand."""
    rate: float = 0
    """Bits a second that came, when it was measured last."""
    rated: int = 0
    slow: int = 0
    """Measurements in a row that found it slow."""


@dataclass
class _Place:
    paths: dict[str, _Path] = field(default_factory=dict)
    last: str = ""
    """The path that worked last, without another relay between."""
    stalled: int = 0
    """When a connection went silent that may have been frozen; 0: none since one worked."""
    froze: list[int] = field(default_factory=list)
    """When connections did, lately, with none since that lasted."""
    carried: bool = False
    """A stream carried much since the last freeze."""


class PathMemory(Struct, array_like=True, frozen=True):
    """How one path fared, to be kept: as in `_Path`, and the milliseconds it has to rest."""

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
        self._places: dict[str, _Place] = {}
        self._controls: dict[str, tuple[bool, float, int]] = {}

    def _at(self, place: str, path: str) -> _Path:
        return self._places.setdefault(place, _Place()).paths.setdefault(path, _Path())

    # Which path.

    def order(self, place: str, now: int) -> list[str]:
        """All paths, in the order in which to try them: another relay between, unless none was
        reached; what worked last, there or, if nothing is known of it, elsewhere; the others, and
        those that rest."""
        known = self._places.setdefault(place, _Place())
        last = known.last or self._elsewhere(known)
        if last and known.paths.get(last, _Path()).kind:
            last = ""
        first = "" if last and known.paths.get(HOP, _Path()).kind == "proxy" else HOP

        def key(path: str) -> tuple[int, bool, bool, int]:
            resting = max(0, known.paths.get(path, _Path()).until - now)
            return (resting, path != first, path != last, self._rank(path))

        return sorted(self.paths, key=key)

    def _elsewhere(self, known: _Place) -> str:
        """The path that other places were reached by, if it failed nowhere and nothing was tried
        at this one; "" if there is none."""
        if any(one.kind for path, one in known.paths.items() if path != HOP):
            return ""
        found = {one.last for one in self._places.values() if one.last}
        if len(found) != 1 or found <= set(STREAMS[:1]):
            return ""
        (last,) = found
        kinds = {one.paths[last].kind for one in self._places.values() if last in one.paths}
        return "" if kinds - {""} else last

    def rests(self, place: str, path: str, now: int) -> bool:
        """Whether the path failed there too lately to be tried for anything but need."""
        known = self._places.get(place, _Place())
        return known.paths.get(path, _Path()).until > now

    def knows(self, place: str, path: str) -> bool:
        """Whether the path is known to work there."""
        known = self._places.get(place, _Place()).paths.get(path)
        return known is not None and not known.kind

    def cut(self, place: str, now: int) -> int:
        """How many streams were cut there, or not answered, and rest."""
        known = self._places.get(place, _Place()).paths
        return sum(
            known[path].kind in SILENT | {"tls", "closed"} and known[path].until > now
            for path in STREAMS
            if path in known
        )

    def resting(self, place: str, now: int) -> int:
        """How long until a stream to there has rested enough, in milliseconds."""
        known = self._places.get(place, _Place())
        untils = (known.paths.get(path, _Path()).until for path in STREAMS)
        return max(0, min(untils) - now)

    def better(self, place: str, path: str, now: int) -> str:
        """The best path that failed and has rested enough to be tried again beside this one, which
        is worse; or a stream that was never tried, beside what is none and unless two of them
        were cut. "" if there is none."""
        known = self._places.get(place, _Place())
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
        if self._at(place, path).kind == "slow":  # small exchanges are no faster
            others = [one for one in others if one != SMALL and not self.rests(place, one, now)]
        return next(iter(others), "")

    def _rank(self, path: str) -> int:
        return self.paths.index(path)

    # What is kept.

    def memory(self, now: int) -> dict[str, PlaceMemory]:
        """All that is worth keeping, for `recall`."""
        found = {}
        for name, place in self._places.items():
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
        self._controls.clear()
        self._places = {}
        self.learn(memory, ago, now)

    def learn(self, memory: Mapping[str, PlaceMemory], ago: int, now: int) -> None:
        """Know this of places of which nothing is known."""
        for name, kept in memory.items():
            if self._places.get(name, _Place()).paths:
                continue
            place = self._places[name] = _Place(carried=kept.carried)
            for path, one in kept.paths.items():
                if path in self.paths:
                    rest = max(0, min(one.rest, LONGEST_REST) - ago)
                    fails = max(0, min(one.fails, 10))
                    failed = now if rest else now - LONGEST_REST
                    place.paths[path] = _Path(fails, now + rest, one.kind, failed)
            if kept.last in place.paths and kept.last != HOP:
                place.last = kept.last
            if ago < REMEMBERED:
                place.froze = [now] * min(kept.froze, FREEZES)

    # What happened.

    def worked(self, place: str, path: str, now: int, second: bool = False) -> None:
        """A connection stands; `second`: beside one that is in use, and stays the first choice."""
        one = self._at(place, path)
        one.worked = now
        one.up += 1
        if one.kind != "frozen":
            one.kind, one.fails, one.until = "", 0, 0
        known = self._places[place]
        if not second:
            known.last = known.last if path == HOP else path
            self.answered(place, path, now)

    def answered(self, place: str, path: str, now: int) -> None:
        """A connection brings something that was new, or was not used before."""
        known = self._places.setdefault(place, _Place())
        if known.stalled and path in STREAMS:
            at, known.stalled = known.stalled, 0
            if now - at <= AT_ONCE:
                self._froze(place, at)

    def lasted(self, place: str, path: str, now: int) -> None:
        """A connection carried more than what a freeze lets pass, or stood for long."""
        one = self._at(place, path)
        one.kind, one.fails, one.until = "", 0, 0
        self._places[place].froze = []
        self._places[place].carried = path in STREAMS

    def failed(self, place: str, path: str, kind: str, now: int) -> None:
        """A connection could not be made, for a reason as in `paths.base.Kind`."""
        one = self._at(place, path)
        one.fails += 1
        one.kind, one.failed = kind, now
        rest = REST.get(kind, 20_000) << min(one.fails - 1, 6)
        one.until = now + min(rest, LONGEST_REST)

    def ended(self, place: str, path: str, stalled: bool, size: int, age: int, now: int) -> None:
        """A connection is over: after so many bytes both ways and so long; `stalled`: it went
        silent with something unanswered."""
        one = self._at(place, path)
        one.up = max(0, one.up - 1)
        one.worked = now
        if path == HOP and stalled:
            self.failed(place, path, "closed", now)
        if path == QUIC and stalled:
            self.failed(place, path, "lost", now)
        if not stalled or size >= FREEZE_BYTES or age >= FREEZE_MS or path not in STREAMS:
            return
        if self._crawls(place, self.paths, now) and self._slow(now) >= SURE:
            return  # on a full line answers are late
        known = self._places[place]
        if one.kind == "frozen" or any(now - at < REMEMBERED for at in known.froze):
            self._froze(place, now)
        else:
            known.stalled = now

    def _froze(self, place: str, now: int) -> None:
        known = self._places[place]
        if known.froze and now - known.froze[-1] < ONE_EVENT:
            return  # connections beside each other froze together
        known.carried = False
        known.froze = [*(at for at in known.froze if now - at < REMEMBERED), now]
        again = any(known.paths.get(path, _Path()).kind == "frozen" for path in STREAMS)
        if len(known.froze) >= FREEZES or again:
            # Streams are frozen alike, whatever their fingerprint, and at other places as well
            # unless one carried much there.
            alike = [name for name, one in self._places.items() if not one.carried]
            for where in {place, *alike}:
                for other in STREAMS:
                    if other in self.paths:
                        self.failed(where, other, "frozen", now)

    def rate(self, place: str, path: str, bits: float, now: int) -> None:
        """What came in a second while there was more to come. A slow way by another relay rests,
        unless the direct one is known to be slow as well; slow streams do, unless UDP is."""
        one = self._at(place, path)
        one.rate, one.rated = bits, now
        one.slow = one.slow + 1 if bits < SLOW else 0
        if path == HOP and bits < SLOW and not self._crawls(place, STREAMS, now):
            self.failed(place, HOP, "slow", now)
        if path in STREAMS and one.slow >= SURE and QUIC in self.paths:
            known = self._rate(place, (QUIC,), now)
            if not self.rests(place, QUIC, now) and (known is None or known >= SLOW):
                for other in STREAMS:
                    self.failed(place, other, "slow", now)

    def suspect(self, place: str, path: str, now: int) -> bool:
        """Whether a connection there should be measured: something was slow lately, or it was,
        once only."""
        unknown = self._rate(place, (path,), now) is None
        if self._crawls(place, self.paths, now):
            return unknown or self._slow(now) < SURE
        return unknown and self._slow(now) > 0  # is it slow as well, or the other one by itself?

    def _slow(self, now: int) -> int:
        """Measurements that found something slow lately."""
        return sum(
            one.slow
            for place in self._places.values()
            for one in place.paths.values()
            if now - one.rated < REMEMBERED
        )

    def _rate(self, place: str, paths: Sequence[str], now: int) -> float | None:
        """The last known of these paths."""
        known = self._places.get(place, _Place())
        rated = [one for path in paths if (one := known.paths.get(path)) and one.rate]
        last = max(rated, key=lambda one: one.rated, default=_Path())
        return last.rate if last.rate and now - last.rated < REMEMBERED else None

    def _direct(self, place: str, now: int) -> float | None:
        """How fast it is by itself. A slow way through another relay may be that one's fault."""
        for paths in (STREAMS, (QUIC,)):
            if (rate := self._rate(place, paths, now)) is not None:
                return rate
        by_hop = self._rate(place, (HOP,), now)
        return by_hop if by_hop is not None and by_hop >= SLOW else None

    def _crawls(self, place: str, paths: Sequence[str], now: int) -> bool:
        rate = self._rate(place, paths, now)
        return rate is not None and rate < SLOW

    def control(
        self, kind: Literal["domestic", "foreign"], ok: bool, bits: float, now: int
    ) -> None:
        """Whether a place that nobody blocks could be reached, and how fast it was (0: unknown)."""
        self._controls[kind] = (ok, bits, now)

    def moved(self, now: int) -> None:
        """This machine slept, or is elsewhere: what failed until that was seen, and what controls
        said before, counts for nothing."""
        self._controls.clear()
        for place in self._places.values():
            for one in place.paths.values():
                if one.kind and now - one.failed < NOTICED:
                    one.kind, one.fails, one.until = "", 0, 0

    # The verdict.

    def finding(self, now: int) -> Finding:
        """What is going on with the relays, from what was seen lately."""
        places = {
            name: place
            for name, place in self._places.items()
            if any(now - max(one.worked, one.failed) < REMEMBERED for one in place.paths.values())
        }
        if not places:
            return Finding("unknown")
        up = [name for name, place in places.items() if any(p.up for p in place.paths.values())]
        if not up and (portal := self._portal(places)):
            return portal
        found = [self._place(name, places[name], now) for name in up or places]
        found += [self._lost(name, places[name], now) for name in places if up and name not in up]
        found.sort(key=lambda one: _FIRST.index(one.verdict) if one.verdict in _FIRST else 99)
        return found[0]

    def _portal(self, places: dict[str, _Place]) -> Finding | None:
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

    def _place(self, name: str, place: _Place, now: int) -> Finding:
        kinds = {
            path: one.kind
            for path, one in place.paths.items()
            if one.kind and path != HOP and now - one.failed < LONGEST_REST
        }
        facts = tuple(Fact(name, kind, path) for path, kind in kinds.items())
        working = [path for path, one in place.paths.items() if one.up]
        working.sort(key=self._rank)
        if working:
            return self._working(name, place, working, kinds, facts, now)
        if slow := self._throttled(name, now):
            return Finding("throttled", (*slow, *self._said(now)))
        # What TCP met tells more: behind many addresses nobody listens to UDP.
        seen = {kind for path, kind in kinds.items() if path != QUIC} or set(kinds.values())
        hellos = sum(kinds.get(path) in ("mute", "tls", "closed") for path in (*STREAMS, SMALL))
        return Finding(self._blocked(seen, hellos, now), (*facts, *self._said(now)))

    def _lost(self, name: str, place: _Place, now: int) -> Finding:
        """Of a place that is not reached while others are. Whether another relay reaches it tells
        a block from a relay that is down."""
        between = place.paths.get(HOP)
        if between is not None and now - between.failed < REMEMBERED:
            if between.kind in ("connect", "refused", "dns", "timeout", "tls", "mute"):
                return Finding("away", (Fact(name, "unreached"),))
            if between.kind != "proxy" or self._asks(name):
                return Finding("clear")  # not known yet
        tried = {
            one.kind for path, one in place.paths.items() if path not in (HOP, QUIC) and one.fails
        }
        if place.carried and tried and tried <= SILENT | {"tls", "frozen"}:
            return Finding("learned", (Fact(name, "over"),))
        return Finding("clear")

    def _asks(self, name: str) -> bool:
        """Whether another relay is reached directly, and can be asked."""
        return any(
            one.up
            for other, place in self._places.items()
            for path, one in place.paths.items()
            if other != name and path in STREAMS
        )

    def _working(
        self,
        name: str,
        place: _Place,
        working: list[str],
        kinds: dict[str, str],
        facts: tuple[Fact, ...],
        now: int,
    ) -> Finding:
        if "frozen" in kinds.values():
            return Finding("freeze", facts)
        if slow := self._throttled(name, now):
            return Finding("throttled", (*slow, *self._said(now)))
        direct = next((path for path in working if path != HOP), HOP)
        works = (*facts, Fact(name, "works", direct))
        if direct == HOP:
            return self._between(name, place, kinds, (*works, *self._said(now)), now)
        tried = {kind for path, kind in kinds.items() if path in STREAMS}
        if direct == QUIC and tried and tried <= SILENT | {"tls", "closed"}:
            block: Verdict = "name-block" if tried & {"tls", "mute"} else "address-block"
            return Finding(block, works)
        better = {kinds.get(path, "") for path in self.paths[: self._rank(direct)]}
        by_udp = kinds.get(QUIC, "")
        if self._crawls(name, self.paths, now):  # on a full line what is new has to wait
            better -= SILENT
            by_udp = ""
        if better & (SILENT - {"connect"} | {"tls", "closed"}):
            return Finding("fingerprint", works)
        if direct in STREAMS and by_udp in SILENT | {"lost"}:
            return Finding("udp-block", works)
        return Finding("clear", (Fact(name, "works", working[0]),))

    def _between(
        self, name: str, place: _Place, kinds: dict[str, str], works: tuple[Fact, ...], now: int
    ) -> Finding:
        """Of a place that another relay reaches: what became of the streams that were tried."""
        tried = [kinds[path] for path in STREAMS if path in kinds]
        seen = set(tried)
        if seen == {"dns"}:
            return Finding("dns-block", works)
        alike = "connect" in seen or len(tried) > 1  # before the first words all are
        if not (seen and seen <= SILENT | {"tls", "frozen"} and alike) or not self._tried_since(
            name, place
        ):
            return Finding("clear", (Fact(name, "works", HOP),))
        if any(one.worked for path, one in place.paths.items() if path in STREAMS):
            return Finding("learned", works)
        if self._ok("foreign", now) is False and self._ok("domestic", now):
            return Finding("allowlist", works)
        return Finding("name-block" if seen & {"tls", "mute"} else "address-block", works)

    def _tried_since(self, name: str, place: _Place) -> bool:
        """Whether a stream to it failed while another relay was reached, and not just before."""
        there = [
            one.worked
            for other, known in self._places.items()
            for path, one in known.paths.items()
            if other != name and path in STREAMS and one.up
        ]
        failed = max((place.paths.get(path, _Path()).failed for path in STREAMS), default=0)
        return bool(there) and failed >= max(there) + FLAPS

    def _throttled(self, name: str, now: int) -> tuple[Fact, ...]:
        """That a relay is slow by itself, while others and what nobody blocks are not."""
        rate = self._rate(name, STREAMS, now) or self._rate(name, (QUIC,), now)
        fast = max((c[1] for c in self._controls.values()), default=0)
        if rate is None or rate >= SLOW or self._slow(now) < SURE:
            return ()
        by_udp = self._rate(name, (QUIC,), now)
        if by_udp and by_udp > FASTER * rate:
            return (Fact(name, "crawls", kbits=round(rate / 1000)),)  # the same machine is fast
        if fast <= FASTER * rate:
            return ()
        up = [one for one, place in self._places.items() if any(p.up for p in place.paths.values())]
        if any(self._direct(one, now) is None for one in up):
            return ()  # not known yet whether it is this one alone
        others = [self._direct(one, now) for one in self._places if one != name]
        by_hop = self._rate(name, (HOP,), now)
        if any(one and one > max(2 * SLOW, CLEARLY * rate) for one in others) and not (
            by_hop and by_hop > FASTER * rate
        ):
            return ()  # another relay is fast, and not in reaching this one: it is slow itself
        return (Fact(name, "crawls", kbits=round(rate / 1000)),)

    def _blocked(self, kinds: set[str], hellos: int, now: int) -> Verdict:
        """`hellos`: so many kinds of streams were cut, or not answered, at their first words."""
        domestic, foreign = self._since("domestic", now), self._since("foreign", now)
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
            there = (foreign or domestic) and self._fails_on(now)
            return "address-block" if there else "offline"
        return "unknown"

    def _ok(self, kind: str, now: int) -> bool | None:
        found = self._controls.get(kind)
        return None if found is None or now - found[2] > REMEMBERED else found[0]

    def _since(self, kind: str, now: int) -> bool | None:
        """The same, if it was looked at since a relay was reached last."""
        last = max(
            (one.worked for place in self._places.values() for one in place.paths.values()),
            default=0,
        )
        looked = self._controls.get(kind, (False, 0.0, 0))[2]
        return self._ok(kind, now) if looked >= last else None

    def _fails_on(self, now: int) -> bool:
        """Whether something failed so long after a place that nobody blocks answered that it had
        begun after it: before, there may have been no network."""
        answered = [at for ok, _, at in self._controls.values() if ok and now - at < REMEMBERED]
        failed = [one.failed for place in self._places.values() for one in place.paths.values()]
        return max(failed, default=0) >= min(answered, default=now) + FLAPS

    def _said(self, now: int) -> tuple[Fact, ...]:
        return tuple(
            Fact(kind, "answers" if ok else "silent")
            for kind in ("domestic", "foreign")
            if (ok := self._ok(kind, now)) is not None
        )


_FIRST: Final = (
    "freeze", "fingerprint", "throttled", "learned", "allowlist", "name-block", "address-block",
    "dns-block", "udp-block", "clear", "impostor", "away",
)  # fmt: skip
"""What is said, if places differ."""
