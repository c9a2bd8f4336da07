"""A cluster's store whose answers are awaited."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal
from holdfast.store.base import Quota
from holdfast.store.cluster import Cluster
from holdfast.store.streams import Place


class Bench:
    """A store whose answers are awaited."""

    def __init__(self) -> None:
        self.shift = 0
        self.failed: list[str] = []
        self.told: list[tuple[int, int, bytes]] = []
        self.gone: list[int] = []
        self.store: Cluster

    async def open(self, url: str, quota: Quota | None = None) -> None:
        place = Place.parse(url)
        quota = quota or Quota(disk_bytes=2**28)
        self.store = await Cluster.open(place, quota, lambda: 0, self.failed.append)
        self.store.tells(lambda *what: self.told.append(what), self.gone.append)

    async def ask(self, method: Callable[..., None], *args: object) -> Any:
        future = asyncio.get_running_loop().create_future()
        method(*args, lambda *answer: future.set_result(answer))
        return await asyncio.wait_for(future, 60)

    async def make(self, name: bytes = b"n" * 16, limit: int = 0) -> Refusal | None:
        frame = wire.Create(1, name, b"a" * 32, b"r" * 32, b"o" * 32, limit)
        refusal: Refusal | None = (await self.ask(self.store.make, frame))[0]
        return refusal

    async def find(self, name: bytes = b"n" * 16) -> Found | Refusal | None:
        found: Found | Refusal | None = (await self.ask(self.store.find, name))[0]
        return found

    async def key(self, name: bytes = b"n" * 16) -> int:
        found = await self.find(name)
        assert isinstance(found, Found)
        return found.key

    async def append(self, key: int, body: bytes = b"x", seconds: int = 60) -> Any:
        return await self.ask(self.store.append, key, seconds * 1000, body)

    async def read(self, key: int, since: int = 0) -> list[tuple[int, bytes]]:
        records, more = await self.ask(self.store.read, key, since)
        if more:
            records = records + await self.read(key, records[-1][0])
        return list(records)

    async def until(self, true: Callable[[], object], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def opened(url: str, quota: Quota | None = None) -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.open(url, quota)
    try:
        yield bench
        assert not bench.failed
    finally:
        await bench.store.aclose()
