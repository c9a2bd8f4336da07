"""group-set-back: a disk is set back to an older copy, and its node goes on in a group.

Elsewhere: a restored virtual machine or phone uses keys of its ratchets again; two texts under one
key tell of each other, and whoever has the first drops the second as known.
"""

import shutil
from pathlib import Path

import pytest
from node.living import World, found, trio, world

from holdfast.core.group.senders import Outbound, read
from holdfast.node import group_state, group_talk
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work

__all__ = ["world"]


async def set_back(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Boris writes, his disk is set back to before that, he writes again: what of it Anna reads,
    and "again" if a key is used for two texts."""
    used: dict[tuple[bytes, int], bytes] = {}
    seen: set[str] = set()
    seal = Outbound.seal

    def watched(self, epoch, data, entropy):  # type: ignore[no-untyped-def]
        record = seal(self, epoch, data, entropy)
        session, message = read(epoch.open(record)[1])
        if used.setdefault((session, message.message_index()), data) != data:
            seen.add("again")
        return record

    monkeypatch.setattr(Outbound, "seal", watched)
    async with world:
        anna, boris, _ = people = await trio(world)
        ids = await found(people)
        await boris.node.send(ids[1], "first")
        await anna.message_when(ids[0], lambda m: m.text == "first")
        await boris.stop()
        copy = tmp_path / "copy"
        shutil.copytree(boris.path, copy)
        await boris.start()
        await boris.node.send(ids[1], "second")
        await anna.message_when(ids[0], lambda m: m.text == "second")
        await boris.stop()
        shutil.rmtree(boris.path)
        shutil.copytree(copy, boris.path)
        await boris.start()
        await boris.node.send(ids[1], "third")
        await boris.node.send(ids[1], "fourth")
        await anna.message_when(ids[0], lambda m: m.text == "fourth")
        return seen | set(await anna.texts(ids[0]))


async def test_a_node_that_was_set_back_uses_no_key_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = await set_back(world, tmp_path, monkeypatch)
    assert texts == {"first", "second", "third", "fourth"}


async def test_twin_that_goes_on_with_the_stored_session(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_talk, "_goes_on", lambda *_: True)
    texts = await set_back(world, tmp_path, monkeypatch)
    assert "again" in texts and "third" not in texts


async def test_a_copy_in_memory_notices_what_it_has_not_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that goes on from a snapshot starts no program: the log tells it."""
    monkeypatch.setattr(group_talk, "_goes_on", lambda *_: True)
    async with world:
        anna, boris, _ = people = await trio(world)
        ids = await found(people)
        await boris.node.send(ids[1], "first")
        await anna.message_when(ids[0], lambda m: m.text == "first")
        before = await boris.node._do(
            lambda desk, work: group_state.opened(desk, work, ids[1]).keys.outbound
        )
        await boris.node.send(ids[1], "second")
        await anna.message_when(ids[0], lambda m: m.text == "second")

        def restore(desk: Desk, work: Work) -> None:
            group = group_state.opened(desk, work, ids[1])
            group.keys.outbound = before
            group_state.keep(desk, work, group)
            work.db.execute("UPDATE position SET seq = 0")

        await boris.node._do(restore)
        await boris.stop()
        await boris.start()
        await anna.node.send(ids[0], "do you hear?")
        await boris.message_when(ids[1], lambda m: m.text == "do you hear?")
        await boris.node.send(ids[1], "third")
        await anna.message_when(ids[0], lambda m: m.text == "third")
