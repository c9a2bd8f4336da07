"""Where conversations live: relays that are lost, found and changed, through the nodes' API."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
from chatters import came, last_file, link, meet, person, relay, send_file, served, texts, until

from holdfast.node import engine, relays
from holdfast.node.api import Node
from holdfast.node.database import row, rows
from holdfast.node.desk import unpack_inbox
from holdfast.node.keeper import Work
from holdfast.testing.tap import Tap


async def test_one_relay_at_two_addresses_brings_two_people_together(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as direct,
        Tap(direct) as tap,
        person(tmp_path / "anna", "Anna", direct) as anna,
        person(tmp_path / "boris", "Boris", tap.home) as boris,
        person(tmp_path / "clara", "Clara", tap.home, direct) as clara,
    ):
        at_anna, at_boris = await meet(anna, boris)
        await anna.send(at_anna.id, "by the front door")
        await came(boris, lambda message: message.text == "by the front door")
        await boris.send(at_boris.id, "by the back door")
        await came(anna, lambda message: message.text == "by the back door")
        await until(lambda: texts(anna), lambda all: all[0].state == "delivered")

        status = await clara.status()
        assert len({one.id for one in status.relays if one.mine}) == 2
        await clara.remove_relay(status.relays[0].id)
        assert [one.label for one in (await clara.status()).relays if one.mine] == [
            status.relays[1].label
        ]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes takes moments."""
    monkeypatch.setattr(engine, "TICK_SECONDS", 0.1)
    monkeypatch.setattr(relays, "AWAY", 300)


async def talk(one: Node, other: Node, *words: str) -> None:
    """Each writes, and the other has it."""
    for said in words:
        for speaks, hears in ((one, other), (other, one)):
            text = f"{said} of {(await speaks.status()).name}"
            await speaks.send((await speaks.contacts())[0].id, text)
            await came(hears, lambda message: message.text == text)  # noqa: B023


async def homes_of(node: Node) -> tuple[set[str], set[str]]:
    """Labels of the relays of the one contact's inbox and outbox."""

    def job(work: Work) -> tuple[set[str], set[str]]:
        stored = row(work.db, "SELECT inbox, outbox FROM contact")
        mine, theirs = ({home.label for home in unpack_inbox(one).homes} for one in stored)
        return mine, theirs

    keeper = node._keeper
    assert keeper is not None
    return await keeper.run(job)


@pytest.mark.usefixtures("quick")
async def test_a_relay_that_is_added_is_a_home_of_old_conversations(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "first") as first,
        relay(tmp_path / "second") as second,
        person(tmp_path / "anna", "Anna", first) as anna,
        person(tmp_path / "boris", "Boris", first) as boris,
    ):
        await meet(anna, boris)
        await talk(anna, boris, "before")
        await anna.add_relay(str(second))
        both = {first.label, second.label}
        await until(lambda: homes_of(anna), lambda found: found == (both, {first.label}))
        await until(lambda: homes_of(boris), lambda found: found == ({first.label}, both))
        await talk(anna, boris, "after")
        id = next(one.id for one in (await anna.status()).relays if one.label == first.label)
        await anna.remove_relay(id)
        await until(lambda: homes_of(boris), lambda found: found[1] == {second.label})
        await until(lambda: leaving(anna), lambda left: not left)
        await talk(anna, boris, "in the end")


async def leaving(node: Node) -> list[str]:
    keeper = node._keeper
    assert keeper is not None
    return await keeper.run(lambda work: rows(work.db, "SELECT home FROM leaving"))


@pytest.mark.usefixtures("quick")
async def test_who_loses_the_only_relay_goes_on_through_the_contacts(tmp_path: Path) -> None:
    async with relay(tmp_path / "second") as second:
        async with (
            relay(tmp_path / "first") as first,
            person(tmp_path / "anna", "Anna", first) as anna,
            person(tmp_path / "boris", "Boris", second) as boris,
        ):
            await meet(anna, boris)
            await talk(anna, boris, "before")
        async with (
            person(tmp_path / "anna", "Anna") as anna,
            person(tmp_path / "boris", "Boris") as boris,
        ):
            await boris.send((await boris.contacts())[0].id, "are you there?")
            await came(anna, lambda message: message.text == "are you there?")
            await talk(anna, boris, "after")


