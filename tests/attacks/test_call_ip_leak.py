"""call-ip-leak (Signal CVE-2020-5753, Telegram CVE-2018-17780): ringing somebody does not tell
where they are. Nothing of a call holds an address, and the called node opens no connection
before its person has accepted. After that one is told only to who was verified, if both people
allowed it."""

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
    say = Desk.say_to_device

    def noted(self: Desk, work, contact: str, what: content.Known) -> None:
        if isinstance(what, content.Ring | content.Answer):
            said.append(content.encode(what))
        say(self, work, contact, what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Desk, "say_to_device", noted)
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


async def candidates(tmp_path: Path, *, allowed: bool, answered: bool) -> tuple[int, int]:
    """Anna, who allows that calls with Boris go straight, rings him; whether he allows it, and
    answers. In how many contents either tells an address, and how many ports are open."""
    told: list[content.Places] = []
    say = Desk.say_to_device

    def noted(self: Desk, work, contact: str, what: content.Known) -> None:
        if isinstance(what, content.Places):
            told.append(what)
        say(self, work, contact, what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Desk, "say_to_device", noted)
        patch.setattr("holdfast.node.direct.usable", lambda address: True)
        async with (
            relay(tmp_path / "relay") as home,
            person(tmp_path / "anna", "Anna", home, straight=True) as anna,
            person(tmp_path / "boris", "Boris", home, straight=True) as boris,
        ):
            await meet(anna, boris)
            for node, wants in ((anna, True), (boris, allowed)):

                def allow(desk: Desk, work, wants: bool = wants) -> None:
                    work.db.execute("UPDATE contact SET verified = root, direct = ?", (wants,))

                await node._do(allow)
            await anna.start_call("Boris")
            ringing = (await until(boris.calls, bool))[0]
            await until(anna.calls, lambda all: all[0].state == "ringing")
            if answered:
                await boris.accept_call(ringing.id)
                for node in (anna, boris):
                    await until(node.calls, lambda all: all[0].state == "talking")
            if answered and allowed:
                await until(lambda: asyncio.sleep(0, len(told)), lambda count: count == 2)
            else:
                await asyncio.sleep(0.7)
            current = [node._engine.calls._call for node in (anna, boris) if node._engine]
            ports = sum(one is not None and one.direct is not None for one in current)
    return len(told), ports


@pytest.mark.parametrize(("allowed", "answered"), [(True, False), (False, True)])
async def test_no_address_is_told_before_accepting_or_to_who_does_not_allow_it(
    tmp_path: Path, allowed: bool, answered: bool
) -> None:
    assert await candidates(tmp_path, allowed=allowed, answered=answered) == (0, 0)


async def test_twin_who_was_verified_allowed_it_and_accepted_is_told(tmp_path: Path) -> None:
    assert await candidates(tmp_path, allowed=True, answered=True) == (2, 2)


async def test_twin_that_gathers_addresses_while_it_rings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Calls._begin

    def eager(self: Calls, call) -> None:
        begin(self, call)
        call.straight = call.terms.direct
        self._open_direct(call)

    monkeypatch.setattr(Calls, "_begin", eager)
    _, ports = await candidates(tmp_path, allowed=True, answered=False)
    assert ports == 2
