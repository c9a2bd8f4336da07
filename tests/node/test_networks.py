"""Memory of networks: which one this is, what worked there, and what a move does."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chatters import came, meet, only, relay, until
from pretend import HOME, Owner, Paths

from holdfast.core.caps import Home
from holdfast.core.ladder import REST, Ladder
from holdfast.core.seen import LONGEST_REST
from holdfast.lab.box import Box
from holdfast.lab.rules import Act, Fingerprint, Flow
from holdfast.node import engine, networks
from holdfast.node.api import Node
from holdfast.node.networks import Networks, Way, here
from holdfast.node.program import monotonic_ms, now_ms
from holdfast.node.vault import Vault
from holdfast.node.ways import Ways, paths
from holdfast.paths.base import MOVED
from holdfast.testing.clock import Clock

pytestmark = pytest.mark.time("made")

HOUR = 3_600_000
WLAN = Way("wlan0 192.168.1.1 192.168.1.0/24", "aa:bb:cc:00:11:22")
CAFE = Way("wlan0 192.168.1.1 192.168.1.0/24", "dd:ee:ff:00:11:22")
ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	0001A8C0	00000000	0001	0	0	600	00FFFFFF	0	0	0
wlan0	00000000	0101A8C0	0003	0	0	600	00000000	0	0	0
"""
ARP = """IP address       HW type     Flags       HW address            Mask     Device
192.168.1.7      0x1         0x2         00:00:5e:00:53:01     *        wlan0
192.168.1.1      0x1         0x2         aa:bb:cc:00:11:22     *        wlan0
"""


