"""Commands about groups."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

from holdfast.cli.calls import with_node
from holdfast.cli.messages import line
from holdfast.cli.say import show
from holdfast.node.client import Client
from holdfast.node.schema import Contact, Group

_KEYS = {
    "fresh": "only they can read what is written now",
    "renew": "whoever left lately could still read; the key is about to be renewed",
    "missing": "waits for its key; what is written meanwhile waits as well",
}


def _line(one: Contact) -> str:
    return f"{one.id}  {one.name}  group of {one.members}, {one.state}"


def _lines(one: Group) -> str:
    said = [f"{one.title}: {len(one.members)} members, {_KEYS[one.keys]}"]
    for member in one.members:
        marks = [member.role, *(["me"] if member.me else [])]
        marks += ["verified"] if member.verified else []
        marks += ["blocked"] if member.blocked else []
        marks += [f"added by {member.added_by}"] if member.added_by else []
        said.append(f"  {member.id}  {member.name}  {', '.join(marks)}")
    said += [f"  {who.contact}  {who.name}  asks to come in" for who in one.requests]
    said += [f"  {who.id}  {who.name}  banned" for who in one.banned]
    for told in one.reports:
        said.append(f"  {told.id}  {told.by.name} reports {told.author.name}: {told.text}")
        said += [f"    {told.words}"] if told.words else []
    said += [f"  {who} wrote without knowing who had been removed" for who in one.behind]
    for void in one.voided:
        said.append(f"  does not count: {', '.join(void.what)} by {void.who}, since {void.by}")
    return "\n".join(said)


def _shown(asked: argparse.Namespace, call: Callable[[Client], Awaitable[Group]]) -> int | None:
    async def work(client: Client) -> None:
        one = await call(client)
        show(one, asked.json, _lines(one))

    return with_node(asked, work)


def create(asked: argparse.Namespace) -> int | None:
    """Found one."""

    async def work(client: Client) -> None:
        one = await client.node.create_group(asked.title, asked.members)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def group(asked: argparse.Namespace) -> int | None:
    """Show who is in it."""
    return _shown(asked, lambda client: client.node.group(asked.contact))


def add(asked: argparse.Namespace) -> int | None:
    """Add contacts."""
    return _shown(asked, lambda client: client.node.add_members(asked.contact, asked.members))


def remove(asked: argparse.Namespace) -> int | None:
    """Remove a member."""
    return _shown(
        asked, lambda client: client.node.remove_member(asked.contact, asked.member, asked.ban)
    )


def unban(asked: argparse.Namespace) -> int | None:
    """Let somebody be added again."""
    return _shown(asked, lambda client: client.node.unban_member(asked.contact, asked.member))


def role(asked: argparse.Namespace) -> int | None:
    """Give a role."""
    return _shown(
        asked, lambda client: client.node.set_role(asked.contact, asked.member, asked.role)
    )


def change(asked: argparse.Namespace) -> int | None:
    """Change settings."""
    return _shown(
        asked,
        lambda client: client.node.set_group(
            asked.contact, asked.title, asked.timer, asked.slow, asked.history, asked.adding
        ),
    )


def link(asked: argparse.Namespace) -> int | None:
    """Make a link into it."""

    async def work(client: Client) -> None:
        one = await client.node.create_group_link(asked.contact, not asked.admit, asked.hours)
        show(one, asked.json, one.link)

    return with_node(asked, work)


def admit(asked: argparse.Namespace) -> int | None:
    """Admit who asks."""
    return _shown(
        asked, lambda client: client.node.answer_request(asked.contact, asked.person, True)
    )


def refuse(asked: argparse.Namespace) -> int | None:
    """Do not."""
    return _shown(
        asked, lambda client: client.node.answer_request(asked.contact, asked.person, False)
    )


def write(asked: argparse.Namespace) -> int | None:
    """Invite a member through the group."""

    async def work(client: Client) -> None:
        await client.node.write_to_member(asked.contact, asked.member)
        show({"invited": asked.member}, asked.json, f"{asked.member} is invited.")

    return with_node(asked, work)


def report(asked: argparse.Namespace) -> int | None:
    """Tell those who lead what somebody wrote."""

    async def work(client: Client) -> None:
        await client.node.report_message(asked.id, asked.words or None)
        show({"reported": asked.id}, asked.json, f"Reported {asked.id}.")

    return with_node(asked, work)


def block(asked: argparse.Namespace) -> int | None:
    """Take nothing of what a member says."""
    return _shown(
        asked, lambda client: client.node.block_member(asked.contact, asked.member, not asked.undo)
    )


def judge(asked: argparse.Namespace) -> int | None:
    """Answer a report."""
    return _shown(
        asked,
        lambda client: client.node.answer_report(
            asked.contact, asked.id, asked.remove, asked.expel or asked.ban, asked.ban
        ),
    )


def renew(asked: argparse.Namespace) -> int | None:
    """A fresh key."""
    return _shown(asked, lambda client: client.node.renew_group(asked.contact))


def leave(asked: argparse.Namespace) -> int | None:
    """Leave."""

    async def work(client: Client) -> None:
        one = await client.node.leave_group(asked.contact)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def poll(asked: argparse.Namespace) -> int | None:
    """Ask."""

    async def work(client: Client) -> None:
        one = await client.node.create_poll(
            asked.contact, asked.question, asked.options, asked.many
        )
        show(one, asked.json, line(one))

    return with_node(asked, work)


def vote(asked: argparse.Namespace) -> int | None:
    """Choose."""

    async def work(client: Client) -> None:
        one = await client.node.vote(asked.id, [number - 1 for number in asked.choices])
        show(one, asked.json, line(one))

    return with_node(asked, work)


def pin(asked: argparse.Namespace) -> int | None:
    """Keep in sight, or no longer."""

    async def work(client: Client) -> None:
        one = await client.node.pin(asked.id, not asked.undo)
        show(one, asked.json, line(one))

    return with_node(asked, work)
