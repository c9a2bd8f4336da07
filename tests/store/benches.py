"""A store whose answers are awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal
from holdfast.store.base import Quota
from holdfast.store.embedded import Embedded
from holdfast.store.files import Files


class Bench:
    """A store whose answers are awaited."""

    def __init__(self, path: Path, quota: Quota | None = None, files: Files | None = None) -> None:
        self.now = 1_000_000_000
        self.failed: list[str] = []
        self.store = Embedded(
            path,
            quota=quota or Quota(),
            clock=lambda: self.now,
            post=asyncio.get_running_loop().call_soon_threadsafe,
            failed=self.failed.append,
            files=files,
        )

    async def ask(self, method: Callable[..., None], *args: object) -> Any:
        future = asyncio.get_running_loop().create_future()
        method(*args, lambda *answer: future.set_result(answer))
        return await asyncio.wait_for(future, 60)

    async def make(self, name: bytes = b"n" * 16, limit: int = 0) -> Refusal | None:
        frame = wire.Create(1, name, b"a" * 32, b"r" * 32, b"o" * 32, limit)
        refusal: Refusal | None = (await self.ask(self.store.make, frame))[0]
        return refusal

    async def find(self, name: bytes = b"n" * 16) -> Found | None:
        found: Found | None = (await self.ask(self.store.find, name))[0]
        return found

    async def append(self, key: int, body: bytes = b"x", seconds: int = 60) -> Any:
        return await self.ask(self.store.append, key, self.now + seconds * 1000, body)

    async def read(self, key: int, since: int = 0) -> list[tuple[int, bytes]]:
        records, more = await self.ask(self.store.read, key, since)
        if more:
            records = records + await self.read(key, records[-1][0])
        return list(records)


@asynccontextmanager
async def opened(path: Path, quota: Quota | None = None) -> AsyncIterator[Bench]:
    bench = Bench(path / "logs", quota)
    yield bench
    bench.store.close()


async def until_checkpointed(b: Bench) -> None:
    """Everything so far is in the index."""
    b.store._checkpoint()
    async with asyncio.timeout(60):
        while b.store._due or b.store._shelf.frozen or b.store._thawing:
            await asyncio.sleep(0.001)
