"""Calls about groups."""

from __future__ import annotations

from typing import Literal

from holdfast.node import group_links, groups, polls
from holdfast.node.api.jobs import Jobs
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import Contact, Group, Invitation, Message, Role


class Groups(Jobs):
    """See `schema.NodeApi`."""

    async def create_group(self, title: str, members: list[str]) -> Contact:
        """A group with contacts."""
        return await self._do(lambda desk, work: groups.create(desk, work, title, members))

    async def group(self, contact: str) -> Group:
        """Who is in it."""
        return await self._of(contact, groups.show)

    async def add_members(self, contact: str, members: list[str]) -> Group:
        """Add contacts."""
        return await self._of(contact, lambda desk, work, cid: groups.add(desk, work, cid, members))

    async def remove_member(self, contact: str, member: str, ban: bool = False) -> Group:
        """Remove one."""
        return await self._of(
            contact, lambda desk, work, cid: groups.remove(desk, work, cid, member, ban)
        )

    async def unban_member(self, contact: str, member: str) -> Group:
        """Let them be added again."""
        return await self._of(
            contact, lambda desk, work, cid: groups.unban(desk, work, cid, member)
        )

    async def set_role(self, contact: str, member: str, role: Role) -> Group:
        """Give a role."""
        return await self._of(
            contact, lambda desk, work, cid: groups.appoint(desk, work, cid, member, role)
        )

    async def set_group(
        self,
        contact: str,
        title: str | None = None,
        timer: int | None = None,
        slow: int | None = None,
        history: int | None = None,
        adding: Literal["admins", "members"] | None = None,
    ) -> Group:
        """Change settings."""

        def job(desk: Desk, work: Work, cid: str) -> Group:
            return groups.change(
                desk, work, cid, title=title, timer=timer, slow=slow, history=history, adding=adding
            )

        return await self._of(contact, job)

    async def create_group_link(
        self, contact: str, approve: bool = True, hours: int = 72
    ) -> Invitation:
        """A link into it."""
        return await self._of(
            contact, lambda desk, work, cid: group_links.create(desk, work, cid, approve, hours)
        )

    async def answer_request(self, contact: str, person: str, admit: bool) -> Group:
        """Admit, or do not."""
        return await self._of(
            contact, lambda desk, work, cid: group_links.answer(desk, work, cid, person, admit)
        )

    async def create_poll(
        self,
        contact: str,
        question: str,
        options: list[str],
        many: bool = False,
        key: str | None = None,
    ) -> Message:
        """Ask."""
        return await self._of(
            contact,
            lambda desk, work, cid: polls.create(desk, work, cid, question, options, many, key),
        )

    async def vote(self, id: str, choices: list[int]) -> Message:
        """Choose."""
        return await self._do(lambda desk, work: polls.vote(desk, work, id, choices))

    async def pin(self, id: str, on: bool = True) -> Message:
        """Keep in sight, or no longer."""
        return await self._do(lambda desk, work: polls.pin(desk, work, id, on))

    async def pinned(self, contact: str) -> list[Message]:
        """What is pinned."""
        return await self._of(contact, lambda desk, work, cid: polls.all_pinned(work, cid))

    async def write_to_member(self, contact: str, member: str) -> None:
        """Become contacts through the group."""
        await self._of(contact, lambda desk, work, cid: groups.introduce(desk, work, cid, member))

    async def block_member(self, contact: str, member: str, blocked: bool = True) -> Group:
        """Take nothing of what they say."""
        return await self._of(
            contact, lambda desk, work, cid: groups.block(desk, work, cid, member, blocked)
        )

    async def answer_report(
        self,
        contact: str,
        id: str,
        remove: bool = False,
        expel: bool = False,
        ban: bool = False,
    ) -> Group:
        """Do something about what was reported, or nothing."""
        return await self._of(
            contact,
            lambda desk, work, cid: groups.answer_report(desk, work, cid, id, remove, expel, ban),
        )

    async def renew_group(self, contact: str) -> Group:
        """A fresh key."""
        return await self._of(contact, groups.renew)

    async def leave_group(self, contact: str) -> Contact:
        """Leave."""
        return await self._of(contact, groups.leave)
