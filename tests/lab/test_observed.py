"""From the censor to the page: calls are blocked for one region, its nodes and people say so, and
the observatory does, with evidence that holds offline.

Nodes are real and asked through their API; what they report is what they found out in calls. The
observatory knows what was usual in the days before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from holdfast.lab import scenarios
from holdfast.lab.door import door
from holdfast.lab.hosts import Lab, Place
from holdfast.lab.peers.holdfast import Person
from holdfast.lab.scenarios import World
from holdfast.testing.processes import Processes
from holdfast.watch import program, replay, simulate
from holdfast.watch.journal import STEP
from holdfast.watch.ledger import Ledger, raw
from holdfast.watch.places import parse
from holdfast.watch.rollup import Rollup

sys.path.insert(0, str(Path(__file__).parents[1] / "watch"))

import watches

BLOCKED, FREE = "VEL", "NOR"
BEFORE = 3 * 86_400
PATIENCE = 60.0
RELAY, WATCH = "203.0.113.10", "203.0.113.11"
SCENARIO = "udp-sweep"
SAMPLE = parse(program.SAMPLE.read_bytes())
PLACES = msgspec.structs.replace(
    SAMPLE, regions=tuple(one for one in SAMPLE.regions if one.code in (BLOCKED, FREE))
)


@dataclass
class Observed:
    """What was said in the end."""

    title: str
    page: str
    evidence: Path
    about: dict[str, object]
    others: int
    """Events of other regions."""


def usual(data: Path) -> None:
    """An observatory's folder with quiet days in it, beside the file of its places."""
    data.mkdir(parents=True)
    (data.parent / "places.json").write_bytes(msgspec.json.encode(PLACES))
    ledger, key = Ledger(data / "ledger"), program.key_of(data)
    country = simulate.Country(PLACES, 5, [], complaints=0.4, reports=0.5)
    now = int(time.time()) // STEP * STEP
    for at in range((now - BEFORE) // 3600 * 3600, now, STEP):
        ledger.append(Rollup(at, country.rows(at)), key)


async def talk(anna: Person, boris: Person) -> None:
    """Become contacts and speak, until both know how the network takes it."""
    one, other = anna.client.node, boris.client.node
    invitation = await one.create_invitation()
    while invitation.state == "preparing":
        await asyncio.sleep(0.1)
        (invitation,) = await one.invitations()
    await other.accept_invitation(invitation.link)
    await one.start_call(await anna.contact())
    while not await other.calls():
        await asyncio.sleep(0.1)
    await other.accept_call((await other.calls())[0].id)
    async with asyncio.timeout(PATIENCE):
        for node in (one, other):
            while not any(each.state == "talking" for each in await node.calls()):
                await asyncio.sleep(0.1)


async def tell(people: Sequence[Person], root: str, region: str, blocked: bool) -> None:
    """All nodes of a region call each other in pairs, measure, and complain if they have cause."""
    pairs = list(zip(people[::2], people[1::2], strict=True))
    await asyncio.gather(*(talk(*pair) for pair in pairs))
    for person in people:
        node = person.client.node
        if blocked:
            async with asyncio.timeout(PATIENCE):
                while (await node.diagnose()).network != "udp-block":
                    await asyncio.sleep(0.2)
        await node.set_reporting(root, region, "veltel")
        assert (await node.measure_now()).counted == 1, await node.reporting()
        if blocked:
            assert (await node.complain(["calls"])).counted == 1, await node.reporting()


async def strangers(root: str, clock: watches.Clock, count: int) -> None:
    """People whose nodes are not here complain."""
    from holdfast.core.report import Complaint

    for _ in range(count):
        person = watches.Person(root, clock)
        (token,) = await person.tokens("calls")
        _, answer = await person.send((Complaint(BLOCKED, "veltel", "calls"), token))
        assert answer["counted"] == 1, answer


async def look(root: str, directory: Path) -> Observed:
    """What the observatory says, and whether its evidence holds."""
    async with asyncio.timeout(STEP + PATIENCE):
        while b'href="/event/' not in (await watches.get(root + "/events"))[1]:
            await asyncio.sleep(0.5)
    all = json.loads((await watches.get(root + "/events.json"))[1])["events"]
    (event,) = [one for one in all if one["region"] == BLOCKED]
    page = (await watches.get(f"{root}/event/{event['id']}"))[1].decode()
    evidence = directory / "evidence.zip"
    evidence.write_bytes((await watches.get(f"{root}/bundle/{event['id']}.zip"))[1])
    command = [sys.executable, "-m", "holdfast.cli", "--json", "watch", "verify", str(evidence)]
    found = await asyncio.to_thread(
        subprocess.run, ["unshare", "-rn", *command], capture_output=True, check=True
    )
    about = json.loads(found.stdout)
    return Observed(event["title"], page, evidence, about, len(all) - 1)


def check(found: Observed, data: Path) -> None:
    says = "Calls blocked in Velin on Veltel since "
    assert found.title.startswith(says), found.title
    assert found.title.endswith(", text unaffected"), found.title
    assert found.title in found.page
    assert found.about["holds"] and "Calls are blocked in Velin" in str(found.about["sentence"])
    assert not found.others
    again = replay.replay(data, PLACES, raw(program.key_of(data)))
    assert again.same


@contextlib.asynccontextmanager
async def opened(people: Sequence[Person]) -> AsyncIterator[None]:
    try:
        for person in people:
            await person.open()
        yield
    finally:
        for person in people:
            await person.close()


@contextlib.asynccontextmanager
async def here(lab: Lab, data: Path, clock: watches.Clock) -> AsyncIterator[str]:
    """An observatory of this process, whose clock is turned; it is on its host as well."""

    async def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, near = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError):
            await asyncio.gather(pump(reader, near), pump(far, writer))

    async with watches.watching(data, clock, places=data.parent / "places.json") as root:
        port = int(root.rsplit(":", 1)[1])
        listener = lab["watch.test"].socket()
        listener.bind((WATCH, port))
        listener.listen()
        server = await asyncio.start_server(came, sock=listener)
        try:
            yield root
        finally:
            server.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def there(lab: Lab, data: Path) -> AsyncIterator[str]:
    """An observatory that is a program on its host."""
    async with door(lab["watch.test"]) as port:
        command = [
            sys.executable, "-m", "holdfast.cli", "watch", "--data", str(data), "--no-wait",
            "--places", str(data.parent / "places.json"), "--listen", f"0.0.0.0:{port}",
        ]  # fmt: skip
        watch = lab["watch.test"].start(command, stdout=subprocess.PIPE)
        assert watch.stdout is not None
        await asyncio.to_thread(watch.stdout.readline)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            watch.terminate()
            watch.wait(20)
            watch.stdout.close()


