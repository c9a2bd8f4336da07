"""Commands about files and voice notes."""

from __future__ import annotations

import argparse
import asyncio
import io
import mimetypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli.calls import find, with_node
from holdfast.cli.say import Exit, Trouble, show, size_text
from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import FileMoved, Message, MessageChanged

if TYPE_CHECKING:
    from holdfast.sound import voice

REACHED = {"sent": {"sent", "whole"}, "delivered": {"whole"}}
"""How far a file of mine is."""


class Progress:
    """How far a file is, on one line of the terminal; nothing elsewhere."""

    def __init__(self, doing: str, size: int) -> None:
        self._doing, self._size = doing, size
        self._shown = False

    def show(self, done: int, rate: int) -> None:
        """Bytes, and bytes a second."""
        if not sys.stderr.isatty():
            return
        text = f"{self._doing} {size_text(done)} of {size_text(self._size)}"
        if rate > 0:
            left = max(0, self._size - done) // rate
            text += f", {size_text(rate)}/s, {left // 60}:{left % 60:02} left"
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
        self._shown = True

    def end(self) -> None:
        """The line is free again."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


async def _until(
    client: Client,
    one: Message,
    enough: Callable[[Message], bool],
    doing: str,
    timeout: float,
) -> Message:
    """Wait for a message's file. Raises `TimeoutError` when it stands still for so long."""
    assert one.file is not None
    progress = Progress(doing, one.file.size)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout) as limit:
            while not enough(one):
                event = await anext(client.events(), None)
                if event is None:
                    raise Trouble("the node went away", Exit.NOT_RUNNING)
                if isinstance(event, FileMoved) and event.message == one.id:
                    progress.show(event.done, event.rate)
                elif isinstance(event, MessageChanged) and event.message.id == one.id:
                    one = event.message
                    if one.file is None:
                        raise Trouble("it was taken back", Exit.NOT_FOUND)
                else:
                    continue
                limit.reschedule(loop.time() + timeout)
    finally:
        progress.end()
    return one


def voice_note(path: Path) -> voice.VoiceNote:
    """Raises `Trouble`."""
    from holdfast.sound import voice
    from holdfast.sound.opus import BadSound

    try:
        return voice.make(path)
    except BadSound as error:
        raise Trouble(str(error), Exit.USAGE) from None


async def send(client: Client, asked: argparse.Namespace, note: voice.VoiceNote | None) -> Message:
    """Send `--file`, or a voice note; as far as `--wait` says."""
    contact = await client.node.contact(asked.contact)
    key = f"{asked.key}.file" if asked.key else None
    if note is not None:
        upload = await client.upload(io.BytesIO(note.data), len(note.data))
    else:
        upload = await _upload(client, asked.file)
    try:
        if note is not None:
            name, length, wave = f"{asked.voice.stem}.ogg", note.duration, note.wave
            one = await client.node.send_file(
                contact.id, upload, name, "voice", "audio/ogg", duration=length, wave=wave, key=key
            )
        else:
            name = asked.file.name
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            one = await client.node.send_file(contact.id, upload, name, type=kind, key=key)
    except ApiError:
        await client.node.discard_upload(upload)
        raise
    if asked.wait == "durable":
        return one
    enough = REACHED[asked.wait]

    def there(one: Message) -> bool:
        if one.state == "unsent":
            raise Trouble("it was not sent: the contact's key changed", Exit.REFUSED)
        return one.file is None or one.file.state in enough

    return await _until(client, one, there, "Sent", asked.timeout)


async def _upload(client: Client, path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            progress = Progress("Encrypted", size)
            try:
                return await client.upload(file, size, lambda done: progress.show(done, 0))
            finally:
                progress.end()
    except ConnectionError:
        raise
    except OSError as error:
        raise Trouble(f"cannot read {path}: {error.strerror or error}", Exit.USAGE) from None


def fetch(asked: argparse.Namespace) -> int | None:
    """Get a message's file and write it."""

    async def work(client: Client) -> None:
        await client.node.listen()
        one = await find(client, asked.id)
        if one.file is None:
            raise Trouble("this message carries no file", Exit.NOT_FOUND)
        to = _target(asked.to, one.file.name, asked.force)
        if not one.mine and one.file.state != "whole":
            one = await client.node.fetch_file(one.id)
            one = await _until(client, one, _here, "Got", asked.timeout)
        try:
            await _write(client, one, to, asked.force)
        except ConnectionError:
            raise
        except OSError as error:
            raise Trouble(f"cannot write {to}: {error.strerror or error}") from None
        show({"message": one, "file": str(to)}, asked.json, f"Written to {to}.")

    return with_node(asked, work)


def _here(one: Message) -> bool:
    state = one.file.state if one.file else "gone"
    if state == "gone":
        raise Trouble("no relay has it any more; ask them to send it again", Exit.NOT_FOUND)
    if state == "offered":
        raise Trouble("it was stopped; fetch it again when you want it", Exit.REFUSED)
    return state == "whole"


def _target(to: Path, name: str, force: bool) -> Path:
    """Where it goes: the sender's name counts only inside a folder that was named here."""
    if to.is_dir():
        plain = Path(name).name
        if plain != name or plain in ("", ".", ".."):
            raise Trouble("its name is not one for a file here; name one with --to", Exit.USAGE)
        to /= plain
    if to.exists() and not force:
        raise Trouble(f"{to} exists; choose another name, or --force", Exit.USAGE)
    return to


async def _write(client: Client, one: Message, to: Path, force: bool) -> None:
    assert one.file is not None
    part = to.with_name(to.name + ".part")
    progress = Progress("Written", one.file.size)
    with part.open("wb") as file:
        try:
            await client.download(one.id, file, lambda done: progress.show(done, 0))
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            progress.end()
    if to.exists() and not force:
        part.unlink()
        raise Trouble(f"{to} appeared meanwhile; choose another name, or --force")
    part.replace(to)


def cancel(asked: argparse.Namespace) -> int | None:
    """Stop getting a file; one's own is taken back, for both."""

    async def work(client: Client) -> None:
        one = await find(client, asked.id)
        if one.mine and one.file is not None:
            await client.node.delete(one.id)
            show({"deleted": one.id}, asked.json, "Taken back.")
        else:
            one = await client.node.cancel_file(one.id)
            show(one, asked.json, "Stopped; it can be fetched again.")

    return with_node(asked, work)
