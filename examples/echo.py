"""Echo, a bot: says hello, helps with first steps, says back the rest: words, voice notes,
files, and in a call what it hears, a second later.

    python examples/echo.py HOME

HOME is the folder of a running node of its own. The first line printed is an invitation
that any number of people may use.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Call, CallChanged, ContactChanged, Message, MessageChanged

YEAR_HOURS = 24 * 365
DELAY_MS = 1000
FRAME_MS = 20
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
            "Ask me about: calls, inviting, verifying, privacy, disappearing messages. React to a"
            " message of mine, edit or delete one of yours: I notice. Call me to hear yourself."
        ),
        (
            "Спросите меня о звонках, приглашениях, проверке, защите, исчезающих сообщениях."
            " Поставьте реакцию, измените или удалите своё сообщение: я замечу. Позвоните, чтобы"
            " услышать себя."
        ),
    ),
    (
        r"\bcalls?\b|\bsound\b|\bvoice\b|звон|звук|голос",
        (
            "Call me to test your sound: I say back what you say, a second later. A voice note or"
            " a file comes back too."
        ),
        (
            "Позвоните мне, чтобы проверить звук: я повторю ваши слова через секунду. Голосовое"
            " сообщение или файл я тоже пришлю обратно."
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
    await client.node.update_settings(admit=True)
    made = None
    while True:
        for one in await client.node.invitations():
            if one.many and one.state == "open":
                return one.link
        made = made or await client.node.create_invitation(True, YEAR_HOURS, "Echo")
        await asyncio.sleep(0.05)


async def give_back(client: Client, message: Message) -> None:
    """Send a file that came back, as a file of one's own."""
    file = message.file
    if file is None or message.mine or message.deleted:
        return
    if file.state == "offered":
        await client.node.fetch_file(message.id)
    elif file.state == "whole":
        await client.node.mark_read(message.contact, message.id)
        with tempfile.TemporaryFile() as kept:
            size = await client.download(message.id, kept)
            kept.seek(0)
            upload = await client.upload(kept, size)
        await client.node.send_file(
            message.contact,
            upload,
            file.name,
            file.kind,
            file.type,
            file.thumb.partition(",")[2],
            file.width,
            file.height,
            file.duration,
            file.wave,
            key=f"f-{message.id}",
        )


async def talk(client: Client, call: Call) -> None:
    """Pick up, and say back what is heard, `DELAY` later."""
    from holdfast.sound.call import talk  # the codec is needed now, not before
    from holdfast.sound.coding import FRAME_BYTES

    await client.node.accept_call(call.id)
    said = deque([bytes(FRAME_BYTES)] * (DELAY_MS // FRAME_MS))

    def back() -> Iterator[bytes]:
        while True:
            yield said.popleft() if said else bytes(FRAME_BYTES)

    talking = asyncio.Event()
    talking.set()
    await talk(client, call.id, back(), said.append, talking)


async def reply(client: Client, message: Message) -> None:
    """Answer once: the key makes a repeated answer the same message."""
    node = client.node
    if message.kind == "file":
        await give_back(client, message)
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
    talks: set[asyncio.Task[None]] = set()
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
                elif isinstance(event, CallChanged):
                    if event.call.state == "ringing" and not event.call.outgoing:
                        talks.add(task := asyncio.create_task(talk(client, event.call)))
                        task.add_done_callback(talks.discard)
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
