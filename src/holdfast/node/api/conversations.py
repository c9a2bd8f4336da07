"""Calls about conversations: messages, files, calls."""

from __future__ import annotations

from typing import Literal

from holdfast.node import (
    files,
    messages,
    moderation,
    talking,
    views,
)
from holdfast.node.api.jobs import Jobs
from holdfast.node.calls import Calls
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.page import page
from holdfast.node.ringing import story as call_story
from holdfast.node.schema import (
    Call,
    CallStory,
    Contact,
    FileKind,
    Hit,
    Message,
    Page,
)


class Conversations(Jobs):
    """See `schema.NodeApi`."""

    # Messages.

    async def messages(self, contact: str, before: int | None = None, limit: int = 50) -> Page:
        """A conversation backwards."""
        return await self._of(
            contact, lambda desk, work, cid: talking.page(work, cid, before, limit)
        )

    async def messages_around(self, contact: str, id: str, limit: int = 50) -> Page:
        """The neighbourhood of one message."""
        return await self._of(
            contact, lambda desk, work, cid: talking.page_around(work, cid, id, limit)
        )

    async def send(
        self, contact: str, text: str, reply_to: str | None = None, key: str | None = None
    ) -> Message:
        """Write."""
        return await self._of(
            contact, lambda desk, work, cid: talking.send(desk, work, cid, text, reply_to, key)
        )

    async def edit(self, id: str, text: str) -> Message:
        """Change a message of mine."""
        return await self._do(lambda desk, work: talking.edit(desk, work, id, text))

    async def delete(self, id: str, for_both: bool = True) -> Message | None:
        """Take a message back, or remove it here."""

        def job(desk: Desk, work: Work) -> Message | None:
            if for_both and not views.message(work.db, messages.number(id)).mine:
                return moderation.remove_for_all(desk, work, id)
            return talking.delete(desk, work, id, for_both)

        return await self._do(job)

    async def report_message(self, id: str, words: str | None = None) -> None:
        """Tell those who lead."""
        await self._do(lambda desk, work: moderation.report(desk, work, id, words or ""))

    async def react(self, id: str, emoji: str | None) -> Message:
        """Set or remove my reaction."""
        return await self._do(lambda desk, work: talking.react(desk, work, id, emoji))

    async def mark_read(self, contact: str, upto: str) -> Contact:
        """Everything up to this message has been seen."""
        return await self._of(
            contact, lambda desk, work, cid: talking.mark_read(desk, work, cid, upto)
        )

    async def set_typing(self, contact: str, typing: bool) -> None:
        """Tell them."""
        await self._of(contact, lambda desk, work, cid: talking.typing(desk, work, cid, typing))

    async def search(self, words: str, contact: str | None = None, limit: int = 50) -> list[Hit]:
        """Newest first."""

        def job(desk: Desk, work: Work) -> list[Hit]:
            cid = None if contact is None else views.resolve(work.db, contact)
            return talking.search(work, words, cid, limit)

        return await self._do(job)

    async def export(self, contact: str) -> list[Message]:
        """A whole conversation."""
        return await self._of(
            contact,
            lambda desk, work, cid: views.messages(
                work.db, "WHERE contact = ? ORDER BY place, mid", cid
            ),
        )

    async def export_page(self, contact: str, language: Literal["en", "ru"] = "en") -> str:
        """A whole conversation as a web page."""

        def job(desk: Desk, work: Work, cid: str) -> str:
            found = views.messages(work.db, "WHERE contact = ? ORDER BY place, mid", cid)
            return page(views.contact(work.db, cid), found, language, work.now)

        return await self._of(contact, job)

    # Files.

    async def send_file(
        self,
        contact: str,
        upload: str,
        name: str,
        kind: FileKind = "file",
        type: str = "",
        thumb: str = "",
        width: int = 0,
        height: int = 0,
        duration: int = 0,
        wave: list[int] | None = None,
        reply_to: str | None = None,
        key: str | None = None,
    ) -> Message:
        """Send what was uploaded."""
        small = files.thumb_bytes(thumb)
        offer = files.Offer(name, kind, type, small, width, height, duration, bytes(wave or ()))

        def job(desk: Desk, work: Work, cid: str) -> Message:
            return files.send(desk, work, cid, upload, offer, reply_to, key)

        return await self._of(contact, job)

    async def discard_upload(self, upload: str) -> None:
        """Delete an upload."""
        await self._do(lambda desk, work: files.discard(work, upload))

    async def fetch_file(self, id: str) -> Message:
        """Get a file that was offered."""
        return await self._do(lambda desk, work: files.fetch(desk, work, id))

    async def cancel_file(self, id: str) -> Message:
        """Take mine back, or stop getting theirs."""

        def job(desk: Desk, work: Work) -> Message:
            if views.message(work.db, messages.number(id)).mine:
                taken = talking.delete(desk, work, id, True)
                assert taken is not None
                return taken
            return files.cancel(desk, work, id)

        return await self._do(job)

    # Calls.

    def _calls(self) -> Calls:
        return self._running().calls

    async def calls(self) -> list[Call]:
        """The call that is going on."""
        return self._calls().current()

    async def start_call(self, contact: str) -> Call:
        """Ring them."""
        id = await self._with(contact, lambda desk, work, cid: cid)
        return await self._calls().start(id, self._do)

    async def accept_call(self, id: str) -> Call:
        """Answer."""
        return self._calls().accept(id)

    async def decline_call(self, id: str) -> Call:
        """Do not answer."""
        return self._calls().decline(id)

    async def hang_up(self, id: str) -> Call:
        """End it."""
        return self._calls().hang_up(id)

    async def call_story(self, message: str) -> CallStory:
        """How a call went."""
        return await self._do(lambda desk, work: call_story(work, message))

    async def mute_call(self, id: str, muted: bool) -> Call:
        """Send silence, or sound again."""
        return self._calls().mute(id, muted)
