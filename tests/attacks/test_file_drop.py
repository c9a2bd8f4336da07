"""file-drop: somebody who was given a file takes it from the others, or fills its logs.

A group's member or a channel's reader has the file's secret, which opens every chunk; a channel's
secret is public.
"""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import Callable

import pytest
from node.chatters import served
from node.living import World, world

from holdfast.core.log.events import Appended, Dropped, Received, Refused
from holdfast.core.seal.chunks import FileKeys
from holdfast.drive.logs import LogEvent, Logs
from holdfast.node import depot
from holdfast.node.database import row
from holdfast.paths import websocket

__all__ = ["world"]


class _Shared(FileKeys):
    """As if all roles followed from what everybody is given."""

    def __init__(self, secret: bytes, size: int, chunk: int, writes: bytes | None = None) -> None:
        super().__init__(secret, size, chunk, secret if writes else None)


async def spoilt(world: World) -> bool:
    """Whether a relay does as somebody says who makes all roles of the secret they were given."""
    async with world:
        relay = await world.relay()
        owner, reader = await world.person("Owner", relay), await world.person("Reader", relay)
        mine = (await owner.node.create_channel("News")).id
        async with served(owner.node, owner.path) as client:
            upload = await client.upload(io.BytesIO(b"proof"), 5)
            sent = await client.node.send_file(mine, upload, "proof.txt")
        await owner.message_when(mine, lambda m: m.file is not None and m.file.state == "sent")
        theirs = (await reader.node.follow_channel((await owner.node.channel(mine)).link)).id
        got = await reader.message_when(theirs, lambda m: m.kind == "file")
        told = await reader.node._do(
            lambda desk, work: row(
                work.db, "SELECT secret, size, chunk FROM file WHERE message = ?", int(got.id)
            )
        )
        caps = FileKeys(*told, writes=told[0]).caps(0)
        assert sent.file is not None
        if await _heard(lambda logs: logs.append(caps, relay.home, bytes(16), b"junk", 60)):
            return True
        await _heard(lambda logs: logs.drop(caps.only("owner"), relay.home))
        left = FileKeys(*told).caps(0)
        return not await _heard(lambda logs: logs.follow(left, relay.home, 0))


async def _heard(does: Callable[[Logs], None]) -> bool:
    """Whether a relay does something, for a connection of its own."""
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def hear(event: LogEvent) -> None:
        if isinstance(event, Appended | Received | Dropped | Refused) and not answer.done():
            answer.set_result(not isinstance(event, Refused))

    logs = Logs(websocket.connect, lambda: 0, secrets.token_bytes, hear)
    try:
        does(logs)
        async with asyncio.timeout(20):
            return await answer
    finally:
        await logs.stop()


async def test_who_was_given_a_file_neither_drops_it_nor_fills_its_logs(world: World) -> None:
    assert not await spoilt(world)


async def test_twin_with_all_roles_in_the_secret(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depot, "FileKeys", _Shared)
    assert await spoilt(world)