@pytest.mark.usefixtures("quick")
async def test_two_of_three_relays_may_be_lost(tmp_path: Path) -> None:
    async with relay(tmp_path / "third") as third:
        async with (
            relay(tmp_path / "first") as first,
            relay(tmp_path / "second") as second,
            person(tmp_path / "anna", "Anna", first, second, third) as anna,
            person(tmp_path / "boris", "Boris", first, third) as boris,
        ):
            await meet(anna, boris)
            await talk(anna, boris, "before")
        async with (
            person(tmp_path / "anna", "Anna") as anna,
            person(tmp_path / "boris", "Boris") as boris,
        ):
            await talk(anna, boris, "after")


@pytest.mark.usefixtures("quick")
async def test_all_lost_they_find_each_other_at_a_relay_that_both_add(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "old") as old,
        person(tmp_path / "anna", "Anna", old) as anna,
        person(tmp_path / "boris", "Boris", old) as boris,
    ):
        await meet(anna, boris)
        await talk(anna, boris, "before")
    async with (
        relay(tmp_path / "new") as new,
        person(tmp_path / "anna", "Anna") as anna,
        person(tmp_path / "boris", "Boris") as boris,
    ):
        await anna.send((await anna.contacts())[0].id, "where are you?")
        await anna.add_relay(str(new))
        await boris.add_relay(str(new))
        await came(boris, lambda message: message.text == "where are you?")
        await talk(anna, boris, "after")
        expected = {old.label, new.label}, {old.label, new.label}
        await until(lambda: homes_of(anna), lambda found: found == expected)


@pytest.mark.usefixtures("quick")
async def test_all_lost_a_new_link_keeps_the_conversation(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "old") as old,
        person(tmp_path / "anna", "Anna", old) as anna,
        person(tmp_path / "boris", "Boris", old) as boris,
    ):
        await meet(anna, boris)
        await talk(anna, boris, "before")
    async with (
        relay(tmp_path / "one") as one,
        relay(tmp_path / "two") as two,
        person(tmp_path / "anna", "Anna") as anna,
        person(tmp_path / "boris", "Boris") as boris,
    ):
        await anna.send((await anna.contacts())[0].id, "lost for now")
        await anna.add_relay(str(one))
        await boris.add_relay(str(two))
        await boris.accept_invitation(await link(anna))
        await came(boris, lambda message: message.text == "lost for now")
        await talk(anna, boris, "after")
        assert len(await anna.contacts()) == len(await boris.contacts()) == 1
        for node in (anna, boris):
            said = [message.text for message in await texts(node)]
            assert said == [
                "before of Anna", "before of Boris", "lost for now", "after of Anna",
                "after of Boris",
            ]  # fmt: skip


async def test_what_a_relay_has_lost_is_made_and_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "AGAIN_SECONDS", 0.5)
    monkeypatch.setattr(engine, "UNTAKEN", 1_000)
    data = tmp_path / "relay"
    async with (
        relay(data) as first,
        person(tmp_path / "boris", "Boris", first) as boris,
        person(tmp_path / "anna", "Anna", first) as anna,
    ):
        await meet(anna, boris)
        await talk(anna, boris, "before")
    shutil.rmtree(data / "logs")
    async with (
        relay(data, first.port),
        person(tmp_path / "anna", "Anna") as anna,
        person(tmp_path / "boris", "Boris") as boris,
    ):
        await talk(anna, boris, "after")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("again", [False, True], ids=["through the contact", "by a new link"])
async def test_a_file_under_way_whose_relays_are_lost_goes_on_by_others(
    tmp_path: Path, again: bool
) -> None:
    data = os.urandom(400_000)
    async with relay(tmp_path / "second") as second:
        async with relay(tmp_path / "first") as first:
            async with (
                person(tmp_path / "boris", "Boris", first if again else second) as boris,
                person(tmp_path / "anna", "Anna", first) as anna,
            ):
                await meet(anna, boris)
            async with (
                person(tmp_path / "anna", "Anna") as anna,
                served(anna, tmp_path / "anna") as client,
            ):
                await send_file(client, data)
                await until(
                    lambda: last_file(anna), lambda m: m is not None and m.file.state == "sent"
                )
        async with (
            relay(tmp_path / "third") as third,
            person(tmp_path / "anna", "Anna") as anna,
            person(tmp_path / "boris", "Boris") as boris,
            served(boris, tmp_path / "boris") as client,
        ):
            await anna.add_relay(str(third))
            if again:
                await boris.add_relay(str(second))
                await boris.accept_invitation(await link(anna))
            found = await until(
                lambda: last_file(boris), lambda m: m is not None and m.file.state == "whole"
            )
            got = io.BytesIO()
            await client.download(found.id, got)
            assert got.getvalue() == data
            assert len((await anna.messages((await anna.contacts())[0].id)).messages) == 2
