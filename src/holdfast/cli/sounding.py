"""Commands about calls. Their sound is a file's, and what is heard goes into one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.cli.calls import with_node
from holdfast.cli.say import Exit, Trouble, show, tell
from holdfast.core.call.story import sentence
from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Call, CallChanged, CallMoment
from holdfast.sound import wav
from holdfast.sound.call import Heard, talk
from holdfast.sound.opus import BadSound

STATES = {
    "calling": "Calling…",
    "ringing": "Ringing…",
    "connecting": "Connecting…",
    "talking": "Talking.",
}
ENDS: dict[str, tuple[str, Exit]] = {
    "hung-up": ("The call is over.", Exit.OK),
    "declined": ("They declined.", Exit.DECLINED),
    "busy": ("They are in another call.", Exit.BUSY),
    "unanswered": ("They did not answer.", Exit.UNANSWERED),
    "missed": ("They stopped calling before it was answered.", Exit.UNANSWERED),
    "lost": ("The call was lost: nothing came from them for two minutes.", Exit.NETWORK),
    "failed": (
        "It was answered, but no sound came through. Check the connection and call again.",
        Exit.NETWORK,
    ),
}
"""Why a call ended: in words, and as an exit code."""
ENDING_S = 5.0


class Watched:
    """A call as its events tell it; says each step."""

    def __init__(self, client: Client, call: Call) -> None:
        self.call = call
        self.talking = asyncio.Event()
        self.ready = asyncio.Event()
        """There may be sound, or there never will be."""
        self.ended = asyncio.Event()
        self._said = ""
        self._client = client
        self._take(call)

    async def follow(self) -> None:
        """Until it has ended. Raises `Trouble` if the node goes away."""
        async for event in self._client.events():
            if isinstance(event, CallChanged) and event.call.id == self.call.id:
                self._take(event.call)
            if self.ended.is_set():
                return
        self.ready.set()
        raise Trouble("the node went away", Exit.NOT_RUNNING)

    def _take(self, call: Call) -> None:
        self.call = call
        if call.state != self._said:
            self._said = call.state
            tell(ENDS[call.reason][0] if call.state == "ended" else STATES[call.state])
        if call.state in ("connecting", "talking", "ended"):
            self.ready.set()
        if call.state == "talking":
            self.talking.set()
        if call.state == "ended":
            self.ended.set()


async def _have(client: Client, call: Call, asked: argparse.Namespace, out: Path) -> int:
    """The whole call, from ringing or accepting to its end; the exit code."""
    watched = Watched(client, call)
    following = asyncio.create_task(watched.follow())
    heard = Heard()
    try:
        with wav.Writer(out, asked.force) as recording:
            source = wav.read(asked.input, format=asked.format)
            await watched.ready.wait()
            if not watched.ended.is_set() and not following.done():
                with contextlib.suppress(ApiError):  # over already: its events say why
                    seconds = asked.seconds
                    heard = await talk(
                        client, call.id, source, recording.write, watched.talking, seconds
                    )
    finally:
        if not watched.ended.is_set():
            with contextlib.suppress(ApiError, ConnectionError):
                await client.node.hang_up(call.id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(following), ENDING_S)
        following.cancel()
    if following.done() and not following.cancelled():
        following.result()
    done = {"call": watched.call, "file": str(out), **asdict(heard)}
    show(done, asked.json, f"{heard.seconds:.1f} s heard, in {out}")
    return ENDS[watched.call.reason][1] if watched.call.reason else Exit.OK


def _prepare(asked: argparse.Namespace) -> None:
    """Everything that can be wrong with the files, before anybody's phone rings."""
    try:
        next(wav.read(asked.input, format=asked.format))
    except (BadSound, StopIteration) as error:
        text = str(error) or f"there is no sound in {asked.input}"
        raise Trouble(text, Exit.USAGE) from None
    if asked.out.exists() and not asked.force:
        raise Trouble(f"{asked.out} exists; choose another name, or --force", Exit.USAGE)
    if not asked.out.absolute().parent.is_dir():
        raise Trouble(f"there is no folder for {asked.out}", Exit.USAGE)


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """What goes wrong with files, as `Trouble`."""
    try:
        yield
    except BadSound as error:
        raise Trouble(str(error)) from None
    except FileExistsError as error:
        raise Trouble(f"{error.filename} exists; choose another name, or --force") from None
    except ConnectionError:
        raise
    except OSError as error:
        raise Trouble(f"cannot write {error.filename}: {error.strerror}") from None


