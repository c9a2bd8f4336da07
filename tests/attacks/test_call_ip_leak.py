"""call-ip-leak (Signal CVE-2020-5753, Telegram CVE-2018-17780): ringing somebody does not tell
where they are. Nothing of a call holds an address, and the called node opens no connection
before its person has accepted."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))

from chatters import meet, person, relay, until

from holdfast.core.chat import content
from holdfast.node.calls import Calls
from holdfast.node.desk import Desk


async def ring(tmp_path: Path) -> tuple[int, list[bytes], list[str]]:
    """Anna, whose second relay is her own and unknown to Boris, rings him and he does not
    answer. How many connections came to that relay's logs of the call, all that was said, and
    the addresses in it."""
    said: list[bytes] = []
    say = Desk.say

    def noted(self: Desk, work, contact: str, what: content.Known) -> int:
        if isinstance(what, content.Ring | content.Answer):
            said.append(content.encode(what))
        return say(self, work, contact, what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Desk, "say", noted)
        async with (
            relay(tmp_path / "relay") as home,
            relay(tmp_path / "trap") as trap,
            person(tmp_path / "anna", "Anna", home) as anna,
            person(tmp_path / "boris", "Boris", home) as boris,
        ):
            await meet(anna, boris)
            await anna.remove_relay((await anna.status()).relays[0].id)
            await anna.add_relay(str(trap))
            made = await anna.start_call("Boris")
            await until(boris.calls, bool)
            await until(anna.calls, lambda all: all[0].state == "ringing")
            await asyncio.sleep(0.3)
            engine = boris._engine
            assert engine is not None
            connected = len(engine.calls._logs._lines)
            known = str(trap)
            await anna.hang_up(made.id)
            await until(boris.calls, lambda all: not all)
    addresses = [
        text
        for one in said
        if isinstance(found := content.decode(one), content.Ring)
        for text in found.homes
        if text != known
    ]
    return connected, said, addresses


async def test_who_rings_learns_no_address(tmp_path: Path) -> None:
    connected, said, addresses = await ring(tmp_path)
    assert connected == 0
    assert addresses == []  # the caller's own relays, and nothing else
    assert len(said) >= 3
    for one in said:
        assert b"candidate" not in one
        if isinstance(found := content.decode(one), content.Answer):
            assert found.random == found.nonce == b""


async def test_twin_that_warms_the_call_up_while_it_rings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Calls._begin

    def eager(self: Calls, call) -> None:
        begin(self, call)
        for home in call.terms.homes:
            self._follow(call, home)

    monkeypatch.setattr(Calls, "_begin", eager)
    connected, _, _ = await ring(tmp_path)
    assert connected == 1
