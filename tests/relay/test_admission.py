"""Who may make logs at a relay: by what, how many, and that nodes get in by themselves."""

import asyncio
import secrets
from pathlib import Path

import pytest
from test_program import Node, relay

from holdfast.core import tokens, wire
from holdfast.core.caps import Caps, Home
from holdfast.core.log.admission import challenge, is_work, work
from holdfast.core.log.server import Refusal
from holdfast.drive.logs import Appended, Created, Refused
from holdfast.relay.admission import Admission, Entrance, Rules, read_invitations
from holdfast.relay.directory import invitation
from holdfast.relay.limits import network


def rules(kinds: str, **more: int) -> Rules:
    return Rules(frozenset(kinds.split(",")), **{"bits": 8, **more})


async def makes(node: Node, home: Home, count: int = 1) -> None:
    """So many logs, each with a record."""
    before = node.count(Created), node.count(Appended)
    for _ in range(count):
        log = Caps.make(secrets.token_bytes(128))
        node.logs.create(log, home)
        node.logs.append(log, home, secrets.token_bytes(16), b"first", 3600)
    await node.until(Created, before[0] + count)
    await node.until(Appended, before[1] + count)


async def is_refused(node: Node, home: Home, code: str) -> None:
    node.logs.create(Caps.make(secrets.token_bytes(128)), home)
    await node.until(Refused)
    assert [e.code for e in node.events if isinstance(e, Refused)] == [code]


async def test_work_lets_everybody_in_without_being_asked(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay", rules=rules("work", per_work=3)) as home:
        node = Node()
        await makes(node, home, 8)  # more than one piece of work is for
        await node.logs.stop()


async def test_by_invitation_others_may_read_and_write_but_make_nothing(tmp_path: Path) -> None:
    data = tmp_path / "relay"
    async with relay(data, rules=rules("invitation")) as home:
        invited = invitation(data, 5, None)
    async with relay(data, rules=rules("invitation"), port=home.port) as home:
        anna, boris = Node(), Node()
        log = Caps.make(secrets.token_bytes(128))
        anna.logs.create(log, invited)
        await anna.until(Created)
        boris.logs.append(log, home, secrets.token_bytes(16), b"from a guest", 3600)
        await boris.until(Appended)
        boris.logs.create(log, home)  # it is there
        await boris.until(Created)
        await is_refused(boris, home, "admission")
        await makes(anna, invited, 4)
        await anna.logs.stop()
        await boris.logs.stop()


async def test_an_invitation_is_taken_while_the_relay_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.relay.program.TICK_SECONDS", 0.05)
    async with relay(tmp_path / "relay", rules=rules("invitation")) as home:
        invited = invitation(tmp_path / "relay", 5, None)
        assert invited.pin == home.pin and invited.path_secret != home.path_secret
        await asyncio.sleep(0.3)
        node = Node()
        await makes(node, invited)
        await node.logs.stop()


async def test_tokens_got_by_invitation_let_in_by_another_way(tmp_path: Path) -> None:
    data, how = tmp_path / "relay", rules("tokens,invitation", per_token=2)
    async with relay(data, rules=how) as home:
        invited = invitation(data, 100, None)
    async with relay(data, rules=how, port=home.port) as home:
        anna = Node()
        await makes(anna, invited)
        async with asyncio.timeout(60):
            while not anna.logs.purse._tokens:
                await asyncio.sleep(0.01)
        guest = Node()
        guest.logs.purse = anna.logs.purse
        await makes(guest, home, 5)
        await guest.logs.stop()
        await anna.logs.stop()


def code(refusal: Refusal | None) -> str:
    return "" if refusal is None else refusal.code


def terms_of(entrance: Entrance) -> wire.Terms:
    assert entrance.terms is not None
    return entrance.terms


class Desk:
    """An admission whose answers are there at once, or waited for."""

    def __init__(self, data: Path, how: Rules) -> None:
        self.now = 10**12
        loop = asyncio.get_running_loop()
        self.all = Admission(
            data, how, b"p" * 32, secrets.token_bytes, lambda: self.now, loop.call_soon_threadsafe
        )

    async def says(self, entrance, frame: wire.Admit | wire.Ask):
        future = asyncio.get_running_loop().create_future()
        entrance.check(frame, future.set_result)
        return await future


async def test_a_token_is_spent_once_and_never_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "invitations").write_text("AAAAAAAAAAAAAAAAAAAAAA 100\n")
    secret = read_invitations(tmp_path)[0].secret
    desk = Desk(tmp_path, rules("tokens", per_token=2))
    invited, guest = desk.all.entrance(secret, "1.2.3.4"), desk.all.entrance(b"", "5.6.7.8")
    terms = invited.terms
    assert terms is not None and terms.gives == wire.MAX_ASKED and terms_of(guest).gives == 0
    pending = tokens.ask(tokens.Verifier(terms.issuer), challenge(b"p" * 32), secrets.token_bytes)
    given = await desk.says(invited, wire.Ask((pending.request,)))
    token = pending.finish(given.answers[0])
    assert code(guest.create()) == "admission"
    assert await desk.says(guest, wire.Admit("token", token)) is None
    assert [guest.create() for _ in range(2)] == [None, None]
    assert code(guest.create()) == "admission"
    assert (await desk.says(guest, wire.Admit("token", token))).code == "admission"
    assert (await desk.says(guest, wire.Admit("token", b"x" * len(token)))).code == "admission"
    assert (await desk.says(guest, wire.Ask((pending.request,)))).code == "admission"
    desk.all.close()
    again = Desk(tmp_path, rules("tokens"))
    guest = again.all.entrance(b"", "5.6.7.8")
    assert (await again.says(guest, wire.Admit("token", token))).code == "admission"
    again.all.close()


