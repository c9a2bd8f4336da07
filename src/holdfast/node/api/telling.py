"""Calls about an observatory, and what it is told."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.node.api.jobs import Jobs
from holdfast.node.reporting import CannotReport, Lists, Reporter
from holdfast.node.rpc import ApiError
from holdfast.node.schema import (
    Reporting,
    ReportPlace,
    ServicePage,
)


class Telling(Jobs):
    """See `schema.NodeApi`."""

    _reporter: Reporter | None = None

    # Telling an observatory.

    async def reporting(self) -> Reporting:
        """What was chosen, and what waits."""
        return self._reporting(await self._ready())

    async def observatory(self, url: str) -> Reporting:
        """What it knows."""
        try:
            lists = await (await self._ready()).look(url)
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return Reporting(url=url.rstrip("/"), **_places(lists))

    async def set_reporting(
        self,
        url: str,
        region: str = "",
        operator: str = "",
        automatic: bool = False,
        services: list[str] | None = None,
    ) -> Reporting:
        """Choose one, or none."""
        reporter = await self._ready()
        try:
            await reporter.choose(url, region, operator, automatic, services or [])
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return self._reporting(reporter)

    async def complain(self, functions: list[str]) -> Reporting:
        """Tell what does not work."""
        reporter = await self._ready()
        try:
            counted = await reporter.complain(functions)
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return msgspec.structs.replace(self._reporting(reporter), counted=counted)

    async def measure_now(self) -> Reporting:
        """Measure, and tell it."""
        reporter = await self._ready()
        try:
            counted = await reporter.measure()
        except CannotReport as error:
            raise ApiError("not-allowed", str(error)) from None
        return msgspec.structs.replace(self._reporting(reporter), counted=counted)

    async def _ready(self) -> Reporter:
        await self._do(lambda desk, work: None)
        assert self._reporter is not None
        return self._reporter

    def _reporting(self, reporter: Reporter) -> Reporting:
        chosen = reporter.chosen
        return Reporting(
            url=chosen.url,
            region=chosen.region,
            operator=chosen.operator,
            automatic=chosen.automatic,
            measured=chosen.services,
            tokens=len(chosen.spare),
            keys=chosen.keys,
            waiting=len(chosen.waiting),
            trouble=chosen.trouble,
            **(_places(chosen.lists) if chosen.lists else {}),
        )


def _places(lists: Lists) -> dict[str, Any]:
    """An observatory's lists as `Reporting` has them."""
    return {
        "regions": [ReportPlace(code=one.code, en=one.en, ru=one.ru) for one in lists.regions],
        "operators": [
            ReportPlace(code=one.code, en=one.name, ru=one.name) for one in lists.operators
        ],
        "services": list(lists.services),
        "looks": [ServicePage(name=name, url=url) for name, url in lists.looks.items()],
    }
