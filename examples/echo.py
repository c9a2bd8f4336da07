"""Echo, a bot in one page: says hello, says back what you write, answers reactions.

    python examples/echo.py HOME

HOME is the folder of a running node of its own. The first line printed is an invitation
that any number of people may use.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import ContactChanged, Message, MessageChanged

YEAR_HOURS = 24 * 365
HELLO = "Hello! I am Echo. Write anything and I say it back. / Привет! Я Эхо: повторяю, что пишут."


def answer(text: str) -> str:
    """In the language of what was written, as far as its letters tell."""
    russian = re.search("[а-яё]", text, re.IGNORECASE)
    return f"Вы написали: {text}" if russian else f"You wrote: {text}"


async def invitation(client: Client) -> str:
    """The link that is open already, or a new one."""
    for one in await client.node.invitations():
        if one.many and one.state == "open":
            return one.link
    made = await client.node.create_invitation(many=True, hours=YEAR_HOURS, label="Echo")
    return made.link


async def reply(client: Client, message: Message) -> None:
    """Answer once: the key makes a repeated answer the same message."""
    node = client.node
    if message.kind != "text" or message.deleted:
        return
    if not message.mine:
        await node.mark_read(message.contact, message.id)
        text = answer(message.text)[:16_000]
        await node.send(message.contact, text, reply_to=message.id, key=f"a-{message.id}"[:64])
    for reaction in message.reactions:
        if not reaction.mine and message.mine:
            key = f"r-{reaction.at}-{message.id}"[:64]
            await node.send(message.contact, reaction.emoji, reply_to=message.id, key=key)


async def main(home: Path) -> None:
    """Answer until the node ends."""
    async with Client.connect(home) as client:
        print(await invitation(client), flush=True)
        kept = home / "echo.cursor"
        since = int(kept.read_text()) if kept.exists() else 0
        await client.node.listen(since)
        async for event in client.events():
            try:
                if isinstance(event, ContactChanged) and event.contact.state == "active":
                    if event.contact.last is None or event.contact.last.kind == "note":
                        hello = f"hello-{event.contact.id}"[:64]
                        await client.node.send(event.contact.id, HELLO, key=hello)
                elif isinstance(event, MessageChanged):
                    await reply(client, event.message)
                    kept.write_text(str(event.message.cursor))
            except ApiError as error:
                print(f"could not answer: {error}", file=sys.stderr)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except (KeyboardInterrupt, ConnectionError) as error:
        sys.exit(str(error) or 0)
