"""Calls about channels."""

from __future__ import annotations

from holdfast.node import channel_feed, channels, group_links, views
from holdfast.node.api.jobs import Jobs
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import Channel, Contact

COMMENTS_HOURS = 24 * 365
"""How long a channel's link into the group that talks about it stands."""


class Channels(Jobs):
    """See `schema.NodeApi`."""

    async def create_channel(self, title: str, about: str = "", name: str | None = None) -> Contact:
        """Begin one."""
        return await self._do(lambda desk, work: channels.create(desk, work, title, about, name))

    async def channel(self, contact: str) -> Channel:
        """What it is."""
        return await self._of(contact, channels.show)

    async def set_channel(
        self,
        contact: str,
        title: str | None = None,
        about: str | None = None,
        comments: str | None = None,
    ) -> Channel:
        """Change what is given."""

        def job(desk: Desk, work: Work, cid: str) -> Channel:
            link = comments
            if comments:
                group = views.resolve(work.db, comments)
                link = group_links.create(desk, work, group, False, COMMENTS_HOURS).link
            return channels.change(desk, work, cid, title, about, link)

        return await self._of(contact, job)

    async def follow_channel(self, link: str, name: str | None = None) -> Contact:
        """Read it."""
        return await self._do(lambda desk, work: channels.follow(desk, work, link, name))

    async def silence_writer(self, contact: str, writer: str) -> None:
        """Leave out all of a writer's."""
        await self._of(
            contact, lambda desk, work, cid: channel_feed.silence(desk, work, cid, writer)
        )

    async def move_channel(self, contact: str, public: bool = False) -> Contact:
        """Go on in a new one."""
        return await self._of(
            contact, lambda desk, work, cid: channels.move(desk, work, cid, public)
        )