async def test_work_is_for_one_connection_and_counts_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules("work", per_work=1))
    one, other = (desk.all.entrance(b"", "1.2.3.4") for _ in "12")
    found = work(terms_of(one).nonce, 8)
    assert found is not None and is_work(terms_of(one).nonce, found, 8)
    assert terms_of(other).nonce != terms_of(one).nonce
    assert (await desk.says(other, wire.Admit("work", found))).code == "admission"
    assert await desk.says(one, wire.Admit("work", found)) is None
    assert (await desk.says(one, wire.Admit("work", found))).code == "admission"
    assert one.create() is None and code(one.create()) == "admission"
    desk.all.close()


async def test_an_invitation_makes_so_many_a_month_whoever_uses_it(tmp_path: Path) -> None:
    (tmp_path / "invitations").write_text("AAAAAAAAAAAAAAAAAAAAAA 3\n")
    secret = read_invitations(tmp_path)[0].secret
    desks = [Desk(tmp_path, rules("invitation")) for _ in "12"]  # two processes of one relay
    one, other = (desk.all.entrance(secret, "1.2.3.4") for desk in desks)
    assert one.create() is None and one.create() is None
    for desk in desks:
        desk.all.look()
        desk.all._thread.submit(lambda: None).result()
    assert other.create() is None
    assert code(other.create()) == "full"
    for desk in desks:
        desk.now += 31 * 86_400_000
        desk.all.look()
        desk.all._thread.submit(lambda: None).result()
    assert other.create() is None
    for desk in desks:
        desk.all.close()


async def test_from_one_address_so_many_an_hour_and_no_address_is_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rules("open", per_address=10))
    near = [desk.all.entrance(b"", f"2001:db8::{number}") for number in range(11)]
    assert [each.create() for each in near[:10]] == [None] * 10
    assert code(near[10].create()) == "rate"
    assert desk.all.entrance(b"", "2001:db8:0:1::1").create() is None
    desk.now += 3_600_000
    assert near[10].create() is None
    assert not any(b"2001" in path.read_bytes() for path in tmp_path.rglob("*"))
    assert not any(network("2001:db8::1") in name for name in desk.all._addresses)
    desk.all.close()


@pytest.mark.parametrize("text", ["", "opn", "open,work", "work,"])
def test_rules_that_are_none_are_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"way in|open"):
        Rules.parse(text)
