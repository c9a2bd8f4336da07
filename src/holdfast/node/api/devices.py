"""Calls about this person's devices: linking, naming, removing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from holdfast.core.chat import names
from holdfast.core.seal.link import BadLink, Link
from holdfast.node import devices, group_devices, linking
from holdfast.node.api.people import People
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Device, Linking


class Devices(People):
    """See `schema.NodeApi`."""

    @abstractmethod
    async def _begin_with(
        self, passphrase: str | None, job: Callable[[Desk, Work], None]
    ) -> object:
        """Open the database that has no identity yet, and begin with this job."""

    @abstractmethod
    async def _begin_anew(self, job: Callable[[Desk, Work], None]) -> None:
        """Do a last job, and be a node with nobody on it."""

    async def devices(self) -> list[Device]:
        """This person's devices."""
        return await self._do(devices.listed)

    async def link_device(self, past: bool = True) -> Linking:
        """Show a code."""
        return await self._do(lambda desk, work: linking.show(desk, work, past))

    async def join_device(self, code: str, name: str, passphrase: str | None = None) -> Linking:
        """Answer one."""
        try:
            link = Link.parse(code, self._clock())
        except BadLink as error:
            reason = "expired" if error.reason == "expired" else "bad-link"
            raise ApiError(reason, str(error)) from None
        if not link.device:
            raise ApiError(
                "bad-link",
                "This is an invitation, not the code of a device. Choose a name first, then use it",
            )
        if not self._is_new:
            raise ApiError("phase", "there is an identity here already")
        clean = names.clean(name)
        await self._begin_with(
            passphrase, lambda desk, work: linking.begin(desk, work, clean, link)
        )
        try:
            record = await self._fetch(link)
            return await self._do(lambda desk, work: linking.answer(desk, work, link, record))
        except BaseException:
            await self._begin_anew(linking.erase)
            raise

    async def linking(self) -> Linking | None:
        """How far it is."""
        if self._keeper is None:
            return None
        return await self._do(linking.view)

    async def confirm_link(self, match: bool) -> Linking:
        """Say whether the emoji are the same."""
        return await self._do(lambda desk, work: linking.confirm(desk, work, match))

    async def cancel_link(self) -> None:
        """Stop."""
        if await self._do(linking.is_new):
            await self._begin_anew(linking.erase)
        else:
            await self._do(linking.cancel)

    async def rename_device(self, id: str, name: str) -> list[Device]:
        """Call one something."""
        return await self._do(lambda desk, work: devices.rename(desk, work, id, name))

    async def remove_device(self, id: str) -> list[Device]:
        """End one."""

        def job(desk: Desk, work: Work) -> list[Device]:
            left = devices.remove(desk, work, id)
            group_devices.relisted(desk, work)
            return left

        return await self._do(job)
