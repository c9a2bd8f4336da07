"""A node's side of a connection, as a script, and against a model relay under any schedule."""

from collections.abc import Iterator
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core import wire
from holdfast.core.caps import Caps, Envelope, Home
from holdfast.core.log import server
from holdfast.core.log.client import QUEUE_BYTES, RETRY_MS, Client
from holdfast.core.log.events import (
    Appended,
    CaughtUp,
    Close,
    Created,
    Dropped,
    Live,
    Output,
    Pass,
    Received,
    Refused,
    Strange,
)
from holdfast.core.log.reader import Reader
from holdfast.core.log.server import Found, Refusal, Session
from holdfast.core.log.wanted import WINDOW_BYTES

HOME = Home("relay.example", 443, b"p" * 16, b"k" * 32)
LOG = Caps.make(bytes(range(128)))
ENVELOPE = Envelope(LOG.locator, HOME.pin)
T = TypeVar("T")


def rid(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Script:
    """A client whose frames are read as they leave."""

    def __init__(self) -> None:
        self.now = 1_000
        self.client = Client(HOME, lambda size: b"\7" * size)

    def up(self) -> list[wire.ClientFrame]:
        self.client.connected(self.now)
        return self.said()

    def said(self) -> list[wire.ClientFrame]:
        """Frames since the last call; events are kept aside in `happened`."""
        out = self.client.take()
        self.happened: list[Output] = [item for item in out if not isinstance(item, bytes)]
        return [wire.decode_client(item) for item in out if isinstance(item, bytes)]

    def hear(self, frame: wire.RelayFrame) -> list[wire.ClientFrame]:
        self.client.receive(wire.encode(frame), self.now)
        return self.said()


def attached() -> Script:
    script = Script()
    script.client.append(LOG, rid(0), b"first", 60)
    script.up()
    script.hear(wire.Attached(1, 1, 1))
    script.hear(wire.Acked(1))
    return script


def kinds(frames: list[wire.ClientFrame]) -> list[type]:
    return [type(frame) for frame in frames]


def test_everything_wanted_is_asked_for_at_once_when_the_connection_comes() -> None:
    script = Script()
    script.client.create(LOG, 8)
    script.client.append(LOG, rid(1), b"body", 60)
    script.client.follow(LOG, 5)
    assert script.said() == []
    frames = script.up()
    assert kinds(frames) == [wire.Hello, wire.Create, wire.Attach, wire.Append]
    _, create, attach, append = frames
    assert isinstance(create, wire.Create) and create.limit == 8
    assert isinstance(attach, wire.Attach) and attach.since == 5
    assert isinstance(append, wire.Append) and append.n == 1
    assert ENVELOPE.open(append.body) == (rid(1), b"body")
    script.hear(wire.Done(1, "create"))
    assert script.happened == [Created(LOG.locator, HOME)]
    script.hear(wire.Attached(1, 1, 7))
    script.hear(wire.Acked(1))
    assert script.happened == [Appended(LOG.locator, HOME, rid(1))]


def test_records_are_opened_and_come_once() -> None:
    script = Script()
    script.client.follow(LOG, 1)
    script.up()
    script.hear(wire.Attached(1, 1, 4))
    records = tuple((s, ENVELOPE.seal(rid(s), b"%d" % s, bytes(12))) for s in (1, 2, 2, 3, 0))
    script.hear(wire.Records(1, (*records, (4, b"not a record of this log"))))
    assert script.happened == [
        Received(LOG.locator, HOME, 2, rid(2), b"2"),
        Received(LOG.locator, HOME, 3, rid(3), b"3"),
        Live(LOG.locator, HOME, rid(0), b"0"),
        Strange(LOG.locator, HOME),
    ]
    script.hear(wire.Done(1, "read"))
    assert script.happened == [CaughtUp(LOG.locator, HOME)]
    script.client.disconnected()
    (_, attach) = script.up()
    assert isinstance(attach, wire.Attach) and attach.since == 4


def test_a_log_that_is_followed_anew_is_read_from_where_it_was_asked() -> None:
    """Whatever was on its way for the one before, while something else keeps the log attached."""
    script = attached()
    script.client.append(LOG, rid(9), b"waits", 60)
    script.client.follow(LOG, 3)
    script.said()
    script.hear(wire.Attached(1, 1, 7))
    script.client.unfollow(LOG)
    script.client.follow(LOG, 0)
    script.said()
    late = ENVELOPE.seal(rid(6), b"late", bytes(12))
    script.hear(wire.Records(1, ((6, late),)))
    assert script.happened == []
    script.hear(wire.Attached(1, 1, 7))
    script.hear(wire.Attached(1, 1, 7))
    first = ENVELOPE.seal(rid(1), b"first", bytes(12))
    script.hear(wire.Records(1, ((1, first), (6, late))))
    assert [each.seq for each in script.happened if isinstance(each, Received)] == [1, 6]


def test_a_log_made_anew_is_read_from_its_start() -> None:
    script = Script()
    script.client.follow(LOG, 100)
    script.up()
    script.hear(wire.Attached(1, 1, 3))
    script.hear(wire.Records(1, ((1, ENVELOPE.seal(rid(1), b"x", bytes(12))),)))
    assert script.happened == [Received(LOG.locator, HOME, 1, rid(1), b"x")]


def test_what_was_not_acknowledged_is_sent_again_with_the_same_bytes() -> None:
    script = attached()
    for i in (1, 2, 3):
        script.client.append(LOG, rid(i), b"body", 60)
    before = script.said()
    script.hear(wire.Acked(2))
    assert script.happened == [Appended(LOG.locator, HOME, rid(1))]
    script.client.disconnected()
    hello, attach, *again = script.up()
    assert kinds([hello, attach]) == [wire.Hello, wire.Attach]
    assert [(f.n, f.body) for f in again if isinstance(f, wire.Append)] == [
        (n, f.body) for n, f in enumerate(before[1:], 1) if isinstance(f, wire.Append)
    ]


def test_the_same_record_waits_only_once() -> None:
    script = attached()
    script.client.append(LOG, rid(1), b"body", 60)
    script.client.append(LOG, rid(1), b"body", 60)
    assert len(script.said()) == 1


def test_the_window_bounds_what_is_on_its_way() -> None:
    script = attached()
    for i in range(40):
        script.client.append(LOG, rid(i + 1), b"x" * 60_000, 60)
    sent = script.said()
    assert len(sent) == -(-WINDOW_BYTES // 60_044)
    more = script.hear(wire.Acked(1 + len(sent)))
    assert len(sent) + len(more) >= 35


def test_what_waits_is_bounded_and_said() -> None:
    script = Script()
    count = QUEUE_BYTES // 60_044
    for i in range(count + 5):
        script.client.append(LOG, rid(i), b"x" * 60_000, 60)
    script.said()
    assert {(r.code, r.rid) for r in script.happened if isinstance(r, Refused)} >= {
        ("later", rid(count + 4))
    }


def test_refusals_that_time_heals_are_retried_and_others_end() -> None:
    script = attached()
    script.client.append(LOG, rid(1), b"one", 60)
    script.client.append(LOG, rid(2), b"two", 60)
    script.said()
    assert script.hear(wire.Refused(1, "rate", "slower", 2)) == []
    script.hear(wire.Refused(1, "closed", "no more", 3))
    (refused,) = script.happened
    assert isinstance(refused, Refused) and (refused.code, refused.rid) == ("closed", rid(2))
    assert script.client.due() == script.now + RETRY_MS["rate"]
    script.now += RETRY_MS["rate"]
    script.client.tick(script.now)
    (append,) = script.said()
    assert isinstance(append, wire.Append) and append.n == 4
    assert script.client.due() is None


def test_what_followed_a_create_that_time_heals_is_asked_for_again_with_it() -> None:
    script = Script()
    script.client.create(LOG)
    script.client.follow(LOG, 0)
    script.client.append(LOG, rid(1), b"one", 60)
    script.up()
    script.hear(wire.Refused(1, "later", "starting"))
    assert script.hear(wire.Refused(1, "denied", "no such log")) == []
    script.hear(wire.Refused(1, "unknown-handle", "no", 1))
    assert script.happened == []
    script.now += RETRY_MS["later"]
    script.client.tick(script.now)
    assert kinds(script.said()) == [wire.Create, wire.Attach, wire.Append]


def test_a_refused_attach_refuses_what_waited_for_it() -> None:
    script = Script()
    script.client.follow(LOG, 0)
    script.client.append(LOG, rid(1), b"one", 60)
    script.up()
    script.hear(wire.Refused(1, "denied", "no"))
    assert [(r.what, r.rid) for r in script.happened if isinstance(r, Refused)] == [
        ("attach", None),
        ("append", rid(1)),
    ]
    assert script.hear(wire.Refused(1, "unknown-handle", "no", 1)) == []
    script.client.disconnected()
    assert kinds(script.up()) == [wire.Hello]
    script.client.follow(LOG, 0)
    assert kinds(script.said()) == [wire.Attach]


def test_trims_are_joined_and_survive_a_reconnection() -> None:
    script = attached()
    for upto in (3, 5, 4, 9):
        script.client.trim(LOG, upto)
    assert script.said() == [wire.Trim(1, 3)]
    script.client.disconnected()
    assert script.up()[-1] == wire.Trim(2, 9)
    script.hear(wire.Attached(2, 1, 10))
    script.hear(wire.Done(2, "trim"))
    script.client.disconnected()
    assert kinds(script.up()) == [wire.Hello]


def test_a_drop_ends_with_the_log_gone() -> None:
    script = attached()
    script.client.drop(LOG)
    assert script.said() == [wire.Drop(1)]
    script.client.disconnected()
    assert kinds(script.up()) == [wire.Hello, wire.Attach, wire.Drop]
    script.hear(wire.Refused(2, "denied", "gone"))
    assert script.happened == [Dropped(LOG.locator, HOME)]
    script.client.disconnected()
    assert kinds(script.up()) == [wire.Hello]


def test_live_frames_go_now_or_never() -> None:
    script = attached()
    script.client.append(LOG, rid(1), b"live", 0)
    (item,) = script.client.take()
    assert isinstance(item, Pass) and item.by == "safe"
    frame = wire.decode_client(item.frame)
    assert isinstance(frame, wire.Live) and ENVELOPE.open(frame.body) == (rid(1), b"live")
    assert script.client.pass_on(LOG, b"sealed already", by="safe")
    assert script.client.take() == [Pass(wire.encode(wire.Live(1, b"sealed already")), "safe")]
    script.client.append(LOG, rid(2), b"live", 0, room=False)
    script.client.disconnected()
    script.client.append(LOG, rid(3), b"live", 0)
    assert script.said() == []


def test_a_datagram_brings_live_frames_or_nothing() -> None:
    script = Script()
    script.client.follow(LOG, 0, bare=True)
    script.up()
    script.hear(wire.Attached(1, 1, 1))
    records = ((0, b"live"), (7, ENVELOPE.seal(rid(7), b"not by this way", bytes(12))))
    for data in (
        b"\xc1",
        wire.encode(wire.Bye("later", "not by this way")),
        wire.encode(wire.Records(9, ((0, b"unknown"),))),
        wire.encode(wire.Records(1, records)),
    ):
        script.client.receive_live(data)
    assert script.client.take() == [Live(LOG.locator, HOME, b"", b"live")]


def test_a_bye_and_nonsense_close_the_connection() -> None:
    for data in (wire.encode(wire.Bye("later", "stopping")), b"\xc1"):
        script = attached()
        script.client.receive(data, script.now)
        script.said()
        assert len(script.happened) == 1 and isinstance(script.happened[0], Close)


@given(st.lists(st.binary(max_size=100), max_size=6))
def test_garbage_from_a_relay_closes_or_is_ignored(garbage: list[bytes]) -> None:
    script = attached()
    for data in garbage:
        script.client.receive(data, script.now)


class Model:
    """A relay with one log in memory, behind a real session and a real reader."""

    def __init__(self) -> None:
        self.made: wire.Create | None = None
        self.records: list[tuple[int, bytes]] = []

    def connect(self) -> None:
        welcome = wire.Welcome(1, b"k" * 32, b"p" * 64, 66_000, 1)
        self.session = Session(welcome)
        self.readers: dict[int, Reader] = {}

    def receive(self, data: bytes) -> Iterator[bytes]:
        todo = self.session.receive(data, 0)
        while todo:
            command = todo.pop(0)
            match command:
                case server.Send(frame):
                    yield wire.encode(frame)
                case server.Make(frame):
                    self.made = self.made or frame
                    todo += self.session.done(None, 0)
                case server.Find():
                    todo += self.session.found(self.found(), 0)
                case server.Add(handle, n, _, _, body):
                    self.records.append((len(self.records) + 1, body))
                    for reader in self.readers.values():
                        reader.published(len(self.records), body, True)
                    todo += self.session.settled(handle, n, None)
                case server.Read(handle, _, since, follow):
                    reader = self.readers[handle] = Reader(handle, since, follow)
                    reader.go_on(True)
                    reader.fetched([r for r in self.records if r[0] > since], False)
                case server.Stop(handle):
                    self.readers.pop(handle, None)
                case server.Touch():
                    pass
                case server.Cut():
                    todo += self.session.done(Refusal("denied", "no"), 0)
                case _:
                    raise AssertionError(command)
        for reader in self.readers.values():
            for frame in reader.flush():
                yield wire.encode(frame)
        if (ack := self.session.ack()) is not None:
            yield wire.encode(ack)

    def found(self) -> Found | None:
        made = self.made
        if made is None:
            return None
        return Found(1, made.append, made.read, made.owner, 1, len(self.records) + 1)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["append", "append", "there", "back", "cut", "up"]), max_size=80))
