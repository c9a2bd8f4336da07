"""A bot that takes complaints in a chat and passes them on to an observatory.

    python examples/complaints.py HOME https://watch.example.org

HOME is the folder of a running node of its own. It prints its key, which the keeper of the
observatory puts into the file `bots` there, and an invitation that any number of people may use.
People write, in English or Russian, “calls don't work, Velin, Veltel”. Where somebody is, it
remembers as long as it runs; who told what, it never writes down.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.drive.fetch import fetch
from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import ContactChanged, Message, MessageChanged
from holdfast.watch import told
from holdfast.watch.ledger import raw

YEAR_HOURS = 24 * 365
WORDS = {
    "calls": r"\bcall|звон",
    "voice": r"\bvoice (note|message)|голосов",
    "video": r"\bvideo|видео",
    "media": r"\b(photo|picture|file)|фото|картин|файл",
    "text": r"\b(text|messag)|сообщени|текст",
    "internet": r"\binternet|интернет",
}
HELLO = (
    "What does not work? Write it with your region and operator, for example: calls, {place}."
    " It is counted without your name.\n\n"
    "Что не работает? Напишите вместе с регионом и оператором, например: звонки, {place}."
    " Учитывается без имени."
)
SAY = {
    "what": ("What does not work? Calls, voice notes, video, photos, messages, internet{more}.",
             "Что не работает? Звонки, голосовые, видео, фото, сообщения, интернет{more}."),
    "where": ("In which region? {names}.", "В каком регионе? {names}."),
    "which": ("Which operator? {names}, or: other.", "Какой оператор? {names}, или: другой."),
    "counted": ("It counts: {what}; {where}. To change your region, just write it.",
                "Учтено: {what}; {where}. Чтобы сменить регион, просто напишите его."),
    "before": ("Not counted: {why}.", "Не учтено: {why}."),
    "later": ("The observatory cannot be reached. Try again later.",
              "До обсерватории не достучаться. Попробуйте позже."),
}  # fmt: skip


@dataclass
class Asked:
    """What is known of what somebody is saying."""

    functions: set[str] = field(default_factory=set)
    region: str = ""
    operator: str = ""


class Desk:
    """Understands what people write, and passes it on."""

    def __init__(self, root: str, key: Ed25519PrivateKey) -> None:
        self._root = root.rstrip("/")
        self._key = key
        self._people: dict[str, Asked] = {}
        self.watch = ""
        self._names: dict[str, list[tuple[str, str]]] = {}
        self._services: list[str] = []

    async def learn(self) -> None:
        """What the observatory is called and knows."""
        self.watch = str((await self._get("/about.json"))["watch"])
        places = await self._get("/places.json")
        self._names = {
            "region": [(one["code"], one[x]) for one in places["regions"] for x in ("en", "ru")],
            "operator": [(one["code"], one["name"]) for one in places["operators"]],
        }
        self._names["operator"] += [("other", "other"), ("other", "другой")]
        self._services = places.get("services", [])

    def hello(self) -> str:
        """How it introduces itself."""
        place = f"{self._names['region'][0][1]}, {self._names['operator'][0][1]}"
        return HELLO.format(place=place)

    async def answer(self, who: str, text: str) -> str:
        """What to say to somebody."""
        russian = re.search("[а-яё]", text, re.IGNORECASE) is not None
        one = self._people.setdefault(who, Asked())
        self._understand(one, text.casefold())

        def say(_sentence: str, **values: str) -> str:
            return SAY[_sentence][russian].format(**values)

        if not one.functions:
            more = "".join(f", {name}" for name in self._services)
            return say("what", more=more)
        if not one.region:
            return say("where", names=self._list("region", russian))
        if not one.operator:
            return say("which", names=self._list("operator", russian, skip="other"))
        functions, one.functions = tuple(sorted(one.functions)), set()
        try:
            counted, why = await self._tell(who, one, functions)
        except OSError:
            one.functions = set(functions)
            return say("later")
        if not counted:
            return say("before", why=why)
        where = f"{self._name('region', one.region, russian)}, {one.operator}"
        return say("counted", what=", ".join(functions), where=where)

    def _understand(self, one: Asked, text: str) -> None:
        one.functions |= {name for name, words in WORDS.items() if re.search(words, text)}
        one.functions |= {f"service:{name}" for name in self._services if name in text}
        for code, name in self._names["region"]:
            if name.casefold() in text or re.search(rf"\b{re.escape(code.casefold())}\b", text):
                one.region = code
        for code, name in self._names["operator"]:
            if name.casefold() in text:
                one.operator = code

    def _name(self, kind: str, code: str, russian: bool) -> str:
        names = [name for each, name in self._names[kind] if each == code]
        return names[-1 if russian else 0]

    def _list(self, kind: str, russian: bool, skip: str = "") -> str:
        codes = dict.fromkeys(code for code, _ in self._names[kind] if code != skip)
        return ", ".join(self._name(kind, code, russian) for code in codes)

    async def _tell(self, who: str, one: Asked, functions: tuple[str, ...]) -> tuple[int, str]:
        day = int(time.time()) // 86_400
        key = self._key.private_bytes_raw()
        hidden = hmac.digest(key, f"{day}/{who}".encode(), "sha256")[: told.WHO]
        said = told.make(
            self._key, self.watch, one.region, one.operator, functions, day, hidden
        )  # fmt: skip
        answer = await fetch(self._root + "/api/told", msgspec.json.encode(said))
        found = msgspec.json.decode(answer)
        return int(found["counted"]), str(found["why"])

    async def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(await fetch(self._root + path))
        return found


async def reply(client: Client, desk: Desk, message: Message) -> None:
    """Answer once: the key makes a repeated answer the same message."""
    if message.kind != "text" or message.mine or message.deleted:
        return
    await client.node.mark_read(message.contact, message.id)
    text = await desk.answer(message.contact, message.text)
    await client.node.send(message.contact, text, key=f"a-{message.id}")


async def main(home: Path, root: str) -> None:
    """Answer until the node ends."""
    kept = home / "complaints.key"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_bytes(secrets.token_bytes(32))
    key = Ed25519PrivateKey.from_private_bytes(kept.read_bytes())
    print(raw(key).hex(), flush=True)
    desk = Desk(root, key)
    await desk.learn()
    async with Client.connect(home) as client:
        await client.node.update_settings(admit=True)
        made = await client.node.create_invitation(True, YEAR_HOURS, "Complaints")
        while made.state == "preparing":
            await asyncio.sleep(0.05)
            made = next(one for one in await client.node.invitations() if one.id == made.id)
        print(made.link, flush=True)
        await client.node.listen()
        async for event in client.events():
            try:
                if isinstance(event, ContactChanged):
                    one = event.contact
                    if one.state == "active" and (one.last is None or one.last.kind == "note"):
                        await client.node.send(one.id, desk.hello(), key=f"hello-{one.id}"[:64])
                elif isinstance(event, MessageChanged):
                    await reply(client, desk, event.message)
            except ApiError as error:
                print(f"could not answer: {error}", file=sys.stderr)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
    except (KeyboardInterrupt, OSError) as error:
        sys.exit(str(error) or 0)
