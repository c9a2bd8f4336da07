"""The bot for complaints: somebody writes to it, and the observatory counts it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.node.client import Client
from holdfast.node.schema import Contact
from holdfast.testing.processes import Processes
from holdfast.watch import told
from holdfast.watch.journal import Journal
from holdfast.watch.ledger import raw

BOT = Path(__file__).parents[2] / "examples" / "complaints.py"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
pytestmark = [pytest.mark.timeout(120)]


async def heard(client: Client, contact: Contact, text: str) -> None:
    async with asyncio.timeout(60):
        while True:
            page = await client.node.messages(contact.id)
            if any(not one.mine and text in one.text for one in page.messages):
                return
            await asyncio.sleep(0.05)


async def test_somebody_complains_in_a_chat(tmp_path: Path) -> None:
    data = tmp_path / "w"
    data.mkdir()
    (data / "bots").write_text(raw(KEY).hex() + "\n")
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "holdfast.cli", "watch", "--data", data,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert watch.stdout is not None
    root = (await watch.stdout.readline()).decode().strip()
    with Processes(tmp_path) as run:
        relay = run.relay("relay").address
        home, anna = run.node("Bot", relay), run.node("Anna", relay)
        (home.directory / "complaints.key").write_bytes(b"k" * 32)
        bot = await asyncio.create_subprocess_exec(
            sys.executable, BOT, home.directory, root, stdout=asyncio.subprocess.PIPE
        )
        assert bot.stdout is not None
        try:
            assert (await bot.stdout.readline()).decode().strip() == raw(KEY).hex()
            link = (await bot.stdout.readline()).decode().strip()
            async with Client.connect(anna.directory) as client:
                contact = await client.node.accept_invitation(link)
                await heard(client, contact, "Что не работает")
                for words, expected in (
                    ("Hi!", "What does not work?"),
                    ("calls do not work", "In which region?"),
                    ("in Velin", "Which operator?"),
                    ("Veltel, of course", "It counts: calls; Velin, veltel."),
                    ("calls again", "Not counted"),
                    ("теперь и youtube", "Учтено: service:youtube"),
                ):
                    await client.node.send(contact.id, words)
                    await heard(client, contact, expected)
        finally:
            bot.terminate()
            watch.terminate()
            await bot.communicate()
            await watch.communicate()
    journal = Journal(data / "journal", lambda call: call())
    kept = [entry for day in journal.days() for entry in journal.read(day)]
    journal.close()
    assert [(one.source, one.region, one.operator, one.function) for one in kept] == [
        ("f", "VEL", "veltel", "calls"), ("f", "VEL", "veltel", "service:youtube"),
    ]  # fmt: skip


def test_only_what_a_listed_bot_signed_today_for_here_is_taken() -> None:
    one = told.make(KEY, "here", "VEL", "veltel", ("calls",), 7, b"w" * 16)
    bots = frozenset({raw(KEY)})
    told.decode(json.dumps(_plain(one)).encode()).check("here", bots, 7)
    for watch, known, today in (
        ("there", bots, 7), ("here", frozenset[bytes](), 7), ("here", bots, 8),
    ):  # fmt: skip
        with pytest.raises(told.BadTold):
            one.check(watch, known, today)
    other = told.make(
        Ed25519PrivateKey.generate(), "here", "VEL", "veltel", ("calls",), 7, b"w" * 16
    )
    forged = told.Told(
        one.region, one.operator, ("text",), one.day, one.who, one.bot, other.signature
    )
    with pytest.raises(told.BadTold):
        forged.check("here", bots, 7)
    for data in (b"", b"[" * 9999, b'{"region": "VEL"}', b"\xff"):
        with pytest.raises(told.BadTold):
            told.decode(data)


def _plain(one: told.Told) -> object:
    import msgspec

    return msgspec.to_builtins(one)
