"""What every call of the API is: a job of the keeper."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from holdfast.node import views
from holdfast.node.desk import Desk
from holdfast.node.engine import Engine
from holdfast.node.keeper import Keeper, StorageFailed, Work
from holdfast.node.rpc import ApiError
from holdfast.node.vault import Vault

T = TypeVar("T")


class Jobs:
    """Runs jobs once the database is open, and says why not before."""

    def __init__(self, vault: Vault, clock: Callable[[], int]) -> None:
        self._vault = vault
        self._clock = clock
        self._key = b""
        """The database's; without a desk, of a set-up that a crash interrupted."""
        self._desk: Desk | None = None
        self._engine: Engine | None = None
        self._keeper: Keeper | None = None

    @property
    def _is_new(self) -> bool:
        """No identity yet."""
        return self._keeper is None and (self._vault.phase == "new" or bool(self._key))

    def _running(self) -> Engine:
        if self._engine is None:
            raise self._not_yet()
        return self._engine

    def _not_yet(self) -> ApiError:
        return ApiError("phase", "choose a name first" if self._is_new else "unlock it first")

    async def _do(self, job: Callable[[Desk, Work], T]) -> T:
        keeper, desk = self._keeper, self._desk
        if keeper is None or desk is None:
            raise self._not_yet()
        try:
            return await keeper.run(lambda work: job(desk, work))
        except StorageFailed as error:
            raise ApiError("storage", str(error)) from None

    async def _of(self, contact: str, job: Callable[[Desk, Work, str], T]) -> T:
        """A job about one contact, given by id or by name."""
        return await self._do(lambda desk, work: job(desk, work, views.resolve(work.db, contact)))

    async def _with(self, person: str, job: Callable[[Desk, Work, str], T]) -> T:
        """The same for what only a person can be asked, and no group."""
        return await self._do(lambda desk, work: job(desk, work, views.person(work.db, person)))