async def observed(
    directory: Path, hosts: int, each: int, free: int, clock: watches.Clock | None
) -> Observed:
    """On each host of the blocked region so many nodes, so many in the other one, and complaints
    of fifty people. Without a clock it is the wall's."""
    data = directory / "w"
    usual(data)
    homes = [f"home{number}.test" for number in range(hosts)]
    places = [Place(name, f"198.51.100.{10 + n}", watched=True) for n, name in enumerate(homes)]
    places += [Place("free.test", "203.0.113.60"), Place("relay.test", RELAY)]
    places += [Place("watch.test", WATCH)]
    with Lab(places) as lab, Processes(directory) as run:
        enter = lab["relay.test"].command([])
        relay = await asyncio.to_thread(run.relay, "relay", "", "", f"{RELAY}:443", enter)
        lab.begin(scenarios.find(SCENARIO).stage(World(("relay.test",), addresses=lab.addresses)))
        async with contextlib.AsyncExitStack() as stack:

            async def settle(host: str, count: int) -> list[Person]:
                people = []
                for number in range(count):
                    port = await stack.enter_async_context(door(lab[host]))
                    name = f"{host.split('.')[0]}-{number}"
                    node = await asyncio.to_thread(
                        run.node, name, relay.address, port=port, enter=lab[host].command([])
                    )
                    people.append(Person(node, port))
                await stack.enter_async_context(opened(people))
                return people

            watch = here(lab, data, clock) if clock else there(lab, data)
            local = await stack.enter_async_context(watch)
            root = local.replace("127.0.0.1", WATCH)
            people = [one for name in homes for one in await settle(name, each)]
            await tell(await settle("free.test", free), root, FREE, blocked=False)
            await tell(people, root, BLOCKED, blocked=True)
            now = clock or watches.Clock(int(time.time()))
            await strangers(local, now, 50 - len(people))
            if clock:
                clock.now += 2 * STEP
            return await look(local, directory)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("ready_keys")
async def test_blocked_calls_are_on_the_page_with_evidence(tmp_path: Path) -> None:
    """Four nodes, on a clock that is turned."""
    clock = watches.Clock(int(time.time()))
    check(await observed(tmp_path, 1, 4, 0, clock), tmp_path / "w")


def prove(seed: int, count: int, directory: Path) -> dict[str, object]:
    """`count` nodes on five hosts, two of another region that is free, and the wall's clock."""
    found = asyncio.run(observed(directory, 5, count // 5, 2, None))
    check(found, directory / "w")
    return {"title": found.title}
