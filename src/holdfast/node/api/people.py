"""Calls about people: inviting, contacts, comparing emoji."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

from holdfast.core.channel.link import is_channel
from holdfast.core.chat import sync
from holdfast.core.seal.link import BadLink, Link
from holdfast.drive.logs import CaughtUp, Down, Received, Refused
from holdfast.node import (
    blocking,
    channels,
    comparing,
    effects,
    group_devices,
    group_state,
    groups,
    inviting,
    linking,
    renewing,
    requests,
    talking,
    views,
)
from holdfast.node.api.jobs import Jobs
from holdfast.node.database import (
    row,
    rows,
)
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import (
    Contact,
    Invitation,
    Verification,
)
from holdfast.node.vault import Vault

INTRODUCED: Final = (0.0, 2.0, 30.0, 300.0)
"""Seconds before each attempt to accept an invitation that came from within a group."""
FETCH_SECONDS: Final = 30.0
"""How long an invitation's relays may take to give what the link promises."""


class People(Jobs):
    """See `schema.NodeApi`."""

    def __init__(self, vault: Vault, clock: Callable[[], int], echo_link: str | None) -> None:
        super().__init__(vault, clock)
        self._echo_link = echo_link
        self._accepting: set[asyncio.Task[None]] = set()
        self._renewing: dict[str, asyncio.Task[None]] = {}

    # Invitations.

    async def create_invitation(
        self, many: bool = False, hours: int = 72, label: str = ""
    ) -> Invitation:
        """A new link."""
        return await self._do(lambda desk, work: inviting.create(desk, work, many, hours, label))

    async def invitations(self) -> list[Invitation]:
        """All that are open, and those that ended lately."""

        def job(desk: Desk, work: Work) -> list[Invitation]:
            listed = "SELECT id FROM invitation WHERE renews = '' ORDER BY created DESC, id"
            found = rows(work.db, listed)
            return [views.invitation(work.db, desk.rows, id, work.now) for (id,) in found]

        return await self._do(job)

    async def revoke_invitation(self, id: str) -> Invitation:
        """End it."""

        def job(desk: Desk, work: Work) -> Invitation:
            found = row(work.db, "SELECT state FROM invitation WHERE id = ?", id)
            if found is not None and found[0] not in ("open", "preparing"):
                return views.invitation(work.db, desk.rows, id, work.now)
            return inviting.end(desk, work, id, "revoked")

        return await self._do(job)

    async def accept_invitation(self, link: str) -> Contact:
        """Become contacts, or read a channel."""
        if is_channel(link):
            return await self._do(lambda desk, work: channels.follow(desk, work, link))
        return await self._accept(link, echo=False)

    async def add_echo(self) -> Contact:
        """Add Echo."""
        if self._echo_link is None:
            raise ApiError("not-found", "Echo is not running beside this node")
        return await self._accept(self._echo_link, echo=True)

    async def _accept(
        self, text: str, echo: bool, within: effects.Introduced | None = None
    ) -> Contact:
        try:
            link = Link.parse(text, self._clock())
        except BadLink as error:
            code = "expired" if error.reason == "expired" else "bad-link"
            raise ApiError(code, str(error)) from None
        if link.device:
            raise ApiError(
                "bad-link",
                "This is no invitation: with this code somebody links a new device. It is used on a"
                " fresh Holdfast, by whoever shows it, and does nothing here",
            )

        def check(desk: Desk, work: Work) -> None:
            if linking.is_new(desk, work):
                raise ApiError("phase", "this device is not linked yet")
            if not desk.homes(work):
                raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
            if row(work.db, "SELECT 1 FROM invitation WHERE accept = ?", link.accept.locator):
                raise ApiError("own-link", "this is your own invitation; send it to somebody else")

        await self._do(check)
        record = await self._fetch(link)

        def job(desk: Desk, work: Work) -> Contact:
            only = b"" if within is None else within.root
            cid = inviting.accept(desk, work, link, record, echo, only=only)
            if within is not None:
                work.db.execute("UPDATE contact SET via = ? WHERE id = ?", (within.group, cid))
                requests.ask(desk, work, cid, within=True)
            else:
                requests.accept(desk, work, cid)
            return views.contact(work.db, cid)

        return await self._do(job)

    def _renew(self, contact: str) -> None:
        """A contact goes on with another device: follow, in the background."""
        if contact not in self._renewing:
            task = asyncio.get_running_loop().create_task(self._follow(contact))
            self._renewing[contact] = task
            task.add_done_callback(lambda _: self._renewing.pop(contact, None))

    async def _follow(self, contact: str) -> None:
        link = await self._do(lambda desk, work: renewing.link_of(desk, work, contact))
        if link is None:
            return
        try:
            record = await self._fetch(link)
            await self._do(lambda desk, work: renewing.follow(desk, work, contact, link, record))
        except ApiError as error:
            if error.code not in ("no-relay", "storage"):  # then it is tried again
                await self._do(lambda desk, work: renewing.forget(work, contact))

    def _introduced(self, who: effects.Introduced) -> None:
        """A member of a group invites me: accept, as soon as a relay has the invitation."""

        async def accept() -> None:
            for wait in INTRODUCED:
                await asyncio.sleep(wait)
                try:
                    await self._accept(who.link, echo=False, within=who)
                except ApiError as error:
                    if error.code not in ("no-relay", "used"):
                        return
                    continue
                return

        task = asyncio.create_task(accept())
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _fetch(self, link: Link) -> bytes:
        """The bundle that the link promises, from whichever home has it."""
        engine = self._engine
        assert engine is not None
        caps = link.bundle
        queue = engine.fetch(caps.locator)
        left = {str(home) for home in link.homes}
        denied, why = 0, "it does not answer"
        try:
            for home in link.homes:
                engine.logs.follow(caps, home, 0)
            async with asyncio.timeout(FETCH_SECONDS):
                while left:
                    match await queue.get():
                        case Received(_, _, _, _, body):
                            if hashlib.sha256(body).digest() == link.bundle_hash:
                                return body
                        case CaughtUp(_, home):
                            left.discard(str(home))
                            why = "it does not have what the link promises yet"
                        case Refused(_, home, "attach", code, text):
                            left.discard(str(home))
                            denied, why = denied + (code == "denied"), text
                        case Down(home, text) if str(home) in left:
                            left.discard(str(home))
                            why = text
        except TimeoutError:
            pass
        finally:
            engine.fetched(caps.locator)
            for home in link.homes:
                engine.logs.unfollow(caps, home)
            engine.follow([effects.Relays()])
        if denied == len(link.homes):
            raise ApiError("used", "This invitation has been used. Ask for a new one.")
        raise ApiError(
            "no-relay",
            f"the invitation could not be fetched from its relay: {why}. Try again a little later",
        )

    # Contacts.

    async def contacts(self) -> list[Contact]:
        """Newest conversation first."""
        return await self._do(
            lambda desk, work: views.contacts(
                work.db, "WHERE kind NOT IN ('device', 'own') ORDER BY active DESC, id"
            )
        )

    async def contact(self, contact: str) -> Contact:
        """One."""
        return await self._of(contact, lambda desk, work, cid: views.contact(work.db, cid))

    async def rename_contact(self, contact: str, name: str) -> Contact:
        """Your own name for them."""
        return await self._of(
            contact, lambda desk, work, cid: talking.rename(desk, work, cid, name)
        )

    async def set_timer(self, contact: str, seconds: int) -> Contact:
        """Lifetime of messages from now on."""

        def job(desk: Desk, work: Work, cid: str) -> Contact:
            if views.contact(work.db, cid).kind == "group":
                groups.change(desk, work, cid, timer=seconds)
                return views.contact(work.db, cid)
            return talking.set_timer(desk, work, cid, seconds)

        return await self._of(contact, job)

    async def block_contact(self, contact: str, blocked: bool = True) -> Contact:
        """Stop reading what they send."""
        return await self._with(
            contact, lambda desk, work, cid: blocking.contact(desk, work, cid, blocked)
        )

    async def accept_contact(self, contact: str) -> Contact:
        """Let them in."""

        def job(desk: Desk, work: Work, cid: str) -> Contact:
            shown = requests.accept(desk, work, cid)
            if shown.kind == "group":
                group_devices.share(desk, work, group_state.opened(desk, work, cid))
            return shown

        return await self._of(contact, job)

    async def allow_direct(self, contact: str, allowed: bool) -> Contact:
        """Let calls go straight, or by relays alone."""
        return await self._of(
            contact, lambda desk, work, cid: talking.allow_direct(desk, work, cid, allowed)
        )

    async def delete_contact(self, contact: str) -> None:
        """Delete the conversation, its keys and its logs."""

        def job(desk: Desk, work: Work, cid: str) -> None:
            kind = views.contact(work.db, cid).kind
            if kind == "person":
                talking.tell_own(desk, work, cid, sync.Gone)
            ends = {"group": groups.delete, "channel": channels.delete}
            ends.get(kind, renewing.delete_contact)(desk, work, cid)

        await self._of(contact, job)

    # Verification.

    async def start_verification(self, contact: str) -> Verification:
        """Ask to compare emoji, or join."""
        return await self._with(contact, comparing.start)

    async def verification(self, contact: str) -> Verification | None:
        """The comparison in progress."""

        def job(desk: Desk, work: Work, cid: str) -> Verification | None:
            machine = desk.verifications.get(cid)
            return None if machine is None else comparing.view(cid, machine)

        return await self._of(contact, job)

    async def confirm_verification(self, contact: str, match: bool) -> Verification:
        """Say whether the seven emoji were the same."""
        return await self._with(
            contact, lambda desk, work, cid: comparing.confirm(desk, work, cid, match)
        )
