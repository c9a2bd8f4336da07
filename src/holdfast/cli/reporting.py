"""Telling an observatory what does not work."""

from __future__ import annotations

import argparse

from holdfast.cli.calls import with_node
from holdfast.cli.say import Exit, Trouble, show
from holdfast.node.client import Client
from holdfast.node.schema import Reporting


def complain(asked: argparse.Namespace) -> int | None:
    """Tell that functions do not work."""

    async def work(client: Client) -> None:
        found = await client.node.complain(asked.function)
        text = f"{found.counted} counted"
        if found.waiting:
            text += f", {found.waiting} wait and go out by themselves today: {found.trouble}"
        show(found, asked.json, text)

    return with_node(asked, work)


def observatory(asked: argparse.Namespace) -> int | None:
    """Show, choose or forget the observatory that is told."""

    async def work(client: Client) -> None:
        if asked.off:
            found = await client.node.set_reporting("")
        elif asked.url is None:
            found = await client.node.reporting()
        elif asked.region is None or asked.operator is None:
            found = await client.node.observatory(asked.url)
            if not asked.json:
                raise Trouble(_lists(found), Exit.USAGE)
        else:
            found = await client.node.set_reporting(
                asked.url, asked.region, asked.operator, asked.automatic, asked.measure
            )
        if asked.now:
            found = await client.node.measure_now()
        show(found, asked.json, _told(found))

    return with_node(asked, work)


def _lists(found: Reporting) -> str:
    regions = ", ".join(f"{one.code} {one.en}" for one in found.regions)
    operators = ", ".join(f"{one.code} {one.en}" for one in found.operators)
    text = f"choose with --region and --operator. Regions: {regions}. Operators: {operators}"
    if found.looks:
        pages = ", ".join(f"{one.name} ({one.url})" for one in found.looks)
        text += f". Services that --measure can look at: {pages}"
    return text


def _told(found: Reporting) -> str:
    if not found.url:
        return "Nobody is told anything."
    often = "and once an hour by itself" if found.automatic else "only when you say so"
    if found.measured:
        often += f"; measured by a look at their pages: {', '.join(found.measured)}"
    whom = f"{found.url} is told what does not work in {found.region} on {found.operator}, {often}."
    if found.keys:
        whom += f"\nIts keys today are {found.keys}; others who report there must see the same."
    more = f"{found.tokens} tokens ready, {found.waiting} reports wait. {found.trouble}"
    return f"{whom}\n{more.rstrip()}"
