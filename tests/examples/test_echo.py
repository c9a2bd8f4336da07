"""Echo, as `make run` starts it, and somebody who writes to it."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.node.client import Client
from holdfast.node.schema import Contact, FileKind, Message
from holdfast.sound import wav
from holdfast.sound.call import talk
from holdfast.sound.opus import RATE, SAMPLE
from holdfast.testing.listening import align, samples, speech
from holdfast.testing.processes import Processes

ECHO = Path(__file__).parents[2] / "examples" / "echo.py"
PATIENCE = 60


async def said(client: Client, contact: Contact, check: Callable[[Message], bool]) -> Message:
    """Echo's first message that fits, once it is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for one in (await client.node.messages(contact.id)).messages:
                if not one.mine and one.kind == "text" and check(one):
                    return one
            await asyncio.sleep(0.05)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await check():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def beside_echo(tmp_path: Path) -> AsyncIterator[tuple[Client, Contact]]:
    """Anna's node, with Echo among her contacts."""
    with Processes(tmp_path) as run:
        relay = run.relay("relay").address
        echo, anna = run.node("Echo", relay), run.node("Anna", relay)
        bot = await asyncio.create_subprocess_exec(
            sys.executable, ECHO, echo.directory, stdout=asyncio.subprocess.PIPE
        )
        assert bot.stdout is not None
        try:
            link = (await bot.stdout.readline()).decode().strip()
            async with Client.connect(anna.directory) as client:
                contact = await client.node.accept_invitation(link)
                await said(client, contact, lambda one: "Привет" in one.text)
                yield client, contact
        finally:
            bot.terminate()
            await bot.communicate()


async def test_echo_gives_a_file_and_a_voice_note_back(tmp_path: Path) -> None:
    async with beside_echo(tmp_path) as (client, contact):
        kinds: list[tuple[FileKind, str, int]] = [
            ("file", "", 3_000_000),
            ("voice", "audio/ogg", 40_000),
        ]
        for kind, media, size in kinds:
            data = b"OggS" + os.urandom(size - 4)
            upload = await client.upload(io.BytesIO(data), size)
            await client.node.send_file(
                contact.id, upload, f"{kind}.bin", kind, media, duration=900, wave=[1, 31, 7]
            )
            back: list[Message] = []

            async def came(kind: str = kind, back: list[Message] = back) -> bool:
                for one in (await client.node.messages(contact.id)).messages:
                    if one.file and not one.mine and one.file.kind == kind:
                        if one.file.state == "offered":
                            await client.node.fetch_file(one.id)
                        if one.file.state == "whole":
                            back.append(one)
                return bool(back)

            await until(came)
            got = io.BytesIO()
            await client.download(back[0].id, got)
            assert got.getvalue() == data
            file = back[0].file
            assert file is not None
            assert (file.name, file.wave) == (f"{kind}.bin", [1, 31, 7])


async def test_echo_picks_up_and_says_back_what_it_hears(tmp_path: Path) -> None:
    async with beside_echo(tmp_path) as (client, contact):
        call = await client.node.start_call(contact.id)
        said = b"".join(wav.read(speech()[0], format="g722"))[: 4 * RATE * SAMPLE]
        heard: list[bytes] = []
        talking = asyncio.Event()
        talking.set()
        source = iter([bytes(RATE * SAMPLE), said, bytes(3 * RATE * SAMPLE)])
        async with asyncio.timeout(PATIENCE):
            await talk(client, call.id, source, heard.append, talking, 8)
        lag = align(samples(said), samples(b"".join(heard)))
        assert 1.9 < lag / RATE < 4, "a second of silence, Echo's second, and a little more"
        await client.node.hang_up(call.id)

        async def entered() -> bool:
            last = (await client.node.messages(contact.id)).messages[-1]
            return last.call is not None and last.call.outcome == "talked"

        await until(entered)


async def test_echo_greets_and_answers_in_the_language_of_the_question(tmp_path: Path) -> None:
    with Processes(tmp_path) as run:
        relay = run.relay("relay").address
        echo, anna = run.node("Echo", relay), run.node("Anna", relay)
        bot = await asyncio.create_subprocess_exec(
            sys.executable, ECHO, echo.directory, stdout=asyncio.subprocess.PIPE
        )
        assert bot.stdout is not None
        try:
            link = (await bot.stdout.readline()).decode().strip()
            async with Client.connect(anna.directory) as client:
                contact = await client.node.accept_invitation(link)
                hello = await said(client, contact, lambda one: "Привет" in one.text)
                await client.node.send(contact.id, "How do I invite somebody?")
                await said(client, contact, lambda one: "QR code" in one.text)
                await client.node.send(contact.id, "Как пригласить друга?")
                await said(client, contact, lambda one: "QR-код" in one.text)
                asked = await client.node.send(contact.id, "Good evening")
                heard = await said(client, contact, lambda one: one.text.endswith("Good evening"))
                assert heard.reply_to is not None
                assert heard.reply_to.id == asked.id
                await client.node.react(hello.id, "🌍")
                await said(client, contact, lambda one: one.text == "🌍")
                texts = [one.text for one in (await client.node.messages(contact.id)).messages]
                assert texts.count(hello.text) == 1
        finally:
            bot.terminate()
            await bot.communicate()
