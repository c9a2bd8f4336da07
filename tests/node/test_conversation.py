"""Two people through their nodes' API, over a real relay on loopback."""

from __future__ import annotations

import pytest

from holdfast.node import receiving, talking
from holdfast.node.rpc import ApiError


async def test_an_invitation_makes_contacts_both_ways(world) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        at_anna, at_boris = await anna.meet(boris)
        assert (at_anna.name, at_boris.name) == ("Boris", "Anna")
        assert not at_anna.verified and not at_boris.verified
        assert [i.state for i in await anna.node.invitations()] == ["used"]


async def test_text_arrives_and_its_state_comes_back(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        sent = await anna.node.send(at_anna, "Привет, Boris!")
        assert sent.state == "waiting"
        got = await boris.message_when(at_boris, lambda m: m.text == "Привет, Boris!")
        assert not got.mine and got.state == "received"
        await anna.message_when(at_anna, lambda m: m.id == sent.id and m.state == "delivered")
        await boris.node.mark_read(at_boris, got.id)
        await anna.message_when(at_anna, lambda m: m.id == sent.id and m.state == "read")
        assert (await boris.node.contact(at_boris)).unread == 0


async def test_reply_edit_react_delete(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        first = await anna.node.send(at_anna, "Did the pharmacy open?")
        got = await boris.message_when(at_boris, lambda m: m.text.startswith("Did"))
        await boris.node.send(at_boris, "Until six", reply_to=got.id)
        answer = await anna.message_when(at_anna, lambda m: m.text == "Until six")
        assert answer.reply_to is not None and answer.reply_to.id == first.id
        assert answer.reply_to.mine and answer.reply_to.text == "Did the pharmacy open?"
        await boris.node.react(got.id, "❤️")
        seen = await anna.message_when(at_anna, lambda m: m.id == first.id and bool(m.reactions))
        assert seen.reactions[0].emoji == "❤️" and not seen.reactions[0].mine
        await boris.node.react(got.id, None)
        await anna.message_when(at_anna, lambda m: m.id == first.id and not m.reactions)
        await anna.node.edit(first.id, "Did it open?")
        changed = await boris.message_when(at_boris, lambda m: m.text == "Did it open?")
        assert changed.id == got.id and changed.edited
        await anna.node.delete(first.id)
        gone = await boris.message_when(at_boris, lambda m: m.id == got.id and m.deleted)
        assert gone.text == ""
        with pytest.raises(ApiError):
            await boris.node.edit(got.id, "mine now")


async def test_order_is_kept_over_many_messages(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        for number in range(120):
            await anna.node.send(at_anna, f"a {number}")
            if number % 3 == 0:
                await boris.node.send(at_boris, f"b {number}")
        await boris.message_when(at_boris, lambda m: m.text == "a 119")
        await anna.message_when(at_anna, lambda m: m.text == "b 117")
        theirs = [t for t in await boris.texts(at_boris) if t.startswith("a")]
        mine = [t for t in await anna.texts(at_anna) if t.startswith("b")]
        assert theirs == [f"a {n}" for n in range(120)]
        assert mine == [f"b {n}" for n in range(0, 120, 3)]


async def test_emoji_verify_both(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await anna.node.start_verification(at_anna)

        async def asked() -> bool:
            found = await boris.node.verification(at_boris)
            return found is not None and found.state == "asked"

        await boris.wait(asked)
        await boris.node.start_verification(at_boris)

        async def compare() -> bool:
            a, b = await anna.node.verification(at_anna), await boris.node.verification(at_boris)
            return a is not None and b is not None and a.state == b.state == "compare"

        await boris.wait(compare)
        a, b = await anna.node.verification(at_anna), await boris.node.verification(at_boris)
        assert a is not None and b is not None and a.emoji == b.emoji and len(a.emoji) == 7
        await anna.node.confirm_verification(at_anna, True)
        await boris.node.confirm_verification(at_boris, True)
        await anna.contact_when(lambda c: c.verified)
        await boris.contact_when(lambda c: c.verified)


async def test_typing_passes_live(world) -> None:
    async with world:
        anna, boris, at_anna, _at_boris = await world.pair()

        async def heard() -> bool:
            await anna.node.set_typing(at_anna, True)
            return any(getattr(e, "typing", None) is True for e in boris.events)

        await boris.wait(heard)


async def test_disappearing_messages_leave_both_sides(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await anna.node.set_timer(at_anna, 1)
        await boris.contact_when(lambda c: c.timer == 1)
        await anna.node.send(at_anna, "for a moment")
        got = await boris.message_when(at_boris, lambda m: m.text == "for a moment")
        await boris.node.mark_read(at_boris, got.id)

        async def gone() -> bool:
            both = await anna.texts(at_anna) + await boris.texts(at_boris)
            return "for a moment" not in both

        await boris.wait(gone)
        assert await boris.node.search("moment") == []


async def test_search_finds_both_scripts_and_beginnings(world) -> None:
    async with world:
        anna, _boris, at_anna, _ = await world.pair()
        await anna.node.send(at_anna, "The bridge is closed, use the ferry")
        await anna.node.send(at_anna, "Мост закрыт, идите через паром")
        assert [h.message.text[:3] for h in await anna.node.search("bridge fer")] == ["The"]
        (hit,) = await anna.node.search("ЗАКР")
        assert (hit.before, hit.match) == ("Мост ", "закрыт")
        assert await anna.node.search('"') == []
        assert await anna.node.search("bridge NOT closed") == []


async def test_a_restart_loses_nothing(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await boris.stop()
        for number in range(5):
            await anna.node.send(at_anna, f"while you slept {number}")
        await anna.stop()
        await anna.start()
        await boris.start()
        await boris.message_when(at_boris, lambda m: m.text == "while you slept 4")
        assert await boris.texts(at_boris) == [f"while you slept {n}" for n in range(5)]
        await boris.node.send(at_boris, "awake")
        await anna.message_when(at_anna, lambda m: m.text == "awake")


async def test_what_is_written_offline_goes_out_later(world) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        at_anna, at_boris = await anna.meet(boris)
        await relay.stop()
        sent = await anna.node.send(at_anna.id, "later")
        assert sent.state == "waiting"
        await relay.start()
        await boris.message_when(at_boris.id, lambda m: m.text == "later")


async def test_the_second_to_use_a_link_is_told(world) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        clara = await world.person("Clara", relay)
        invitation = await anna.node.create_invitation()
        await anna.wait(lambda: anna.has_open_invitation(invitation.id))
        await boris.node.accept_invitation(invitation.link)
        await anna.contact_when(lambda c: c.state == "active")
        with pytest.raises(ApiError) as caught:
            await clara.node.accept_invitation(invitation.link)
        assert caught.value.code == "used"


async def test_a_link_for_many_serves_many(world) -> None:
    async with world:
        relay = await world.relay()
        anna = await world.person("Anna", relay)
        invitation = await anna.node.create_invitation(many=True)
        await anna.wait(lambda: anna.has_open_invitation(invitation.id))
        for name in ("Boris", "Clara"):
            person = await world.person(name, relay)
            await person.node.accept_invitation(invitation.link)
            contact = await person.contact_when(lambda c: c.state == "active")
            await person.node.send(contact.id, f"I am {name}")
            seen = await anna.contact_when(lambda c, n=name: c.name == n)
            await anna.message_when(seen.id, lambda m, n=name: m.text == f"I am {n}")


async def test_accepting_works_while_the_inviter_sleeps(world) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        invitation = await anna.node.create_invitation()
        await anna.wait(lambda: anna.has_open_invitation(invitation.id))
        await anna.stop()
        contact = await boris.node.accept_invitation(invitation.link)
        assert contact.state == "joining"
        await boris.node.send(contact.id, "for when you wake")
        await boris.message_when(contact.id, lambda m: m.state == "sent")
        await anna.start()
        seen = await anna.contact_when(lambda c: c.state == "active")
        await anna.message_when(seen.id, lambda m: m.text == "for when you wake")
        await boris.contact_when(lambda c: c.state == "active")


async def test_a_revoked_link_opens_nothing(world) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        invitation = await anna.node.create_invitation()
        await anna.wait(lambda: anna.has_open_invitation(invitation.id))
        assert (await anna.node.revoke_invitation(invitation.id)).state == "revoked"

        # Whether the relay was told already or not: nobody becomes anybody's contact.
        try:
            await boris.node.accept_invitation(invitation.link)
        except ApiError as error:
            assert error.code == "used"
        else:
            await boris.contact_when(lambda c: c.state == "used")
        assert await anna.node.contacts() == []


async def test_one_of_two_relays_is_lost(world) -> None:
    async with world:
        one, two = await world.relay("one"), await world.relay("two")
        anna = await world.person("Anna", one, two)
        boris = await world.person("Boris", one, two)
        at_anna, at_boris = await anna.meet(boris)
        await anna.node.send(at_anna.id, "on both")
        await boris.message_when(at_boris.id, lambda m: m.text == "on both")
        world.leave(one)
        await one.stop()
        await anna.node.send(at_anna.id, "on one")
        await boris.message_when(at_boris.id, lambda m: m.text == "on one")
        assert await boris.texts(at_boris.id) == ["on both", "on one"]


async def test_names_rename_block_delete(world) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await anna.node.rename_me("Анна")
        await boris.contact_when(lambda c: c.name == "Анна")
        await boris.node.rename_contact(at_boris, "Sister")
        assert (await boris.node.contact("Sister")).own_name == "Анна"
        await boris.node.block_contact(at_boris)
        await anna.node.send(at_anna, "can you hear me")
        await anna.message_when(at_anna, lambda m: m.state == "sent")
        assert await boris.texts(at_boris) == []
        await boris.node.block_contact(at_boris, False)
        await boris.message_when(at_boris, lambda m: m.text == "can you hear me")
        await boris.node.delete_contact(at_boris)
        assert await boris.node.contacts() == []


async def test_a_relay_that_is_away_is_not_called_a_missing_internet(world) -> None:
    async with world:
        relay = await world.relay()
        anna = await world.person("Anna", relay)

        async def verdict() -> str:
            return (await anna.node.status()).verdict

        await anna.wait(lambda: _equal(verdict, "clear"))
        world.leave(relay)
        await relay.stop()
        await anna.wait(lambda: _equal(verdict, "relay-away"))


async def _equal(verdict, value: str) -> bool:
    return await verdict() == value


async def test_whoever_came_second_learns_it_even_if_nobody_was_awake(world, monkeypatch) -> None:
    monkeypatch.setattr("holdfast.node.engine.TICK_SECONDS", 0.3)
    monkeypatch.setattr("holdfast.node.engine.LOOK_TICKS", 2)
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        clara = await world.person("Clara", relay)
        invitation = await anna.node.create_invitation()
        await anna.wait(lambda: anna.has_open_invitation(invitation.id))
        await anna.stop()
        for person in (boris, clara):
            await person.node.accept_invitation(invitation.link)
            await person.contact_when(lambda c: c.state == "joining")
        await anna.start()
        won = await anna.contact_when(lambda c: c.state == "active")
        winner, loser = (boris, clara) if won.name == "Boris" else (clara, boris)
        await winner.contact_when(lambda c: c.state == "active")
        await loser.contact_when(lambda c: c.state == "used")
        assert [c.name for c in await anna.node.contacts()] == [won.name]


async def test_one_message_does_not_go_through_all_contacts(world, monkeypatch) -> None:
    """Neither where it is written nor where it comes."""
    asked: dict[str, tuple[object, ...]] = {}

    def heard(_, sql, values) -> bool:
        asked[sql] = values or ()
        return True

    def watched(real):
        def job(desk, work, *more):
            work.db.exec_trace = heard
            try:
                return real(desk, work, *more)
            finally:
                work.db.exec_trace = None

        return job

    for module, name in ((talking, "send"), (receiving, "received"), (receiving, "appended")):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        asked.clear()
        sent = await anna.node.send(at_anna, "one of many")
        await boris.message_when(at_boris, lambda m: m.text == "one of many")
        await anna.message_when(at_anna, lambda m: m.id == sent.id and m.state == "delivered")

        def scans(_, work) -> list[tuple[str, str]]:
            return [
                (detail, sql)
                for sql, values in asked.items()
                for *_, detail in work.db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
                if detail.startswith("SCAN contact") and "contact_accept" not in detail
            ]

        assert any(sql.startswith("INSERT INTO message") for sql in asked)
        assert await anna.node._do(scans) == []
