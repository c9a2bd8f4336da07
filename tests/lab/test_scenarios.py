"""Both labs against their claims: for each scenario a plain client that must fail in the documented
way, and one that must pass; for each network that is merely bad, that it is so, and passes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import claims_of_bad_networks  # noqa: F401  what is claimed
import claims_of_blocking  # noqa: F401
import pytest
from claims import CLAIMS, KINDS, Claim
from fields import field

from holdfast.lab.scenarios import ALL


async def tried(one: Claim, kind: str) -> str:
    """What was wrong; "" if nothing."""
    try:
        async with asyncio.timeout(120), field(kind) as on:
            await one.tries(on)
    except (AssertionError, OSError, TimeoutError) as error:
        last, at = error.__traceback__, 0
        while last is not None:
            if "claims_of" in last.tb_frame.f_code.co_filename:
                at = last.tb_lineno
            last = last.tb_next
        return f"{one.name} on {kind}, line {at}: {error!r}"
    return ""


def pairs() -> list[tuple[Claim, str]]:
    """Every claim on every field that can play it."""
    return [(one, kind) for one in CLAIMS for kind in one.kinds]


async def _all(chosen: list[tuple[Claim, str]], at_once: int) -> list[str]:
    gate = asyncio.Semaphore(at_once)

    async def one(about: tuple[Claim, str]) -> str:
        async with gate:
            return await tried(*about)

    return [wrong for wrong in await asyncio.gather(*map(one, chosen)) if wrong]


def prove(seed: int, count: int, directory: Path) -> dict[str, object]:
    """So many of the claims, one after the other."""
    every = pairs()
    chosen = [every[(seed + at) % len(every)] for at in range(count)]
    wrong = asyncio.run(_all(chosen, 1))
    assert not wrong, "\n".join(wrong)
    return {"kept": count, "of": len(every)}


def test_there_is_a_claim_for_every_scenario() -> None:
    tried_on = {(id, kind) for one, kind in pairs() for id in one.ids}
    can = {
        (id, kind) for id in ALL for kind in KINDS if kind == "packets" or not ALL[id].needs_packets
    }
    assert tried_on >= can, can - tried_on
    assert {id for id, _ in tried_on} == set(ALL)


@pytest.mark.timeout(240)
async def test_a_sample_of_the_claims() -> None:
    """Those that are quick, each on one field or the other."""
    quick = [one for one in CLAIMS if not one.slow]
    chosen = [(one, one.kinds[(at + 1) % len(one.kinds)]) for at, one in enumerate(quick)]
    wrong = await _all(chosen, 10)
    assert not wrong, "\n".join(wrong)
