"""A relay's side of a connection, as a script: frames and answers in, commands out."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import wire
from holdfast.core.log import server
from holdfast.core.log.limits import Limits
from holdfast.core.log.server import (
    Add,
    Cut,
    End,
    Fan,
    Find,
    Found,
    Make,
    Read,
    Refusal,
    Remove,
    Send,
    Session,
    Stop,
    Touch,
    expiry,
)

WELCOME = wire.Welcome(wire.VERSION, b"k" * 32, b"p" * 64, 66_000, 7_776_000)
ID = b"i" * 16
TOKENS = {"append": b"a" * 32, "read": b"r" * 32, "owner": b"o" * 32}
VERIFIERS = [hashlib.sha256(TOKENS[role]).digest() for role in ("append", "read", "owner")]
LOG = Found(7, VERIFIERS[0], VERIFIERS[1], VERIFIERS[2], 3, 9)


class Script:
    """Says things to a session and gives back what it commands."""

    def __init__(self, limits: Limits | None = None, greet: bool = True) -> None:
        self.now = 1_000_000
        self.crowded = False
        self.session = Session(WELCOME, limits, lambda: self.crowded)
        assert self.session.open() == [Send(WELCOME)]
        if greet:
            assert self.say(wire.Hello(wire.VERSION)) == []

    def say(self, frame: wire.ClientFrame) -> list[server.Command]:
        return self.session.receive(wire.encode(frame), self.now)

    def attach(self, handle: int, *roles: str, since: int | None = None) -> list[server.Command]:
        append, read, owner = (
            TOKENS[role] if role in roles else None for role in ("append", "read", "owner")
        )
        assert self.say(wire.Attach(handle, ID, append, read, owner, since)) == [Find(ID)]
        return self.session.found(LOG, self.now)


def refused(out: list[server.Command]) -> list[tuple[str, int]]:
    return [
        (command.frame.code, command.frame.n)
        for command in out
        if isinstance(command, Send) and isinstance(command.frame, wire.Refused)
    ]


def ended(out: list[server.Command]) -> bool:
    first, last = out
    assert isinstance(first, Send) and isinstance(first.frame, wire.Bye)
    return isinstance(last, End) and first.frame.code == last.reason


def test_attach_binds_and_starts_a_reader() -> None:
    script = Script()
    assert script.attach(1, "read", since=4) == [
        Stop(1),
        Touch(7),
        Send(wire.Attached(1, 3, 9)),
        Read(1, 7, 4, True),
    ]


def test_a_reader_ahead_of_the_log_starts_over() -> None:
    assert Script().attach(1, "read", since=9)[-1] == Read(1, 7, 0, True)


def test_reading_needs_the_read_role() -> None:
    assert not any(isinstance(c, Read) for c in Script().attach(1, "append", since=0))


def test_one_wrong_token_denies_all() -> None:
    script = Script()
    script.say(wire.Attach(1, ID, append=TOKENS["append"], read=b"x" * 32))
    assert refused(script.session.found(LOG, script.now)) == [("denied", 0)]
    assert refused(script.say(wire.Append(1, 1, 60, b"x"))) == [("unknown-handle", 1)]


def test_no_token_is_no_capability() -> None:
    script = Script()
    script.say(wire.Attach(1, ID))
    assert refused(script.session.found(LOG, script.now)) == [("denied", 0)]


def test_the_token_that_stands_for_none_opens_nothing() -> None:
    script = Script()
    script.say(wire.Attach(1, ID, read=b"\0" * 32))
    assert refused(script.session.found(None, script.now)) == [("denied", 0)]


def test_appends_are_acknowledged_up_to_the_first_that_is_not_durable() -> None:
    script = Script()
    script.attach(1, "append")
    for n in (1, 2, 3):
        assert script.say(wire.Append(1, n, 60, b"x")) == [
            Add(1, n, 7, expiry(script.now, 60), b"x")
        ]
    assert script.session.ack() is None
    script.session.settled(1, 1, None)
    assert script.session.ack() == wire.Acked(1)
    assert refused(script.session.settled(1, 2, Refusal("full", "full"))) == [("full", 2)]
    script.session.settled(1, 3, None)
    assert script.session.ack() == wire.Acked(3)
    assert script.session.ack() is None


def test_live_frames_are_fanned_out_and_never_answered() -> None:
    script = Script()
    script.attach(1, "append")
    script.attach(2, "read")
    assert script.say(wire.Live(1, b"live")) == [Fan(7, b"live")]
    for handle, body in ((2, b"no right"), (3, b"unknown"), (1, b"x" * 70_000)):
        assert script.say(wire.Live(handle, body[:66_000])) in ([], [Fan(7, body[:66_000])])
    assert script.session.ack() is None


def test_a_datagram_is_a_live_frame_or_nothing() -> None:
    script = Script()
    script.attach(1, "append")
    live = script.session.receive_live
    assert live(wire.encode(wire.Live(1, b"live")), script.now) == [Fan(7, b"live")]
    for data in (b"", b"\xff", wire.encode(wire.Append(1, 1, 60, b"x")), wire.encode(wire.Drop(1))):
        assert live(data, script.now) == []
    script.say(wire.Attach(2, ID, append=b"A" * 32))
    assert live(wire.encode(wire.Live(1, b"while one waits")), script.now)
    assert not Script(greet=False).session.receive_live(wire.encode(wire.Live(1, b"x")), 1)


def test_a_lifetime_is_cut_to_what_the_relay_keeps() -> None:
    script = Script(Limits(max_lifetime=100))
    script.attach(1, "append")
    (add,) = script.say(wire.Append(1, 1, 1_000, b"x"))
    assert isinstance(add, Add) and add.expires == expiry(script.now, 100)


@given(st.integers(0, 2**43), st.integers(1, wire.MAX_LIFETIME))
def test_expiry_is_not_exact_and_never_early(now: int, lifetime: int) -> None:
    at, asked = expiry(now, lifetime), now + lifetime * 1000
    step = server.HOUR if lifetime >= 86_400 else server.MINUTE
    assert asked <= at < asked + step
    assert at % step == 0


def test_frames_wait_in_order_behind_an_attach() -> None:
    script = Script()
    script.say(wire.Attach(1, ID, append=TOKENS["append"]))
    assert script.say(wire.Append(1, 1, 60, b"x")) == []
    assert script.say(wire.Attach(2, ID, read=TOKENS["read"])) == []
    out = script.session.found(LOG, script.now)
    assert out[-2:] == [Add(1, 1, 7, expiry(script.now, 60), b"x"), Find(ID)]


def test_what_waits_is_bounded() -> None:
    script = Script(Limits(held_bytes=1_000))
    script.say(wire.Attach(1, ID, append=TOKENS["append"]))
    assert script.say(wire.Append(1, 1, 60, b"x" * 500)) == []
    assert ended(script.say(wire.Append(1, 2, 60, b"x" * 500)))
    assert script.session.found(LOG, script.now) == []


def test_create_trim_and_drop() -> None:
    script = Script()
    create = wire.Create(1, ID, b"a" * 32, b"r" * 32, b"o" * 32, 8)
    assert script.say(create) == [Make(create)]
    assert script.session.done(None, script.now) == [Send(wire.Done(1, "create"))]
    script.attach(1, "owner")
    assert script.say(wire.Trim(1, 5)) == [Cut(7, 5)]
    assert script.session.done(None, script.now) == [Send(wire.Done(1, "trim"))]
    assert script.say(wire.Drop(1)) == [Remove(7)]
    assert script.session.done(None, script.now) == [Stop(1), Send(wire.Done(1, "drop"))]
    assert refused(script.say(wire.Trim(1, 6))) == [("unknown-handle", 0)]


def test_only_an_owner_trims_and_drops_and_only_a_writer_appends() -> None:
    script = Script()
    script.attach(1, "append", "read")
    assert refused(script.say(wire.Trim(1, 5))) == [("denied", 0)]
    assert refused(script.say(wire.Drop(1))) == [("denied", 0)]
    script.attach(2, "read", "owner")
    assert refused(script.say(wire.Append(2, 1, 60, b"x"))) == [("denied", 1)]


def test_hello_first_once_and_of_this_version() -> None:
    assert ended(Script(greet=False).say(wire.Detach(1)))
    assert ended(Script(greet=False).say(wire.Append(1, 1, 60, b"")))
    assert ended(Script().say(wire.Hello(wire.VERSION)))
    assert ended(Script(greet=False).say(wire.Hello(wire.VERSION + 1)))


def test_a_gap_in_the_count_ends_the_connection() -> None:
    script = Script()
    script.attach(1, "append")
    assert ended(script.say(wire.Append(1, 2, 60, b"x")))
    assert script.say(wire.Append(1, 1, 60, b"x")) == []


def test_rates_handles_creates_and_sizes_are_bounded_by_name() -> None:
    script = Script(Limits(appends_per_second=4, burst_seconds=1, handles=1))
    script.attach(1, "append")
    assert refused(script.say(wire.Attach(2, ID, read=TOKENS["read"]))) == [("full", 0)]
    out = [refused(script.say(wire.Append(1, n, 60, b"x"))) for n in (1, 2, 3)]
    assert out == [[], [], [("rate", 3)]]
    script.now += 1_000
    assert refused(script.say(wire.Append(1, 4, 60, b"x"))) == []
    script = Script(Limits(max_body=10, creates=0, unsettled_bytes=8))
    script.attach(1, "append")
    assert refused(script.say(wire.Append(1, 1, 60, b"x" * 11))) == [("size", 1)]
    assert refused(script.say(wire.Append(1, 2, 60, b"x" * 9))) == [("later", 2)]
    create = wire.Create(2, ID, b"a" * 32, b"r" * 32, b"o" * 32)
    assert refused(script.say(create)) == [("rate", 0)]


def test_a_crowded_store_refuses_stored_records_only() -> None:
    script = Script()
    script.attach(1, "append")
    script.crowded = True
    assert refused(script.say(wire.Append(1, 1, 60, b"x"))) == [("later", 1)]
    assert script.say(wire.Live(1, b"x")) == [Fan(7, b"x")]


def test_a_dropped_log_takes_its_handles_along() -> None:
    script = Script()
    script.attach(1, "read")
    out = script.session.gone(1)
    assert out[0] == Stop(1) and refused(out) == [("denied", 0)]
    assert script.session.gone(1) == []


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_ends_this_connection_with_a_reason(garbage: list[bytes]) -> None:
    script = Script()
    for data in garbage:
        out = script.session.receive(data, script.now)
        if script.session.state == "ended":
            assert out == [] or ended(out)


tokens = st.sampled_from([None, *TOKENS.values(), b"x" * 32])
handles = st.integers(0, 3)
frames = st.one_of(
    st.builds(wire.Attach, handles, st.just(ID), tokens, tokens, tokens, st.integers(0, 12)),
    st.builds(wire.Create, handles, *[st.just(b"v" * s) for s in (16, 32, 32, 32)]),
    st.builds(wire.Trim, handles, st.integers(0, 12)),
    st.builds(wire.Drop, handles),
    st.builds(wire.Detach, handles),
    st.tuples(handles, st.just(60)),
    st.builds(wire.Live, handles, st.just(b"live")),
    st.sampled_from(["answer", "settle"]),
)


@given(st.lists(frames, max_size=40))
def test_every_request_is_answered_once_and_acks_never_run_ahead(
    steps: list[wire.ClientFrame | tuple[int, int] | str],
) -> None:
    script = Script()
    waiting: list[server.Command] = []
    adds: list[Add] = []
    asked = answered = n = durable = 0

    def note(out: list[server.Command]) -> None:
        nonlocal answered
        for command in out:
            if isinstance(command, (Find, Make, Cut, Remove)):
                waiting.append(command)
            elif isinstance(command, Add):
                adds.append(command)
            elif isinstance(command, Send):
                frame = command.frame
                answered += isinstance(frame, (wire.Attached, wire.Done))
                answered += isinstance(frame, wire.Refused) and not frame.n
                assert not isinstance(frame, wire.Bye)

    def answer() -> None:
        command = waiting.pop(0)
        assert not waiting
        if isinstance(command, Find):
            note(script.session.found(LOG, script.now))
        else:
            note(script.session.done(None, script.now))

    def settle() -> None:
        nonlocal durable
        add = adds.pop(0)
        note(script.session.settled(add.handle, add.n, None))
        durable = add.n

    for step in steps:
        if step == "answer":
            if waiting:
                answer()
        elif step == "settle":
            if adds:
                settle()
        elif isinstance(step, tuple):
            n += 1
            note(script.say(wire.Append(step[0], n, step[1], b"x")))
        elif not isinstance(step, str):
            asked += not isinstance(step, wire.Live)
            note(script.say(step))
        ack = script.session.ack()
        assert ack is None or not adds or durable <= ack.upto < adds[0].n
    while waiting:
        answer()
    while adds:
        settle()
    assert asked == answered
    script.session.ack()
    assert script.session.ack() is None
