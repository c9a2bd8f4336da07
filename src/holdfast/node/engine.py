"""Between the keeper and the relays: what relays tell becomes jobs, what jobs leave
becomes calls.

Nothing here is durable. `resume` reads from the database everything that was under way,
so that a start after a crash goes on where the last commit was.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from holdfast.core.caps import Home
from holdfast.core.chat import content
from holdfast.drive.logs import (
    Appended,
    CaughtUp,
    Connect,
    Created,
    Down,
    Dropped,
    Live,
    LogEvent,
    Logs,
    Received,
    Refused,
    Strange,
    Up,
)
from holdfast.node import (
    answering,
    channel_feed,
    channel_state,
    chores,
    effects,
    group_early,
    group_links,
    group_talk,
    homes,
    inviting,
    receiving,
    renewing,
    requests,
    talking,
)
from holdfast.node.calls import Calls
from holdfast.node.database import row
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.health import Health
from holdfast.node.keeper import Keeper, StorageFailed, Work
from holdfast.node.near import Near
from holdfast.node.networks import Networks
from holdfast.node.relays import Relays
from holdfast.node.schema import ContactChanged, ContactRemoved, Event, StatusChanged, TypingChanged
from holdfast.node.taking import Arrived
from holdfast.node.transfers import Transfers
from holdfast.paths.base import Channel, Handler

TICK_SECONDS: Final = 60.0
LOOK_TICKS: Final = 15
"""Ticks between two looks at whether an answered invitation still stands."""
AGAIN_SECONDS: Final = 5.0
"""Before a log is read again that was not there, or whose record the disk did not take."""
LOOK_SECONDS: Final = 5.0
"""Between two looks at which network this machine is on, and what cannot wait."""
MISSING: Final = 5_000
"""Milliseconds that another relay has to bring what one of them left out."""
UNTAKEN: Final = 60_000
"""Milliseconds before a record is tried again whose log is not there, or not yet; doubled each
time, and the same again when a relay comes back."""
LONGEST_UNTAKEN: Final = 3_600_000
RENEWALS: Final = 5_000
"""Milliseconds between two lots of contacts that are told of a new device."""
LATER: Final = 10_000
"""Milliseconds before records that found no room in the queue to a relay are tried again."""
TYPING_SECONDS: Final = 6.0
"""How long somebody is shown as writing after the last word of it."""

NETWORKS: Final = "networks"
"""What `meta` calls the memory of networks."""

_log = logging.getLogger(__name__)


class Engine:
    """`tell` hears the news. `start` after the keeper runs; all on the loop's thread."""

    def __init__(
        self,
        desk: Desk,
        connect: Connect,
        clock: Callable[[], int],
        tell: Callable[[Event], None],
    ) -> None:
        self.desk = desk
        desk.say_in_group, desk.say_in_channel = group_talk.say, channel_feed.say
        desk.take_content = receiving.take
        self.relays = Relays(clock)
        self.health = Health(clock)
        self.hops: Callable[[list[Home]], None] = lambda homes: None
        """Told which relays are this node's own."""
        self.lend: Callable[[Home, Channel], None] = lambda home, channel: None
        """Told of connections on which datagrams would be of use."""
        self.stand_by: Callable[[set[Home]], None] = lambda homes: None
        """Told to which relays a second connection should be ready."""
        self.doubt: Callable[[], None] = lambda: None
        """Told that connections may stand in name alone."""
        self.renew: Callable[[str], None] = lambda contact: None
        """Told of contacts that go on with another device."""
        self.introduced: Callable[[effects.Introduced], None] = lambda who: None
        """Accepts an invitation that came from within a group."""
        self.networks: Networks | None = None
        """What is remembered of networks, if anything is."""
        self._lanes: weakref.WeakSet[Logs] = weakref.WeakSet()

        def lane(hear: Callable[[LogEvent], None], connect: Connect = connect) -> Logs:
            logs = Logs(connect, clock, desk.entropy, hear)
            self._lanes.add(logs)
            return logs

        async def live(home: Home, handler: Handler) -> Channel:
            channel = await connect(home, handler)
            self.lend(home, channel)
            return channel

        self.logs = lane(self._on_event)
        self._clock = clock
        self._tell = tell

        # Connections of their own: no message waits behind a file, no call behind either.
        self.transfers = Transfers(desk, lane, self._submit, tell)
        quick = partial(lane, connect=live)
        self.calls = Calls(desk, quick, self._submit, tell, clock, self._doubts)
        self.near = Near(desk, self._submit, clock, self._met, self.calls.placed)
        self.calls.place = self.near.place
        self.calls.here = lambda contact: contact in self.near.contacts
        self._keeper: Keeper | None = None
        self._routes: dict[bytes, effects.Route] = {}
        self._homes: dict[bytes, set[str]] = {}
        """Where each followed log is read."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._fetches: dict[bytes, asyncio.Queue[LogEvent]] = {}
        self._ticking: tuple[asyncio.Task[None], ...] = ()
        self._stopped = False
        self._ticks = 0
        self._untaken = UNTAKEN
        self._telling = False
        """The status will be told by a job that has not begun."""

    async def start(self, keeper: Keeper) -> None:
        """Go on with everything that was under way."""
        self._keeper = keeper
        if self.networks is not None:
            self.networks.load(await keeper.run(lambda work: self.desk.get(work, NETWORKS)))
        await keeper.run(lambda work: chores.resume(self.desk, work))
        self.near.use((await keeper.run(self.desk.settings)).near)
        self.transfers.start()
        self._ticking = (
            asyncio.create_task(self._tick()),
            asyncio.create_task(self._look_around()),
        )

    async def stop(self) -> None:
        """Let go of the relays and of all timers."""
        if self.networks is not None:
            self._remember(self.networks.dump())
        await self.calls.stop()
        self._stopped = True
        for task in self._ticking:
            task.cancel()
        for timer in self._timers.values():
            timer.cancel()
        await self.near.stop()
        await self.transfers.stop()
        await self.logs.stop()

    # What follows a commit.

    def follow(self, after: list[Any]) -> None:
        """Carry out what a committed job left, in order."""
        if self._stopped:
            return
        for effect in after:
            self._carry_out(effect)

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Tell(event):
                if isinstance(event, ContactChanged | ContactRemoved):
                    self.near.look()
                self._tell(event)
            case effects.Append(caps, home, rid, body, lifetime):
                if lifetime and str(home) in self.relays.reached:
                    self.health.sent(rid, str(home))
                if lifetime:
                    self.near.appended(caps.locator)
                self.logs.append(caps, home, rid, body, lifetime)
            case effects.Create(caps, home, most):
                self.logs.create(caps, home, most)
            case effects.Follow(caps, home, since, route):
                self._routes[caps.locator] = route
                self._homes.setdefault(caps.locator, set()).add(str(home))
                self.logs.follow(caps, home, since)
            case effects.Unfollow(caps, home):
                self._homes.get(caps.locator, set()).discard(str(home))
                self.logs.unfollow(caps, home)
            case effects.Trim(caps, home, upto):
                self.logs.trim(caps, home, upto)
            case effects.Drop(caps, home):
                read = self._homes.get(caps.locator, set())
                read.discard(str(home))
                if not read:
                    self._routes.pop(caps.locator, None)
                    self._homes.pop(caps.locator, None)
                self.logs.drop(caps, home)
            case effects.Due(contact, at):
                self._at(
                    f"due {contact}",
                    at,
                    lambda work: receiving.control(self.desk, work, contact),
                )
            case effects.Missing(contact):
                self._at(
                    f"missing {contact}",
                    self._clock() + MISSING,
                    lambda work: chores.missing(self.desk, work, contact),
                    soonest=True,
                )
            case effects.Expire(at):
                self._at("expire", at, self._expire, soonest=True)
            case effects.Relays():
                self._submit(self._read_relays)
            case effects.Use(mine, used):
                self._use(mine, used)
            case effects.Move(file):
                self.transfers.move(file)
            case effects.Halt(file, gone):
                self.transfers.halt(file, gone)
            case effects.Introduced():
                self.introduced(effect)
            case effects.Heard(contact, said, live):
                self.calls.heard(contact, said, live)
            case effects.Renewed(contact):
                self.renew(contact)
            case effects.Renewals():
                self._at(
                    "renewals",
                    self._clock() + RENEWALS,
                    lambda work: renewing.arrange(self.desk, work),
                )

    def _at(
        self,
        name: str,
        at: int | None,
        job: Callable[[Work], object],
        soonest: bool = False,
    ) -> None:
        """Run a job at a time (ms), instead of what was set under this name."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(name)
        delay = 0.0 if at is None else max(0, at - self._clock()) / 1000
        if timer is not None:
            if soonest and not timer.cancelled() and timer.when() <= loop.time() + delay:
                return
            timer.cancel()
            del self._timers[name]
        if at is not None and not self._stopped:

            def run() -> None:
                self._timers.pop(name, None)
                self._submit(job)

            # A timer of the loop reaches a day ahead at most; the job looks again then.
            self._timers[name] = loop.call_later(min(delay, 86_400.0), run)

    def _expire(self, work: Work) -> None:
        talking.expire(self.desk, work)

    def _submit(self, job: Callable[[Work], object]) -> asyncio.Future[object] | None:
        if self._keeper is None or self._stopped:
            return None
        done = self._keeper.submit(job)
        done.add_done_callback(_report)
        return done

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.desk.lost, self.desk.alone = self.relays.lost, self.relays.alone
            self._submit(lambda work: chores.tick(self.desk, work))
            self._submit(self._read_relays)
            self._ticks += 1
            if self._ticks % LOOK_TICKS == 1:
                self._submit(lambda work: answering.look_again(self.desk, work))
            if self.networks is not None and (lessons := self.networks.news()) is not None:
                self._remember(lessons)

    # Networks.

    def _doubts(self) -> None:
        self.doubt()

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.stand_by(self.calls.homes | self.transfers.homes)
            self._judge()
            if self.networks is not None and self.networks.moved():
                self._remember(self.networks.dump())
                self.retry()

    def _met(self) -> None:
        """Somebody came to the local network, or left it."""
        self.relays.near = self.near.contacts
        self._tell_status()

    def _judge(self) -> None:
        """See which relays fall behind."""
        troubles = self.health.troubles()
        if troubles != self.relays.troubles:
            self.relays.troubles = troubles
            self.desk.troubled = frozenset(troubles)
            self._tell_status()

    def retry(self) -> None:
        """Try everything that waits for a relay now."""
        for logs in list(self._lanes):
            logs.retry()

    def _remember(self, lessons: bytes) -> None:
        self._submit(lambda work: self.desk.put(work, NETWORKS, lessons))

    def forget_networks(self) -> None:
        """What was learnt of all networks, the present one too."""
        if self.networks is not None:
            self.networks.forget()
            self._remember(self.networks.dump())

    # What relays tell.

    def _on_event(self, event: LogEvent) -> None:
        match event:
            case Up(home):
                self.relays.up(home)
                self.desk.reached = self.relays.reached
                self._untaken = UNTAKEN
                self._tell_status()
            case Down(home, why, kind):
                self.relays.down(home, why, kind)
                self.desk.reached = self.relays.reached
                self.health.left(str(home))
                self._tell_status()
                for fetch in self._fetches.values():
                    fetch.put_nowait(event)
            case Created(locator, home):
                name = str(home)
                route = self._routes.get(locator)
                cid = route[1] if route is not None and route[0] == "inbox" else ""
                self._submit(lambda work: answering.made(self.desk, work, locator, name, cid))
            case Dropped(locator, home):
                name = str(home)
                self._submit(lambda work: chores.dropped(work, locator, name))
            case Appended(_, home, rid):
                name = str(home)
                self.health.taken(rid, name)
                self._submit(lambda work: receiving.appended(self.desk, work, rid, name))
            case Strange(_, home):
                self.health.fault(str(home), "strange")
            case Received() | CaughtUp() | Refused() | Live():
                self._of_log(event)

    def _of_log(self, event: Received | CaughtUp | Refused | Live) -> None:
        if event.locator in self._fetches:
            self._fetches[event.locator].put_nowait(event)
            return
        kind, id = self._routes.get(event.locator, ("", ""))
        match event:
            case Received(locator, home, _, rid) if kind == "inbox":
                reading = self.relays.reading(locator, self._homes.get(locator, set()))
                if str(home) in reading:
                    self.health.came(rid, str(home), reading)
                self._received(id, event)
            case Received(locator, home, seq, _, body) if kind == "accept":
                self._careful(
                    locator,
                    home,
                    lambda work: group_links.answered(self.desk, work, id, str(home), seq, body),
                )
            case Received(_, _, _, _, body) if kind == "group-early":
                self._submit(lambda work: group_early.received(self.desk, work, id, body))
            case Received(locator, home) if kind == "group":
                came = self._arrived(event)
                self._careful(
                    locator, home, lambda work: group_talk.received(self.desk, work, id, came)
                )
            case Received(locator, home, seq, _, body) if kind == "channel":
                self._careful(
                    locator,
                    home,
                    lambda work: channel_feed.received(
                        self.desk, work, id, locator, str(home), seq, body
                    ),
                )
            case CaughtUp(locator, home):
                self.relays.caught_up(locator, home)
                if kind == "channel" and self.relays.all_caught_up(
                    locator, self._homes.get(locator, set())
                ):
                    self._submit(lambda work: channel_feed.whole(self.desk, work, id, locator))
                if kind == "inbox" and self.relays.all_caught_up(
                    locator, self._homes.get(locator, set())
                ):
                    self._submit(lambda work: receiving.caught_up(self.desk, work, id))
            case Live(_, _, _, body) if kind == "inbox":
                self._live(id, body)
            case Refused(locator, home, "attach", "denied") if kind == "answer":
                self._answer_refused(locator, home)
            case Refused(locator, home, "attach") if kind in ("inbox", "group", "channel"):
                self._again(locator, home, make=True)
            case Refused(_, home, "append", "full"):
                self.health.fault(str(home), "refuses")
            case Refused(_, _, "append", "later"):
                at = self._clock() + LATER
                self._at("unsent", at, chores.append_unsent, soonest=True)
            case Refused(locator, home, "append", "denied" | "closed"):
                self._answer_refused(locator, home)
                if "unsent" not in self._timers:
                    self._at("unsent", self._clock() + self._untaken, chores.append_unsent)
                    self._untaken = min(2 * self._untaken, LONGEST_UNTAKEN)

    def _answer_refused(self, locator: bytes, home: Home) -> None:
        self._submit(lambda work: answering.refused(self.desk, work, locator, str(home)))

    def _received(self, cid: str, event: Received) -> None:
        came = self._arrived(event)
        self._careful(
            event.locator,
            event.home,
            lambda work: receiving.received(self.desk, work, cid, came),
        )

    def _arrived(self, event: Received) -> Arrived:
        home = str(event.home)
        outage = self.relays.outage(event.locator, event.home)
        live = home in self.relays.reading(event.locator, (home,))
        return Arrived(event.locator, home, event.seq, event.rid, event.body, outage, live)

    def _careful(self, locator: bytes, home: Home, job: Callable[[Work], object]) -> None:
        """If the disk does not take what came, it is read again from the relay later."""
        done = self._submit(job)
        if done is not None:
            done.add_done_callback(
                lambda done: (
                    self._again(locator, home)
                    if isinstance(done.exception(), StorageFailed)
                    else None
                )
            )

    def _again(self, locator: bytes, home: Home, make: bool = False) -> None:
        """Read a log again from where the database has it; `make`: it was not there."""
        if self._stopped:
            return

        def job(work: Work) -> None:
            kind, id = self._routes.get(locator, ("", ""))
            if kind == "group":
                found = row(work.db, "SELECT log FROM group_log WHERE locator = ?", locator)
                if found is None:
                    return
                caps = unpack_inbox(found[0]).caps
            elif kind == "inbox":
                found = row(work.db, "SELECT inbox FROM contact WHERE id = ?", id)
                if found is None:
                    return
                caps = unpack_inbox(found[0]).caps
            elif kind == "channel":
                if not channel_state.is_channel(work, id):
                    return
                caps = channel_feed.caps_of(self.desk, work, id, locator)
            elif kind == "accept":
                caps = inviting.load(self.desk, work, id).accept_caps
            else:
                return
            if caps.locator != locator:
                return
            if make and caps.owner is not None:
                self.desk.want(work, caps, home)
            since = self.desk.position(work, locator, str(home))
            self.desk.seen.pop((locator, str(home)), None)
            work.after.append(effects.Unfollow(caps, home))
            work.after.append(effects.Follow(caps, home, since, self._routes[locator]))

        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._submit, job)

    def _live(self, cid: str, body: bytes) -> None:
        if requests.is_stranger(self.desk, cid):
            return
        try:
            frame = content.decode_typing(body)
        except content.Malformed:
            return
        name = f"typing {cid}"
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if frame.typing:

            def over() -> None:
                self._timers.pop(name, None)
                self._tell(TypingChanged(cid, False))

            loop = asyncio.get_running_loop()
            self._timers[name] = loop.call_later(TYPING_SECONDS, over)
        self._tell(TypingChanged(cid, frame.typing))

    # Relays.

    def _read_relays(self, work: Work) -> None:
        homes.arrange(self.desk, work)
        mine = frozenset(str(home) for home in self.desk.homes(work))
        work.after.append(effects.Use(mine, chores.used_homes(self.desk, work)))

    def _use(self, mine: frozenset[str], used: dict[str, Home]) -> None:
        self.hops([home for address, home in used.items() if address in mine])
        for home in self.relays.use(mine, used):
            self.logs.close(home)
        for home in used.values():
            self.logs.open(home)
        self._tell_status()

    def _tell_status(self) -> None:
        def job(work: Work) -> None:
            self._telling = False
            work.after.append(effects.Tell(StatusChanged(self.relays.status(self.desk, work))))

        if not self._telling:
            self._telling = self._submit(job) is not None

    # First contact.

    def fetch(self, locator: bytes) -> asyncio.Queue[LogEvent]:
        """What happens on this log goes to the queue, until `fetched`."""
        queue = self._fetches[locator] = asyncio.Queue()
        return queue

    def fetched(self, locator: bytes) -> None:
        """No more of it."""
        self._fetches.pop(locator, None)


def _report(done: asyncio.Future[object]) -> None:
    """A job nobody waits for has failed. Nothing of its content goes into the log."""
    if not done.cancelled() and (error := done.exception()) is not None:
        text = str(error) if isinstance(error, StorageFailed) else type(error).__name__
        _log.error("a job of the node failed: %s", text)
