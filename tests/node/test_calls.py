"""Calls between two nodes, over loopback TLS."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from chatters import PATIENCE, hear, last_file, meet, person, relay, served, until

from holdfast.core.call import bursts
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.jitter import Packet
from holdfast.core.call.rungs import BURST
from holdfast.core.chat import content
from holdfast.core.seen import SMALL
from holdfast.node import calls, ringing
from holdfast.node.api import Node
from holdfast.node.database import row
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Call, CallChanged, Message
from holdfast.node.thin import DECODE, ENCODE, NOTE, Thin
from holdfast.sound import wav
from holdfast.sound.opus import RATE, SAMPLE, Encoder


@contextlib.asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home) as anna,
        person(tmp_path / "boris", "Boris", home) as boris,
    ):
        await meet(anna, boris)
        yield anna, boris


async def rings(node: Node) -> Call:
    found = await until(node.calls, bool)
    assert (found[0].state, found[0].outgoing) == ("ringing", False)
    return found[0]


async def in_state(node: Node, state: str) -> Call:
    found = await until(node.calls, lambda all: bool(all) and all[0].state == state)
    return found[0]


async def entry(node: Node) -> Message:
    """The last call in the conversation, once there is none going on."""
    await until(node.calls, lambda all: not all)

    async def last() -> Message | None:
        contact = (await node.contacts())[0]
        return contact.last

    found = await until(last, lambda m: m is not None and m.kind == "call")
    assert found is not None
    return found


async def test_a_call_is_rung_answered_heard_and_entered(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        made = await anna.start_call("Boris")
        assert made.state == "calling"
        ringing = await rings(boris)
        await in_state(anna, "ringing")
        await boris.accept_call(ringing.id)
        for node in (anna, boris):
            await in_state(node, "talking")
        engine = anna._engine
        other = boris._engine
        assert engine is not None
        assert other is not None
        heard = []
        for number in range(60):
            engine.calls.microphone(0, bytes((number,)) * 40)
            await asyncio.sleep(0.02)
            pulled = other.calls.pull()
            if isinstance(pulled, Packet) and pulled.data:
                heard.append(pulled.data[0])
        assert len(heard) >= 40
        assert heard == sorted(set(heard))
        await anna.mute_call(made.id, True)
        await until(boris.calls, lambda all: all[0].their_muted)
        await boris.hang_up(ringing.id)
        for node in (anna, boris):
            found = await entry(node)
            assert found.call is not None
            assert found.call.outcome == "talked"
            assert found.call.duration > 1000
            assert not (await node.contacts())[0].unread


async def test_declining_and_not_answering(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        await anna.start_call("Boris")
        await boris.decline_call((await rings(boris)).id)
        for node in (anna, boris):
            found = (await entry(node)).call
            assert found is not None
            assert found.outcome == "declined"
        made = await anna.start_call("Boris")
        await rings(boris)
        await anna.hang_up(made.id)
        found = (await entry(anna)).call
        assert found is not None
        assert found.outcome == "unanswered"
        missed = await until(lambda: boris.contact("Anna"), lambda one: one.unread == 1)
        assert missed.last is not None
        assert missed.last.call is not None
        assert missed.last.call.outcome == "missed"


async def test_busy_and_one_call_at_a_time(tmp_path: Path) -> None:
    async with (
        two(tmp_path) as (anna, boris),
        relay(tmp_path / "other") as home,
        person(tmp_path / "clara", "Clara", home) as clara,
    ):
        from chatters import link

        await clara.accept_invitation(await link(boris))
        await until(clara.contacts, lambda all: all[0].state == "active")
        await until(lambda: boris.contact("Clara"), lambda one: one.state == "active")
        await anna.start_call("Boris")
        await boris.accept_call((await rings(boris)).id)
        with pytest.raises(ApiError) as refused:
            await anna.start_call("Boris")
        assert refused.value.code == "taken"
        await clara.start_call("Boris")
        found = (await entry(clara)).call
        assert found is not None
        assert found.outcome == "busy"
        await until(lambda: boris.contact("Clara"), lambda one: one.unread == 1)
        await in_state(boris, "talking")


async def test_both_ring_each_other(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        await asyncio.gather(anna.start_call("Boris"), boris.start_call("Anna"))
        one, other = await in_state(anna, "talking"), await in_state(boris, "talking")
        assert one.id == other.id
        await anna.hang_up(one.id)
        await entry(anna)
        await entry(boris)


async def test_no_call_without_a_contact_that_answered(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        await boris.block_contact("Anna")
        with pytest.raises(ApiError):
            await boris.start_call("Anna")
        heard = hear(boris)
        made = await anna.start_call("Boris")
        await asyncio.sleep(0.3)
        assert await boris.calls() == []
        assert not [event for event in heard if isinstance(event, CallChanged)]
        await anna.hang_up(made.id)
        for act in (anna.accept_call, anna.decline_call, anna.hang_up):
            with pytest.raises(ApiError):
                await act(made.id)


async def test_an_old_ring_is_a_missed_call(tmp_path: Path) -> None:
    async with two(tmp_path) as (_anna, boris):
        cid = (await boris.contacts())[0].id
        engine, keeper = boris._engine, boris._keeper
        assert engine is not None
        assert keeper is not None
        home = str((await keeper.run(engine.desk.homes))[0])
        at = (await boris.contacts())[0].added - ringing.TOO_LATE - 1
        said = content.Ring(bytes(16), at, bytes(32), bytes(16), bytes(32), (home,))
        for _ in range(2):
            engine.calls.heard(cid, said)
        found = await entry(boris)
        assert found.call is not None
        assert found.call.outcome == "missed"
        page = await boris.messages(cid)
        assert len([m for m in page.messages if m.kind == "call"]) == 1


@pytest.mark.parametrize("away", [0, 40 * 86_400_000, -400 * 86_400_000])
async def test_a_wrong_clock_does_not_keep_a_call_from_ringing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    monkeypatch.setattr(calls, "WITHDRAWN", 0.2)
    async with two(tmp_path) as (anna, boris):
        keeper = anna._keeper
        assert keeper is not None
        clock = keeper._clock
        monkeypatch.setattr(keeper, "_clock", lambda: clock() + away)
        await anna.start_call("Boris")
        await boris.accept_call((await rings(boris)).id)
        await in_state(anna, "talking")


@pytest.mark.parametrize("late", [0, 2 * ringing.TOO_LATE])
async def test_a_ring_whose_end_comes_with_it_does_not_ring(tmp_path: Path, late: int) -> None:
    async with two(tmp_path) as (_anna, boris):
        cid = (await boris.contacts())[0].id
        engine, keeper = boris._engine, boris._keeper
        assert engine is not None
        assert keeper is not None
        home = str((await keeper.run(engine.desk.homes))[0])
        at = (await boris.contacts())[0].added - late
        said = content.Ring(bytes(16), at, bytes(32), bytes(16), bytes(32), (home,))
        heard = hear(boris)
        engine.calls.heard(cid, said, live=True)
        engine.calls.heard(cid, content.Answer(bytes(16), "end"), live=True)
        found = await entry(boris)
        assert found.call is not None
        assert found.call.outcome == "missed"
        assert not [event for event in heard if isinstance(event, CallChanged)]


async def test_a_node_that_ends_ends_its_call(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home) as anna,
    ):
        async with person(tmp_path / "boris", "Boris", home) as boris:
            await meet(anna, boris)
            await anna.start_call("Boris")
            await boris.accept_call((await rings(boris)).id)
            await in_state(anna, "talking")
            await in_state(boris, "talking")
        # It said so as it went: nobody waits for somebody who may come back.
        there = (await entry(anna)).call
        assert there is not None
        assert there.outcome == "talked"
        async with person(tmp_path / "boris", "Boris", home) as boris:
            here = (await entry(boris)).call
            assert here is not None
            assert here.outcome == "talked"
            assert here.duration > 0


async def test_a_node_that_was_killed_remembers_that_it_talked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MARK", 1)
    async with two(tmp_path) as (anna, boris):
        await anna.start_call("Boris")
        await boris.accept_call((await rings(boris)).id)
        await in_state(anna, "talking")

        async def talked() -> int:
            found = await boris._do(lambda _, work: row(work.db, "SELECT talked FROM call"))
            return int(found[0])

        while await talked() < 100:
            await asyncio.sleep(0.02)
        await boris._do(ringing.resume)  # what the next start does
        last = (await boris.contacts())[0].last
        assert last is not None
        found = last.call
        assert found is not None
        assert found.outcome == "talked"
        assert found.duration >= 100


async def test_sound_joins_only_what_was_accepted(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        made = await anna.start_call("Boris")
        ringing = await rings(boris)
        assert boris.join_sound(ringing.id) is None
        assert boris.join_sound(os.urandom(16).hex()) is None
        assert anna.join_sound(made.id) is not None
        await boris.accept_call(ringing.id)
        assert boris.join_sound(ringing.id) is not None


async def test_homes_of_a_ring_that_are_none_do_not_ring(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, boris):
        cid = (await boris.contacts())[0].id
        engine = boris._engine
        assert engine is not None
        at = (await boris.contacts())[0].added
        engine.calls.heard(
            cid, content.Ring(bytes(16), at, bytes(32), bytes(16), bytes(32), ("nonsense",))
        )
        found = await entry(boris)
        assert found.call is not None
        assert found.call.outcome == "missed"


async def speak(one: Node, other: Node, seconds: float) -> list[bytes]:
    """`one` says packets as its node wants them coded; what `other` plays of them."""
    speaker, listener = one._engine, other._engine
    assert speaker is not None
    assert listener is not None
    heard: list[bytes] = []
    loop = asyncio.get_running_loop()
    due, wanted, until_then = 0.0, 0, loop.time() + seconds
    while loop.time() < until_then:
        call = speaker.calls._call
        if call is None:
            break
        if loop.time() >= due:
            rung = call.machine.rung
            due = max(due, loop.time() - 0.1) + rung.ms / 1000
            speaker.calls.microphone(rung.number, bytes((7,)) * rung.size)
        wanted += 1
        while wanted > 0:
            pulled = listener.calls.pull()
            wanted -= pulled.units if isinstance(pulled, Packet) else 1
            if isinstance(pulled, Packet) and pulled.data:
                heard.append(pulled.data)
        await asyncio.sleep(0.02)
    return heard


@pytest.mark.timeout(120)
async def test_where_only_text_passes_it_is_spoken_in_bursts(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        made = await anna.start_call("Boris")
        ringing = await rings(boris)
        await in_state(anna, "ringing")
        await boris.accept_call(ringing.id)
        for node in (anna, boris):
            await in_state(node, "talking")
        assert anna._engine is not None
        logs = anna._engine.calls._logs
        path = logs.path
        logs.path = lambda home: SMALL  # type: ignore[method-assign]
        for _ in range(10):
            heard = await speak(anna, boris, 2)
            if any(len(packet) == BURST.size for packet in heard):
                break
        else:
            raise AssertionError("nothing came in bursts")
        (seen,) = await boris.calls()
        assert seen.line == "pieces"
        logs.path = path  # type: ignore[method-assign]
        for _ in range(10):
            await speak(anna, boris, 2)
            if (await anna.calls())[0].line == "whole":
                break
        await anna.hang_up(made.id)
        await entry(boris)
        last = (await boris.contacts())[0].last
        assert last is not None
        story = await boris.call_story(last.id)
        assert {"live"} <= {one.way for one in story.samples}
        assert "bursts" in {one.rung for one in story.samples}
        assert all(one.why for one in story.moments)


@pytest.mark.timeout(120)
async def test_a_burst_that_comes_too_late_is_a_voice_note_of_that_moment(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        made = await anna.start_call("Boris")
        await boris.accept_call((await rings(boris)).id)
        for node in (anna, boris):
            await in_state(node, "talking")
        await anna.hang_up(made.id)
        await entry(boris)
        tone = voice(2.0)
        encoder = Encoder(BURST.rate, BURST.ms)
        size = encoder.samples * SAMPLE
        packets = [
            Spoken(at * BURST.units, BURST, encoder.encode(tone[at * size : (at + 1) * size]))
            for at in range(30)
        ]
        contact = (await anna.contacts())[0].id
        said = content.Burst(bytes.fromhex(made.id), bursts.encode(packets))
        await anna._do(lambda desk, work: ringing.say(desk, work, contact, said))

        note = await until(lambda: last_file(boris), bool)
        assert note is not None
        assert note.note == "from-call"
        assert note.file is not None
        assert (note.file.kind, note.file.state) == ("voice", "whole")
        assert 1_700 <= note.file.duration <= 1_900
        assert max(note.file.wave) == 31
        async with served(boris, tmp_path / "boris") as client:
            kept = io.BytesIO()
            await client.download(note.id, kept)
        (tmp_path / "note.ogg").write_bytes(kept.getvalue())
        heard = b"".join(wav.read(tmp_path / "note.ogg"))
        assert abs(len(heard) / SAMPLE / RATE - 1.8) < 0.1
        # Of a call that is not known nothing is made.
        unknown = content.Burst(os.urandom(16), bursts.encode(packets))
        await anna._do(lambda desk, work: ringing.say(desk, work, contact, unknown))
        await asyncio.sleep(5)
        assert (await last_file(boris)) == note


def voice(seconds: float) -> bytes:
    """Something that sounds."""
    at = np.arange(int(seconds * RATE)) / RATE
    return (8_000 * np.sin(2 * np.pi * 300 * at)).astype(np.int16).tobytes()


async def test_codec2_is_coded_beside_the_node() -> None:
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    thin = Thin()
    pcm = (voice(0.24)[::12] + bytes(320 * 12))[: 320 * SAMPLE * 6]
    for at in range(6):
        thin.ask(ENCODE, pcm[at * 640 : at * 640 + 640], answers.put_nowait)
    async with asyncio.timeout(PATIENCE):
        coded = [await answers.get() for _ in range(6)]
        assert {len(one) for one in coded} == {6}
        thin.ask(DECODE, b"".join(coded), answers.put_nowait)
        assert len(await answers.get()) == 6 * 640
        thin.ask(NOTE, b"garbage", answers.put_nowait)
        assert await answers.get() == b""
        thin.ask(ENCODE, b"short", answers.put_nowait)
        assert await answers.get() == b""
    await thin.stop()
