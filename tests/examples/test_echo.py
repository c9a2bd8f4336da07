"""Echo, as `make run` starts it, and somebody who writes to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from holdfast.node.client import Client
from holdfast.node.schema import Contact, Message
from holdfast.testing.processes import Processes

ECHO = Path(__file__).parents[2] / "examples" / "echo.py"
PATIENCE = 40


async def said(client: Client, contact: Contact, check: Callable[[Message], bool]) -> Message:
    """Echo's first message that fits, once it is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for one in (await client.node.messages(contact.id)).messages:
                if not one.mine and one.kind == "text" and check(one):
                    return one
            await asyncio.sleep(0.05)


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
