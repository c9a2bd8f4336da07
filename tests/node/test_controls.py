"""Looks at places that nobody blocks: real TLS sites on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from chatters import relay

from holdfast.core.seen import Control
from holdfast.lab import rules
from holdfast.lab.box import Box
from holdfast.lab.rules import Rule
from holdfast.node import controls
from holdfast.node.controls import Controls, gathered

Told = dict[Control, tuple[bool, float]]


@asynccontextmanager
async def looking(places: controls.Places) -> AsyncIterator[tuple[Controls, Told]]:
    told: Told = {}
    eyes = Controls(places, lambda kind, ok, bits: told.update({kind: (ok, bits)}))
    try:
        yield eyes, told
    finally:
        await eyes.stop()


async def until(told: Told, kinds: int) -> None:
    async with asyncio.timeout(60):
        while len(told) < kinds:
            await asyncio.sleep(0.01)


async def test_a_site_that_answers_and_one_that_does_not_are_told_apart(tmp_path: Path) -> None:
    async with relay(tmp_path) as home:  # a site like any other
        places: controls.Places = {
            "domestic": [("127.0.0.1", 1), (home.host, home.port)],
            "foreign": [("127.0.0.1", 1)],
        }
        async with looking(places) as (eyes, told):
            eyes.wanted()
            await until(told, 2)
    assert told == {"domestic": (True, 0), "foreign": (False, 0)}


async def test_a_large_page_tells_a_rate_and_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "ENOUGH", 20_000)
    async with relay(tmp_path) as home:
        (tmp_path / "site" / "index.html").write_text("x" * 5_000_000)
        async with looking({"foreign": [(home.host, home.port)]}) as (eyes, told):
            eyes.wanted()
            await until(told, 1)
    assert told["foreign"][0]
    assert told["foreign"][1] > 20_000


async def test_looks_are_rare_and_none_is_taken_without_places(tmp_path: Path) -> None:
    async with looking({"foreign": []}) as (eyes, told):
        eyes.wanted()
        assert eyes._task is None
    asked = 0

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    server = await asyncio.start_server(site, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with looking({"foreign": [("127.0.0.1", port)]}) as (eyes, told):
        for _ in range(3):
            eyes.wanted()
            await until(told, 1)
    server.close()
    assert asked == 2  # one look, with two hellos
    assert told == {"foreign": (False, 0)}


@pytest.mark.parametrize(
    "rule",
    [rules.Groups(False, 0, 600), rules.Freeze(4_000, 9, 1, Random(1))],
    ids=["one hello is dropped", "what follows is frozen"],
)
async def test_a_site_answers_whatever_is_done_to_some_hellos_or_to_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: Rule
) -> None:
    monkeypatch.setattr(controls, "SECONDS", 1.0)
    async with relay(tmp_path) as home, Box({("site.test", 443): (home.host, home.port)}) as box:
        box.rules = [rule]
        told: Told = {}
        places: controls.Places = {"foreign": [("site.test", 443)]}
        eyes = Controls(places, lambda kind, ok, bits: told.update({kind: (ok, bits)}), box.url)
        eyes.wanted()
        await until(told, 1)
        await eyes.stop()
    assert told == {"foreign": (True, 0)}


def test_what_a_person_names_is_read_or_refused_in_words() -> None:
    assert gathered(["domestic=example.com", "foreign=example.org:8443"]) == {
        "domestic": [("example.com", 443)],
        "foreign": [("example.org", 8443)],
    }
    for wrong in ("example.com", "near=example.com", "foreign=", "foreign=a b", "foreign=a:0"):
        with pytest.raises(ValueError, match=r"looks like|does not exist"):
            gathered([wrong])
