"""Two people, one relay or two, through the node's API, over loopback TLS."""

from pathlib import Path

import pytest
from chatters import came, hear, link, meet, only, person, relay, texts, until

from holdfast.node.rpc import ApiError
from holdfast.node.schema import TypingChanged


async def test_a_conversation(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "a", "Анна", home) as anna,
        person(tmp_path / "b", "Boris", home) as boris,
    ):
        b, a = await meet(anna, boris)
        assert (b.name, a.name) == ("Boris", "Анна")
        first = await anna.send(b.id, "Привет, Борис! https://example.org/", key="k")
        assert (await anna.send(b.id, "again", key="k")).id == first.id
        got = await came(boris, lambda m: m.text.startswith("Привет"))
        assert not got.mine
        await came(anna, lambda m: m.id == first.id and m.state == "delivered")
        await boris.mark_read(a.id, got.id)
        read = await came(anna, lambda m: m.id == first.id and m.state == "read")
        assert read.read_at
        await boris.send(a.id, "Yes?", reply_to=got.id)
        answer = await came(anna, lambda m: m.text == "Yes?")
        assert answer.reply_to is not None and answer.reply_to.id == first.id
        await anna.react(answer.id, "👍")
        await came(boris, lambda m: [r.emoji for r in m.reactions] == ["👍"])
        await anna.react(answer.id, None)
        await came(boris, lambda m: m.text == "Yes?" and not m.reactions)
        await anna.edit(first.id, "Здравствуй")
        edited = await came(boris, lambda m: m.text == "Здравствуй")
        assert edited.edited and edited.id == got.id
        hits = await boris.search("здравст")
        assert [hit.match for hit in hits] == ["Здравствуй"]
        assert await boris.search("привет") == []
        await anna.delete(first.id)
        await came(boris, lambda m: m.id == got.id and m.deleted and not m.text)
        assert await boris.search("здравст") == []
        with pytest.raises(ApiError):
            await anna.edit(answer.id, "not mine")
        await anna.rename_me("Anna")
        await until(lambda: boris.contact(a.id), lambda c: c.name == "Anna")
        heard = hear(boris)
        await anna.set_typing(b.id, True)
        await until(lambda: texts(boris), lambda _: TypingChanged(a.id, True) in heard)


async def test_comparing_emoji(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "a", "Anna", home) as anna,
        person(tmp_path / "b", "Boris", home) as boris,
    ):
        b, a = await meet(anna, boris)
        await anna.start_verification(b.id)
        await until(lambda: boris.verification(a.id), lambda v: v is not None)
        await boris.start_verification(a.id)
        mine = await until(
            lambda: anna.verification(b.id), lambda v: v is not None and v.state == "compare"
        )
        theirs = await until(
            lambda: boris.verification(a.id), lambda v: v is not None and v.state == "compare"
        )
        assert mine and theirs and len(mine.emoji) == 7 and mine.emoji == theirs.emoji
        await anna.confirm_verification(b.id, True)
        await boris.confirm_verification(a.id, True)
        await until(lambda: anna.contact(b.id), lambda c: c.verified)
        await until(lambda: boris.contact(a.id), lambda c: c.verified)


async def test_what_disappears_is_gone(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "a", "Anna", home) as anna,
        person(tmp_path / "b", "Boris", home) as boris,
    ):
        b, a = await meet(anna, boris)
        await anna.set_timer(b.id, 1)
        await until(lambda: boris.contact(a.id), lambda c: c.timer == 1)
        await anna.send(b.id, "canary")
        got = await came(boris, lambda m: m.text == "canary")
        await boris.mark_read(a.id, got.id)
        await until(lambda: texts(boris), lambda all: not all)
        await until(lambda: texts(anna), lambda all: not all)
        assert await boris.search("canary") == []


async def test_the_inviter_sleeps_and_everything_survives_a_restart(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay") as home:
        async with person(tmp_path / "a", "Anna", home) as anna:
            invited = await link(anna)
        async with person(tmp_path / "b", "Boris", home) as boris:
            waiting = await boris.accept_invitation(invited)
            assert waiting.state == "joining"
            for number in range(20):
                await boris.send(waiting.id, f"message {number}")
            await came(boris, lambda m: m.text == "message 19" and m.state == "sent")
        async with person(tmp_path / "a", "Anna", home) as anna:
            await came(anna, lambda m: m.text == "message 19")
            assert [m.text for m in await texts(anna)] == [f"message {n}" for n in range(20)]
            await anna.send((await only(anna)).id, "awake")
            async with person(tmp_path / "b", "Boris", home) as boris:
                await came(boris, lambda m: m.text == "awake")
                await came(boris, lambda m: m.text == "message 19" and m.state == "delivered")
                assert (await only(boris)).state == "active"


async def test_a_link_is_used_once(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "a", "Anna", home) as anna,
        person(tmp_path / "b", "Boris", home) as boris,
        person(tmp_path / "c", "Clara", home) as clara,
    ):
        invited = await link(anna)
        await boris.accept_invitation(invited)
        await only(boris)
        await until(anna.invitations, lambda all: all[0].state == "used")
        with pytest.raises(ApiError) as refused:
            await clara.accept_invitation(invited)
        assert refused.value.code == "used"
        with pytest.raises(ApiError) as own:
            await anna.accept_invitation(await link(anna, many=True))
        assert own.value.code == "own-link"


async def test_two_relays_and_one_is_lost(tmp_path: Path) -> None:
    async with relay(tmp_path / "r1") as stays:
        async with relay(tmp_path / "r2") as goes:
            stack = person(tmp_path / "a", "Anna", stays, goes)
            anna = await stack.__aenter__()
            other = person(tmp_path / "b", "Boris", stays, goes)
            boris = await other.__aenter__()
            b, a = await meet(anna, boris)
            await anna.send(b.id, "both")
            await came(boris, lambda m: m.text == "both")
        await anna.send(b.id, "one")
        await came(boris, lambda m: m.text == "one")
        await came(anna, lambda m: m.text == "one" and m.state == "delivered")
        await boris.send(a.id, "back")
        await came(anna, lambda m: m.text == "back")
        assert [m.text for m in await texts(boris)] == ["both", "one", "back"]
        await stack.__aexit__(None, None, None)
        await other.__aexit__(None, None, None)


async def test_blocking_and_deleting(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "a", "Anna", home) as anna,
        person(tmp_path / "b", "Boris", home) as boris,
    ):
        b, a = await meet(anna, boris)
        await boris.block_contact(a.id)
        await anna.send(b.id, "unheard")
        await came(anna, lambda m: m.text == "unheard" and m.state == "sent")
        assert await texts(boris) == []
        await boris.block_contact(a.id, False)
        await came(boris, lambda m: m.text == "unheard")
        await boris.delete_contact(a.id)
        assert await boris.contacts() == []
        assert await boris.search("unheard") == []