@pytest.fixture
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without any."""
    monkeypatch.setattr(networks, "_own", lambda target, range: "")


def proc(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.usefixtures("no_address")
def test_a_network_is_told_by_its_gateway(tmp_path: Path) -> None:
    assert here(proc(tmp_path)) is None
    assert here(proc(tmp_path, route=ROUTES)) == Way("wlan0 192.168.1.1 ", "")
    assert here(proc(tmp_path, arp=ARP)) == Way("wlan0 192.168.1.1 ", "aa:bb:cc:00:11:22")
    incomplete = ARP.replace("aa:bb:cc:00:11:22", "00:00:00:00:00:00")
    assert here(proc(tmp_path, arp=incomplete)) == Way("wlan0 192.168.1.1 ", "")
    for broken in ("", "x", "Iface\n", "h\nwlan0 00000000 zz 3\n", "h\nwlan0\n"):
        assert here(proc(tmp_path, route=broken, arp="h\n\n192.168.1.1\n")) is None


def test_where_no_gateway_is_told_the_own_range_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_own", lambda target, range: "10.9.8.0/24" * (range == 24))
    assert here(tmp_path) == Way(" 10.9.8.0/24")


def test_the_own_range_asks_nobody() -> None:
    assert networks._own("127.0.0.1", 8) == "127.0.0.0/8"
    assert networks._own("not an address", 24) == ""


class World:
    """A ladder on a network that a test changes."""

    def __init__(self, stored: bytes | None = None, through: str = "") -> None:
        self.clock, self.steady = Clock(), Clock(1_000)
        self.way: Way | None = WLAN
        self.ladder = Ladder()
        self.left = 0
        self.networks = Networks(
            self.ladder, self.clock, self.steady, lambda: self.way, through, self._leave
        )
        self.networks.load(stored)

    def _leave(self) -> None:
        self.left += 1

    def pass_by(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        self.steady.advance(milliseconds)

    @property
    def first(self) -> str:
        order = self.ladder.order(HOME.label, self.steady())
        return next(path for path in order if path != "hop")


def learn(world: World, path: str = "classic") -> None:
    """On this network the best path is cut, and this one works."""
    world.ladder.failed(HOME.label, "websocket", "tls", world.steady())
    world.ladder.worked(HOME.label, path, world.steady())


def test_each_network_is_known_again_by_what_worked_there() -> None:
    world = World()
    learn(world)
    assert not world.networks.moved() and world.left == 0
    world.way = CAFE
    assert world.networks.moved() and world.left == 1
    assert world.first == "websocket"
    learn(world, "micro")
    world.way = WLAN
    world.pass_by(HOUR)
    assert world.networks.moved() and world.left == 2
    assert world.first == "classic"
    again = World(world.networks.dump())
    assert again.first == "classic"
    again.way = CAFE
    assert again.networks.moved()
    assert again.first == "micro"
    assert next(iter(again.networks.seen())) == again.networks.current


def test_what_failed_rests_what_is_left_of_its_rest_after_a_start() -> None:
    world = World()
    learn(world)
    kept = world.networks.dump()
    for ago, rests in ((0, True), (REST["tls"] - 1, True), (REST["tls"] + 1, False)):
        again = World()
        again.clock.advance(ago)
        again.networks.load(kept)
        assert again.ladder.rests(HOME.label, "websocket", again.steady()) == rests
        assert again.first == "classic"


def test_a_clock_that_was_put_back_makes_no_rest_longer_than_the_longest() -> None:
    world = World()
    learn(world)
    kept = world.networks.dump()
    again = World()
    again.clock.now -= 24 * HOUR
    again.networks.load(kept)
    assert not again.ladder.rests(HOME.label, "websocket", again.steady() + LONGEST_REST)


def test_no_network_for_a_while_is_no_other_one() -> None:
    world = World()
    learn(world)
    world.way = None
    assert not world.networks.moved()
    world.way = WLAN
    assert not world.networks.moved() and world.left == 0
    assert world.first == "classic"


def test_a_gateways_hardware_address_that_is_known_later_is_no_move() -> None:
    known = World()
    learn(known)
    world = World(known.networks.dump())
    world.way = replace_hardware(CAFE, "")
    assert not world.networks.moved()  # it may be the same one
    world = World()
    world.way = replace_hardware(WLAN, "")
    world.networks.load(known.networks.dump())
    assert world.first == "websocket"
    world.way = WLAN
    assert not world.networks.moved() and world.left == 0
    assert world.first == "classic"
    assert len(world.networks.seen()) == 1


def replace_hardware(way: Way, hardware: str) -> Way:
    return way._replace(hardware=hardware)


def test_the_first_network_is_no_move_but_leaves_what_stands() -> None:
    world = World()
    world.way = None
    world.networks.load(None)
    learn(world)
    world.way = WLAN
    assert not world.networks.moved()
    assert world.first == "websocket"


def test_sleep_is_told_by_the_clock_that_went_on() -> None:
    world = World()
    learn(world)
    world.pass_by(8 * HOUR)
    assert not world.networks.moved()
    world.clock.advance(8 * HOUR)
    assert world.networks.moved() and world.left == 1
    assert not world.networks.moved()
    assert world.first == "classic"


def test_behind_another_proxy_the_same_network_is_another() -> None:
    world = World(through="socks5h://127.0.0.1:9050")
    learn(world)
    kept = world.networks.dump()
    assert World(kept, "socks5h://127.0.0.1:9050").first == "classic"
    assert World(kept).first == "websocket"


def test_news_is_what_has_changed_besides_times() -> None:
    world = World()
    learn(world)
    assert world.networks.news() is not None
    world.pass_by(HOUR)
    assert world.networks.news() is None
    world.ladder.worked(HOME.label, "micro", world.steady())
    assert world.networks.news() is not None


def test_forgetting_leaves_nothing() -> None:
    world = World()
    learn(world)
    world.way = CAFE
    world.networks.moved()
    learn(world)
    world.networks.forget()
    assert HOME.label.encode() not in world.networks.dump()
    assert world.first == "websocket"


def test_only_the_last_networks_and_so_many_relays_are_kept() -> None:
    world = World()
    for number in range(networks.MOST + 5):
        world.way = Way(f"wlan0 10.0.{number}.1")
        world.networks.moved()
        for each in range(networks.PLACES + 5):
            world.ladder.worked(f"{each}.example:443", "websocket", world.steady())
        world.pass_by(1)
    seen = world.networks.seen()
    assert len(seen) == networks.MOST
    assert {len(known.places) for known in seen.values()} == {networks.PLACES}


@pytest.mark.parametrize("stored", [b"", b"\xc1", b"\x81\xa1a\xa1b", b"\x93\x01\x02\x03"])
def test_a_memory_that_cannot_be_read_is_none(stored: bytes) -> None:
    assert World(stored).first == "websocket"


# With real paths and nodes.


async def test_on_a_known_network_the_path_that_worked_there_is_tried_first() -> None:
    clock, steady, way = Clock(), Clock(1_000), WLAN
    kept: bytes | None = None
    for tried in (["websocket", "classic"], ["classic"]):
        world = Paths(websocket="tls", classic="works")
        memory = Networks(world.ways.ladder, clock, steady, lambda: way)
        memory.load(kept)
        await world.ways.connect(HOME, Owner())
        assert world.tried == tried
        kept = memory.dump()
        clock.advance(HOUR)
        steady.advance(HOUR)


async def test_a_move_ends_what_stands_and_begins_what_was_under_way_anew() -> None:
    world, owner, late = Paths(websocket="works"), Owner(), Owner()
    await world.ways.connect(HOME, owner)
    world.how["websocket"] = "hangs"
    waiting = asyncio.create_task(world.ways.connect(HOME, late))
    await asyncio.sleep(0.05)
    world.how["websocket"] = "works"
    world.ways.move()
    assert owner.closed == [MOVED]
    await asyncio.wait_for(waiting, 60)
    assert world.tried == ["websocket"] * 3
    assert world.ways.finding().verdict == "clear"  # nothing is held against the new network


@asynccontextmanager
async def roaming(home: Path, name: str, box: Box, *relays: Home):
    """A node behind a box, as `holdfast node --proxy` makes it, and how each connection began."""
    ways = Ways(paths(box.url), monotonic_ms)
    node = Node(Vault(home, secrets.token_bytes), ways.connect, now_ms, secrets.token_bytes, relays)
    node.networks = Networks(ways.ladder, now_ms, monotonic_ms, through="box", leave=ways.move)
    node.finding = ways.finding
    await node.start(name)
    try:
        yield node
    finally:
        await node.stop()
        await ways.stop()


@pytest.mark.timeout(120)
@pytest.mark.time("real")
async def test_nodes_begin_again_with_what_got_them_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes behind one box that cuts their first fingerprint: the second time neither tries
    it. Then one forgets, and does."""
    monkeypatch.setattr(networks, "_own", lambda target, range: "10.0.0.0/24")
    async with (
        relay(tmp_path / "relay") as at,
        Box({(at.host, at.port): (at.host, at.port)}) as box,
    ):
        censor = Fingerprint(Act.RESET)
        box.rules = [censor]
        people = [(tmp_path / name.lower(), name) for name in ("Anna", "Boris")]
        async with roaming(*people[0], box, at) as anna, roaming(*people[1], box, at) as boris:
            await meet(anna, boris)
            assert (await anna.diagnose()).network == "fingerprint"
            (known,) = await anna.known_networks()
            assert known.current and known.relays[0].path == "classic"
        assert len(hellos(box, censor)) >= 2
        box.flows.clear()
        async with roaming(*people[0], box, at) as anna, roaming(*people[1], box, at) as boris:
            await boris.send((await only(boris)).id, "the same way")
            await came(anna, lambda message: message.text == "the same way")
            assert not hellos(box, censor)
            await anna.forget_networks()
        box.flows.clear()
        async with roaming(*people[0], box, at) as anna:
            await until(anna.status, lambda status: status.verdict == "clear")
            assert hellos(box, censor)


def hellos(box: Box, censor: Fingerprint) -> list[Flow]:
    """Connections that began as the one that is cut."""
    return [flow for flow in box.flows if flow.hello and flow.hello.ja4 in censor.listed]


@pytest.mark.time("real")
async def test_a_node_that_wakes_makes_its_connections_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.05)
    way = [WLAN]
    async with relay(tmp_path / "relay") as at:
        ways = Ways(paths(), monotonic_ms)
        node = Node(
            Vault(tmp_path / "anna", secrets.token_bytes), ways.connect, now_ms,
            secrets.token_bytes, (at,),
        )  # fmt: skip
        node.networks = Networks(ways.ladder, now_ms, monotonic_ms, lambda: way[0], leave=ways.move)
        await node.start("Anna")
        try:
            status = await until(node.status, lambda status: status.verdict == "clear")
            before = status.relays[0].since
            way[0] = CAFE
            await until(
                node.status,
                lambda status: status.verdict == "clear" and status.relays[0].since > before,
            )
            assert len(await node.known_networks()) == 2
        finally:
            await node.stop()
            await ways.stop()
