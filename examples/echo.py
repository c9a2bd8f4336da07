"""Echo, a bot in one page: says hello, helps with first steps, says back the rest.

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
HELLO = (
    "Hello! I am Echo, a program on this machine. Write anything and I answer;"
    " “help” lists what I can tell you.\n\n"
    "Привет! Я Эхо, программа на этом компьютере. Напишите что-нибудь, я отвечу;"
    " на «помощь» расскажу, что умею."
)
TOPICS = (
    (
        r"\bhelp\b|помо[гщ]",
        (
            "Ask me about: inviting, verifying, privacy, disappearing messages. React to a message"
            " of mine, edit or delete one of yours: I notice."
        ),
        (
            "Спросите меня о приглашениях, проверке, защите, исчезающих сообщениях. Поставьте"
            " реакцию, измените или удалите своё сообщение: я замечу."
        ),
    ),
    (
        r"\binvit|приглаш|пригласи",
        (
            "Choose “Invite” and give the link or its QR code to one person. It works once, can be"
            " revoked, and expires by itself."
        ),
        (
            "Выберите «Пригласить» и передайте одному человеку ссылку или QR-код. Она действует"
            " один раз, её можно отозвать, и у неё есть срок."
        ),
    ),
    (
        r"\bverif|\bemoji\b|провер|эмодзи",
        (
            "Open the contact and compare seven emoji in a call or in person. If both see the same,"
            " nobody stands between you. Programs like me cannot do that for you."
        ),
        (
            "Откройте контакт и сравните семь эмодзи, по телефону или при встрече. Если у обоих"
            " они одинаковы, между вами никого нет. Программа вроде меня этого сделать не может."
        ),
    ),
    (
        r"\bprivacy\b|\bprivate\b|\bsecure\b|\bsafe\b|\bencrypt|защи[тщ]|безопасн|шифр|приватн",
        (
            "What we write is encrypted on your machine and opened on mine. The relay between us"
            " keeps sealed records, without names."
        ),
        (
            "Наша переписка шифруется у вас и открывается только у меня. Сервер между нами хранит"
            " запечатанные записи, без имён."
        ),
    ),
    (
        r"\bdisappear|\btimer\b|исчеза|таймер",
        "Set a lifetime in the conversation's menu: messages then disappear on both sides.",
        "Задайте срок в меню беседы: тогда сообщения исчезают у обоих.",
    ),
)
"""What is asked, in both languages, and the answers."""


def answer(text: str) -> str:
    """In the language of what was written, as far as its letters tell."""
    russian = re.search("[а-яё]", text, re.IGNORECASE) is not None
    for asked, english, in_russian in TOPICS:
        if re.search(asked, text, re.IGNORECASE):
            return in_russian if russian else english
    return f"Вы написали: {text}" if russian else f"You wrote: {text}"


async def invitation(client: Client) -> str:
    """The link that is open already, or a new one as soon as a relay has it."""
    made = None
    while True:
        for one in await client.node.invitations():
            if one.many and one.state == "open":
                return one.link
        made = made or await client.node.create_invitation(True, YEAR_HOURS, "Echo")
        await asyncio.sleep(0.05)


async def reply(client: Client, message: Message) -> None:
    """Answer once: the key makes a repeated answer the same message."""
    node = client.node
    if message.kind != "text" or message.deleted:
        return
    if not message.mine:
        await node.mark_read(message.contact, message.id)
        text = answer(message.text)[:16_000]
        await node.send(message.contact, text, reply_to=message.id, key=f"a-{message.id}")
        return
    for reaction in message.reactions:
        if not reaction.mine:
            key = f"r-{message.id}-{reaction.at}"
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
                if isinstance(event, ContactChanged):
                    one = event.contact
                    if one.state == "active" and (one.last is None or one.last.kind == "note"):
                        await client.node.send(one.id, HELLO, key=f"hello-{one.id}"[:64])
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