async def _stoppable(work: Coroutine[Any, Any, int]) -> int:
    """SIGTERM hangs up too, as Ctrl-C does."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        mine = asyncio.current_task()
        if mine is not None and mine.cancelling():
            raise
        return Exit.STOPPED


def call(asked: argparse.Namespace) -> int | None:
    """Ring, talk, hang up."""
    _prepare(asked)

    async def work(client: Client) -> int:
        await client.node.listen()
        with _plainly():
            ringing = await client.node.start_call(asked.contact)
            return await _have(client, ringing, asked, asked.out)

    return with_node(asked, lambda client: _stoppable(work(client)))


async def _ringing(client: Client) -> AsyncIterator[Call]:
    """Calls that ring here."""
    await client.node.listen()
    for one in await client.node.calls():
        if not one.outgoing and one.state == "ringing":
            yield one
    async for event in client.events():
        if isinstance(event, CallChanged):
            one = event.call
            if not one.outgoing and one.state == "ringing":
                yield one
    raise Trouble("the node went away", Exit.NOT_RUNNING)


def answer(asked: argparse.Namespace) -> int | None:
    """Wait for calls and answer them."""
    _prepare(asked)

    async def work(client: Client) -> int:
        tell("Waiting for a call…")
        number = 0
        async for ringing in _ringing(client):
            try:
                accepted = await client.node.accept_call(ringing.id)
            except ApiError as error:
                if error.code != "not-found":  # it stopped ringing meanwhile
                    raise
                continue
            number += 1
            name = f"{asked.out.stem}-{number}{asked.out.suffix}"
            out = asked.out if number == 1 else asked.out.with_name(name)
            with _plainly():
                code = await _have(client, accepted, asked, out)
            if asked.once:
                return code
        return Exit.OK

    return with_node(asked, lambda client: _stoppable(work(client)))


async def _current(client: Client) -> Call:
    for one in await client.node.calls():
        if one.state != "ended":
            return one
    raise Trouble("there is no call going on", Exit.NOT_FOUND)


def _line(one: Call, name: str) -> str:
    way = "to" if one.outgoing else "from"
    muted = ", muted" if one.muted else ""
    return f"{one.id}  {way} {name}: {one.reason or one.state}{muted}"


def calls(asked: argparse.Namespace) -> int | None:
    """Show the call that is going on, if any, or how one went."""

    async def work(client: Client) -> None:
        if asked.of:
            story = await client.node.call_story(asked.of)
            show(story, asked.json, "\n".join(map(_moment, story.moments)))
            return
        for one in await client.node.calls():
            who = await client.node.contact(one.contact)
            show(one, asked.json, _line(one, who.name))

    return with_node(asked, work)


def _moment(one: CallMoment) -> str:
    seconds = one.at // 1000
    said = sentence(one.what, one.of, one.why, one.figures, one.again)
    return f"{seconds // 60}:{seconds % 60:02}  {said}"


def decline(asked: argparse.Namespace) -> int | None:
    """Do not answer."""

    async def work(client: Client) -> None:
        one = await client.node.decline_call((await _current(client)).id)
        show(one, asked.json, "Declined.")

    return with_node(asked, work)


def hang_up(asked: argparse.Namespace) -> int | None:
    """End the call, or stop ringing."""

    async def work(client: Client) -> None:
        one = await client.node.hang_up((await _current(client)).id)
        show(one, asked.json, "The call is over.")

    return with_node(asked, work)


def mute(asked: argparse.Namespace) -> int | None:
    """Send silence, or sound again."""

    async def work(client: Client) -> None:
        one = await client.node.mute_call((await _current(client)).id, not asked.undo)
        show(one, asked.json, "Muted." if one.muted else "They hear you again.")

    return with_node(asked, work)
