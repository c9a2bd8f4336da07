"""Watches that fetch and add up each other's signed rollups: two are one; what does not count."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from watches import Clock, Person, get, watching

from holdfast.core.report import Alive, Complaint, Measurement, Result
from holdfast.watch import event, ledger, merging, replay, simulate
from holdfast.watch.engine import Engine
from holdfast.watch.journal import DAY, STEP
from holdfast.watch.ledger import Ledger, raw
from holdfast.watch.merging import Peer, Peers
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE, key_of
from holdfast.watch.rollup import BadRollup, Rollup, Row
from holdfast.watch.station import Station

pytestmark = [pytest.mark.usefixtures("ready_keys"), pytest.mark.timeout(120)]
NOW = 1_790_000_000 // DAY * DAY + 13 * 3600
WHOLE = parse(SAMPLE.read_bytes())
PLACES = msgspec.structs.replace(
    WHOLE, regions=tuple(one for one in WHOLE.regions if one.code in ("VEL", "NOR"))
)
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
ROW = Row("c", "VEL", "veltel", "calls", 7)


def line(at, rows=(ROW,), key=OTHER):
    return ledger.seal(Rollup(at, list(rows)), key)


@pytest.fixture
def peers(tmp_path):
    return Peers(tmp_path / "peers", (Peer("http://x", raw(OTHER)),), PLACES, raw(KEY))


def refused(peers, data, why, due=NOW, now=NOW + STEP):
    before = peers.all[raw(OTHER)].refused
    with pytest.raises(BadRollup, match=why):
        peers.receive(raw(OTHER), data, due, now)
    assert peers.all[raw(OTHER)].refused == before + 1


def test_what_does_not_count(peers):
    peers.receive(raw(OTHER), line(NOW), NOW, NOW + STEP)
    refused(peers, line(NOW), "told before")
    refused(peers, line(NOW, [Row("c", "VEL", "veltel", "calls", 900)]), "told before")
    refused(peers, line(NOW + STEP, key=KEY), "not signed")
    refused(peers, line(NOW + STEP, key=Ed25519PrivateKey.generate()), "not signed")
    refused(peers, line(NOW + STEP).replace(b",7,", b",8,"), "not signed")
    refused(peers, line(NOW + 9 * STEP), "not over")
    refused(peers, line(NOW + STEP), "too late", due=NOW + 2 * STEP, now=NOW + 4 * STEP)
    refused(peers, b"{}", "not a rollup")
    assert peers.take(NOW) == [[ROW]] and peers.take(NOW) == []


def test_a_replayed_line_is_refused_after_a_restart_too(peers, tmp_path):
    peers.receive(raw(OTHER), line(NOW), NOW, NOW + STEP)
    again = Peers(tmp_path / "peers", (Peer("http://x", raw(OTHER)),), PLACES, raw(KEY))
    refused(again, line(NOW), "told before")
    assert again.take(NOW) == [[ROW]]


def test_only_what_is_known_here_is_counted(peers):
    strange = [
        Row("a", "VEL", "", "", 9), Row("c", "Nowhere", "veltel", "calls", 9),
        ROW, Row("c", "VEL", "veltel", "service:unknown", 9), Row("m", "VEL", "who?", "text", 9),
    ]  # fmt: skip
    peers.receive(raw(OTHER), line(NOW, sorted(strange, key=lambda r: r.key)), NOW, NOW + STEP)
    assert peers.take(NOW) == [[ROW]]


@pytest.mark.parametrize("keys", [(KEY,), (OTHER, OTHER)])
def test_another_watch_has_a_key_of_its_own(tmp_path, keys):
    with pytest.raises(BadRollup, match="own"):
        Peers(tmp_path, tuple(Peer("x", raw(key)) for key in keys), PLACES, raw(KEY))


def station(data, key, *others):
    data.mkdir(exist_ok=True)
    peers = tuple(Peer("x", raw(other)) for other in others)
    return Station(data, PLACES, "w", key, frozenset(), lambda call: call(), peers=peers)


def changes(data):
    return (data / "events").read_bytes().splitlines()


def test_two_watches_that_add_up_say_what_one_would(tmp_path):
    """Half is told to each; one is down for a while, another time comes late."""
    begins, ends = 20_000 * DAY, 20_002 * DAY + 5 * 3600
    story = [
        simulate.Hidden("calls", ("NOR",), ("veltel", "sayat"), ("calls",), begins + 2 * DAY,
                        begins + 2 * DAY + 7200, 0.9, 12, "udp-block"),
    ]  # fmt: skip
    country = simulate.Country(PLACES, 5, story, complaints=2, reports=16)
    whole, one = Engine(PLACES), station(tmp_path / "1", KEY, OTHER)
    two = station(tmp_path / "2", OTHER, KEY)
    for at in range(begins, ends, STEP):
        rows = country.rows(at)
        whole.tick(at, rows, 2)
        for each, half in ((one, rows[::2]), (two, rows[1::2])):
            each.feed(Rollup(at, half))
        for each, other in ((one, two), (two, one)):
            each.advance(at + STEP)
            assert each.due == at  # waits for the other's
            each.peers.receive(other.public, other.ledger.after(at // DAY, at - 1)[0], each.due,
                               at + STEP)  # fmt: skip
            each._next = at + STEP
            each.advance(at + STEP)
            assert each.due == at + STEP
    said = list(map(event.encode, whole.events))
    assert any(each.published for each in whole.events)
    for each in (one, two):
        assert list(map(event.encode, each.engine.events)) == said
        each.close()
        found = replay.replay(each.data, PLACES, each.public, simulated=True)
        assert found.same and list(map(event.encode, found.events)) == said
    assert changes(tmp_path / "1") == changes(tmp_path / "2")
    alone = Engine(PLACES)
    for each in Ledger(tmp_path / "1" / "ledger").read():
        alone.tick(each.at, each.rows)
    assert list(map(event.encode, alone.events)) != said


def test_who_does_not_come_is_not_waited_for_and_comes_too_late(tmp_path):
    one = station(tmp_path / "1", KEY, OTHER)
    one.feed(Rollup(NOW, [ROW]))
    one.advance(NOW + STEP + merging.HOLD - 1)
    assert one.due == NOW
    one.advance(NOW + STEP + merging.HOLD)
    assert one.due == NOW + STEP
    with pytest.raises(BadRollup, match="too late"):
        one.peers.receive(raw(OTHER), line(NOW), one.due, NOW + STEP + 130)
    one.close()


def test_signs_of_life_stay_at_home_and_are_told_blurred(tmp_path):
    month = 32 * DAY
    told = []

    def reach(region, number, count):
        told.append((region, count))
        return 61 if count >= 50 else None

    data = tmp_path / "1"
    data.mkdir()
    kept = Station(data, PLACES, "w", KEY, frozenset(), lambda call: call(), reach=reach)
    kept.feed(Rollup(NOW, [Row("a", "NOR", "", "", 8), Row("a", "VEL", "", "", 58), ROW]))
    kept.feed(Rollup(NOW + month, [ROW]))
    assert [one.rows for one in kept.ledger.read()] == [
        [ROW], [ROW, Row("r", "VEL", "", "", 61)],
    ]  # fmt: skip
    assert ("VEL", 58) in told and ("NOR", 8) in told
    assert next(merging.own(data)).rows[0].source == "a"
    assert list(kept.engine.regions["VEL"].alive.values()) == [58]
    other = Engine(PLACES)
    other.tick(NOW + month, merging.known(list(kept.ledger.read())[1].rows, PLACES), 2)
    assert list(other.regions["VEL"].alive.values()) == [61]
    kept.close()


def failing():
    return Measurement("VEL", "veltel", (Result("text", True), Result("calls", False, "udp-block")))


async def test_two_watches_over_their_ports(tmp_path):
    """Twenty-six nodes, half at each; neither sees enough alone, both see it together."""
    clock = Clock(NOW)
    one, two = tmp_path / "1", tmp_path / "2"
    for data in (one, two):
        data.mkdir()
    with forwarding() as (address, lead):
        async with AsyncExitStack() as stack:
            peer = Peer(address, raw(key_of(two)))
            first = await stack.enter_async_context(watching(one, clock, peers=(peer,)))
            peer = Peer(first, raw(key_of(one)))
            second = await stack.enter_async_context(watching(two, clock, peers=(peer,)))
            lead(second)
            for root in (first, second):
                for _ in range(13):
                    person = Person(root, clock)
                    calls, measure, alive = await person.tokens("calls", "measure", "alive")
                    pairs = [(Complaint("VEL", "veltel", "calls"), calls), (failing(), measure)]
                    assert (await person.send(*pairs, (Alive("VEL"), alive)))[1]["counted"] == 3
            clock.now += STEP
            events = []
            async with asyncio.timeout(60):
                for root in (first, second):
                    while b'href="/event/' not in (await get(root + "/events"))[1]:
                        await asyncio.sleep(0.2)
                    events.append(json.loads((await get(root + "/events.json"))[1])["events"])
            assert events[0][0]["measured"] == 26 and events[0][0]["complaints"] == 26
            strip = [{**each[0], "url": "", "bundle": ""} for each in events]
            assert strip[0] == strip[1]
            about = json.loads((await get(first + "/about.json"))[1])["with"]
            assert about[0]["last"] == NOW and not about[0]["refused"]
            rollups = (await get(f"{first}/rollups?day={NOW // DAY}"))[1]
            assert b'"a"' not in rollups and b"veltel" in rollups
            assert (await get(f"{first}/rollups?day={NOW // DAY}&after={NOW}"))[1] == b""
            assert (await get(f"{first}/rollups?day=1&after=x"))[0] == 400
            from holdfast.watch import bundle

            evidence = (await get(f"{first}/bundle/{events[0][0]['id']}.zip"))[1]
            held = bundle.verify(evidence)
            assert held.event.complaints == 26
            assert held.others == {raw(key_of(two)).hex(): 1}
            with pytest.raises(bundle.BadBundle, match="says more"):
                bundle._added({f"other-{raw(OTHER).hex()}.jsonl": line(NOW)}, "VEL",
                              [Rollup(NOW, [Row(*ROW.key, seen=ROW.seen - 1)])])  # fmt: skip
    for data in (one, two):
        found = replay.replay(data, WHOLE, raw(key_of(data)))
        assert found.same and not found.uncovered and len(found.events) == 1


@contextmanager
def forwarding():
    """An address that leads on to another one, once that is known."""
    import urllib.request

    target: list[str] = []

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self):
            if not target:
                self.send_error(503)
                return
            with urllib.request.urlopen(target[0] + self.path, timeout=20) as found:
                body = found.read()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", target.append
        finally:
            server.shutdown()
            thread.join()
