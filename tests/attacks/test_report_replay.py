"""report-replay: a report is brought again, after it was answered, or in another group."""

import msgspec
import pytest
from node.living import World, found, reported, trio, world

from holdfast.core.group import franking
from holdfast.core.seal.hpke import Unopenable
from holdfast.node import group_giving, group_state, moderation
from holdfast.testing.groups import person, talking

__all__ = ["world"]


async def test_an_answered_report_stays_answered_and_in_the_twin_it_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third puts a dismissed report into the log; then once more, where none is remembered."""
    posted: list[bytes] = []
    came = moderation.came

    def keep(desk, work, group, plain):  # type: ignore[no-untyped-def]
        posted.append(plain)
        came(desk, work, group, plain)

    monkeypatch.setattr(moderation, "came", keep)
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[1].node.send(ids[1], "ugly")
        ugly = await people[2].message_when(ids[2], lambda m: m.text == "ugly")
        await people[2].node.report_message(ugly.id)
        (report,) = await reported(people[0], ids[0])
        await people[0].node.answer_report(ids[0], report.id)

        def again(desk, work):  # type: ignore[no-untyped-def]
            group = group_state.opened(desk, work, ids[1])
            epoch = group.epochs.now()
            assert epoch is not None
            record = epoch.seal("report", posted[0], desk.entropy)
            group_giving.post(desk, work, group.cid, record)

        async def shown(after: str) -> int:
            """Reports that wait for an answer once it was brought again."""
            await people[1].node._do(again)
            await people[1].node.send(ids[1], after)
            await people[0].message_when(ids[0], lambda m: m.text == after)
            return len((await people[0].node.group(ids[0])).reports)

        assert await shown("after it") == 0
        monkeypatch.setattr(moderation, "_is_new", lambda *_: True)
        assert await shown("after that") == 1


def test_a_report_of_one_group_is_none_in_another() -> None:
    roster, _, _ = talking()
    me = person(3)
    proof = franking.Proof(b"", bytes(64), b"", bytes(48))
    data = franking.sign(bytes(32), me.party, "", (proof,), 1, me.account)
    with pytest.raises(Unopenable):
        franking.read(data, roster.id)
    signed = msgspec.msgpack.decode(data, type=franking._Signed)
    moved = msgspec.msgpack.encode(
        franking._Signed(signed.body.replace(bytes(32), roster.id, 1), signed.signature)
    )
    with pytest.raises(Unopenable):
        franking.read(moved, roster.id)