def test_any_schedule_of_cuts_delivers_everything_and_acknowledges_only_what_is_kept(
    steps: list[str],
) -> None:
    client, model = Client(HOME, lambda size: b"\7" * size), Model()
    client.create(LOG)
    client.follow(LOG, 0)
    there: list[bytes] = []
    back: list[bytes] = []
    got: list[bytes] = []
    acked: list[bytes] = []
    up = False
    written = 0

    def drain() -> None:
        for item in client.take():
            if isinstance(item, bytes):
                there.append(item)
            elif isinstance(item, Received):
                got.append(item.rid)
            elif isinstance(item, Appended):
                acked.append(item.rid)
                kept = {ENVELOPE.open(body)[0] for _, body in model.records}
                assert item.rid in kept
            else:
                assert isinstance(item, (Created, CaughtUp))

    def step(name: str) -> None:
        nonlocal up, written
        if name == "append":
            client.append(LOG, rid(written), b"body", 60)
            written += 1
        elif name == "there" and there and up:
            back.extend(model.receive(there.pop(0)))
        elif name == "back" and back and up:
            client.receive(back.pop(0), 0)
        elif name == "cut" and up:
            client.disconnected()
            there.clear()
            back.clear()
            up = False
        elif name == "up" and not up:
            model.connect()
            client.connected(0)
            up = True
        drain()

    for name in steps:
        step(name)
    step("cut")
    step("up")
    while there or back:
        step("there")
        step("back")
    everything = [rid(i) for i in range(written)]
    assert acked == everything
    assert list(dict.fromkeys(got)) == everything
