"""The observatory over its port: tokens, reports, the form, restarts, full disks, pages."""

import asyncio
import hashlib
import json
import os
import re
import sys
import threading
import xml.etree.ElementTree as ElementTree
from argparse import Namespace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from watches import Clock, Person, get, watching

from holdfast.cli import watch
from holdfast.cli.say import Trouble
from holdfast.core.report import Alive, Complaint, Measurement, Result
from holdfast.watch import bundle, crowd, edits, program, replay
from holdfast.watch.journal import STEP, Journal
from holdfast.watch.ledger import Ledger, raw
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE, WatchError, key_of
from holdfast.watch.station import Station

pytestmark = [pytest.mark.usefixtures("ready_keys"), pytest.mark.timeout(240)]
NOW = 1_790_000_000 // 86_400 * 86_400 + 13 * 3600
PLACES = parse(SAMPLE.read_bytes())
CALLS = Complaint("VEL", "veltel", "calls")


def entries(data):
    journal = Journal(data / "journal", lambda call: call())
    found = [entry for day in journal.days() for entry in journal.read(day)]
    journal.close()
    return found


def failing(operator="veltel"):
    return Measurement("VEL", operator, (Result("text", True), Result("calls", False, "udp-block")))


async def test_a_report_costs_a_token_and_each_is_spent_once(tmp_path):
    clock = Clock(NOW)
    async with watching(tmp_path, clock) as root:
        person = Person(root, clock)
        calls, measure, alive = await person.tokens("calls", "measure", "alive")
        pairs = [(CALLS, calls), (failing(), measure), (Alive("VEL"), alive)]
        assert await person.send(*pairs) == (200, {"counted": 3, "refused": []})
        _, again = await person.send(*pairs)
        assert again["counted"] == 0 and "spent" in again["refused"][0]["why"]
        assert await person.tokens("calls") == [None]
        (other,) = await Person(root, clock).tokens("text")
        _, wrong = await person.send((CALLS, other), (CALLS, b"x" * 354), (CALLS, b""))
        assert wrong["counted"] == 0
    kept = entries(tmp_path)
    assert [entry.source for entry in kept] == ["c", "m", "m", "a"]
    assert {entry.at for entry in kept} == {NOW}


async def test_what_was_acknowledged_survives_a_restart_and_stays_spent(tmp_path):
    clock = Clock(NOW)
    async with watching(tmp_path, clock) as root:
        person = Person(root, clock)
        (token,) = await person.tokens("calls")
        assert (await person.send((CALLS, token)))[1]["counted"] == 1
    clock.now += 3 * STEP
    async with watching(tmp_path, clock) as root:
        person = Person(root, clock)
        assert (await person.send((CALLS, token)))[1]["counted"] == 0
        await asyncio.sleep(0)
    found = replay.replay(tmp_path, PLACES, raw(key_of(tmp_path)))
    assert found.same and not found.uncovered and found.steps


async def test_reports_are_taken_while_the_past_is_played(tmp_path, monkeypatch):
    clock, free, really = Clock(NOW), threading.Event(), Station.play
    async with watching(tmp_path, clock):
        clock.now += 2 * STEP
        while not list(Ledger(tmp_path / "ledger").read(NOW + STEP)):
            await asyncio.sleep(0.05)

    def held(self):
        while not free.is_set():
            yield 0.4
        yield from really(self)

    monkeypatch.setattr(program, "SERVE", 0)
    monkeypatch.setattr(Station, "play", held)
    clock.now += 100 * STEP
    async with watching(tmp_path, clock) as root:
        person = Person(root, clock)
        (token,) = await person.tokens("calls")
        assert (await person.send((CALLS, token)))[1]["counted"] == 1
        for path in ("/", "/ru/event/x", "/editors"):
            status, page = await get(root + path, accept="text/html,*/*")
            assert status == 503 and b"40%" in page and b"<progress" in page
        for path in ("/events.json", "/metrics"):
            assert (await get(root + path))[0] == 503
        with pytest.raises(Trouble, match="reads its past"):
            await asyncio.to_thread(watch.events, Namespace(url=root, editor=None, json=False))
        assert (await get(root + "/report"))[0] == 200
        assert (await look(root, edits.look(Ed25519PrivateKey.generate(), "x", 1)))[0] == 503
        clock.now += 2 * STEP
        free.set()
        while (await get(root + "/"))[0] != 200:
            await asyncio.sleep(0.05)
        while not list(Ledger(tmp_path / "ledger").read(clock.now - STEP)):
            await asyncio.sleep(0.05)
    assert [one.at for one in Ledger(tmp_path / "ledger").read()] == [
        NOW,
        NOW + STEP,
        NOW + 102 * STEP,
        NOW + 103 * STEP,
    ]
    found = replay.replay(tmp_path, PLACES, raw(key_of(tmp_path)))
    assert found.same and not found.uncovered and found.steps == 4


async def test_new_credentials_wait_a_day(tmp_path):
    clock = Clock(NOW)
    async with watching(tmp_path, clock, wait=True) as root:
        person = Person(root, clock)
        assert await person.tokens("calls") == [None]
        clock.now += 86_400
        assert (await person.tokens("calls"))[0] is not None


async def test_the_form_counts_one_a_function_and_day(tmp_path):
    clock = Clock(NOW)
    async with watching(tmp_path, clock) as root:
        form = "application/x-www-form-urlencoded"
        body = b"function=calls&function=media&region=VEL&operator=veltel"
        status, page = await get(root + "/report", body, form)
        assert status == 200 and b"it counts" in page
        status, page = await get(root + "/ru/report", body, form)
        assert status == 200 and b'data-bits="19"' in page and b"input" in page
        status, _ = await get(root + "/report", b"function=calls&region=Nowhere&operator=x", form)
        assert status == 400
        assert (await get(root + "/report", b"%ff&&&=", form))[0] == 400
    kept = entries(tmp_path)
    assert [(entry.source, entry.function) for entry in kept] == [("f", "calls"), ("f", "media")]
    assert not any(b"127.0.0.1" in path.read_bytes() for path in tmp_path.rglob("*.journal"))


async def test_more_of_one_network_count_for_work(tmp_path, monkeypatch):
    monkeypatch.setattr(crowd, "FIRST", 7)
    clock, form = Clock(NOW), "application/x-www-form-urlencoded"
    body = "function=calls&region=VEL&operator=veltel"

    def asked(page):
        found = re.search(rb'data-over="(\w+)" data-bits="(\d+)".*name="salt" value="(\w+)"', page)
        assert found is not None
        over, bits, salt = found.groups()
        covered = bytes.fromhex(over.decode())
        assert salt in over
        for number in range(99_999):
            done = number.to_bytes(8, "big")
            if hashlib.sha256(covered + done).digest()[0] < 2:
                return int(bits), f"{body}&salt={salt.decode()}&work={done.hex()}"
        raise AssertionError("no work")

    async with watching(tmp_path, clock) as root:

        async def send(body):
            status, page = await get(root + "/report", body.encode(), form)
            assert status == 200
            return page

        assert b"it counts" in await send(body)
        bits, paid = asked(await send(body))
        assert bits == 7 and b"it counts" in await send(paid)
        again = await send(paid)  # work counts once
        assert b"it counts" not in again and b"data-bits" in again
        for junk in ("&salt=00&work=00", "&salt=x&work=", "&work=" + 16 * "0"):
            assert b"it counts" not in await send(body + junk)
        for number in range(crowd.FREE):
            bits, paid = asked(await send(body))
            assert bits == (7 if number < crowd.FREE - 1 else 8)
            assert b"it counts" in await send(paid)
        clock.now += 86_400
        assert b"it counts" in await send(body)
    assert len(entries(tmp_path)) == 3 + crowd.FREE


async def test_calls_blocked_for_one_region_end_to_end(tmp_path):
    """Ten nodes and fifty complaints; the page says so, and the evidence holds."""
    clock = Clock(NOW)
    async with watching(tmp_path, clock, name="Test") as root:
        people = [Person(root, clock) for _ in range(50)]
        spent = [await person.tokens("calls", "measure") for person in people]
        nodes = list(zip(people, spent, strict=True))[:10]
        for person, (_, measure) in nodes:
            assert (await person.send((failing(), measure)))[1]["counted"] == 1
        for person, (calls, _) in zip(people, spent, strict=True):
            assert (await person.send((CALLS, calls)))[1]["counted"] == 1
        clock.now += STEP
        while b'href="/event/' not in (await get(root + "/events"))[1]:
            await asyncio.sleep(0.1)
        events = json.loads((await get(root + "/events.json"))[1])["events"]
        assert events[0]["title"] == (
            "Calls blocked in Velin on Veltel since 13:00, text unaffected"
        )
        assert events[0]["measured"] == 10 and events[0]["complaints"] == 50
        page = (await get(f"{root}/event/{events[0]['id']}"))[1].decode()
        assert events[0]["title"] in page
        status, data = await get(f"{root}/bundle/{events[0]['id']}.zip")
        assert status == 200
        found = bundle.verify(data)
        assert found.sentence.startswith("Calls are blocked in Velin on Veltel since 13:00.")
        for place in range(0, len(data), len(data) // 40):
            damaged = bytearray(data)
            damaged[place] ^= 0x55
            try:
                again = bundle.verify(bytes(damaged))
            except bundle.BadBundle:
                continue
            assert again.event == found.event  # a byte of the archive that means nothing


async def test_editors_sign_what_they_say(tmp_path):
    clock = Clock(NOW)
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    tmp_path.joinpath("editors").write_text(raw(key).hex() + "\n")
    async with watching(tmp_path, clock, simulated=3, days=6, places=few(tmp_path)) as root:
        while b"<progress" in (await get(root + "/"))[1]:
            await asyncio.sleep(0.1)
        events = json.loads((await get(root + "/events.json"))[1])["events"]
        name = events[0]["id"]
        head = bytes.fromhex(json.loads((await get(root + "/about.json"))[1])["edits"])
        bad = edits.make(stranger, name, "reject", "", NOW, head)
        status, body = await get(root + "/api/edits", msgspec.json.encode(bad))
        assert status == 409 and b"no editor" in body
        good = edits.make(key, name, "annotate", "<b>seen</b>", NOW, head)
        assert (await get(root + "/api/edits", msgspec.json.encode(good)))[0] == 200
        assert (await get(root + "/api/edits", msgspec.json.encode(good)))[0] == 409
        assert (await look(root, edits.look(stranger, "Observatory", NOW)))[0] == 409
        assert (await look(root, edits.look(key, "Another", NOW)))[0] == 409
        assert (await look(root, edits.look(key, "Observatory", NOW - 3600)))[0] == 409
        status, found = await look(root, edits.look(key, "Observatory", NOW))
        assert status == 200 and found["head"] == good.hash.hex()
        assert name in {one["id"] for one in found["events"] if one["public"]}
        page = (await get(f"{root}/event/{name}"))[1]
        assert b"&lt;b&gt;seen" in page and b"<b>seen" not in page
        found = bundle.verify((await get(f"{root}/bundle/{name}.zip"))[1])
        assert found.simulated and found.edits == (good,)
        await pages(root, name)
        await told_of_a_rejected_one(root, name, key, good)


async def look(root, one):
    """What an editor is shown."""
    status, body = await get(root + "/api/look", msgspec.json.encode(one))
    return status, json.loads(body)


async def told_of_a_rejected_one(root, name, key, before):
    """It stays, marked, and is nowhere said to go on."""
    going = b'holdfast_event{region="VEL"'
    (title,) = [one["title"] for one in json.loads((await get(root + "/events.json"))[1])["events"]
                if one["id"] == name]  # fmt: skip
    assert going in (await get(root + "/metrics"))[1]
    edit = edits.make(key, name, "reject", "it was a cable", NOW, before.hash)
    assert (await get(root + "/api/edits", msgspec.json.encode(edit)))[0] == 200
    assert going not in (await get(root + "/metrics"))[1]
    assert b'class="tile t1 bad' not in (await get(root + "/"))[1]
    assert b"rejected by an editor" in (await get(root + "/events"))[1]
    assert b"Rejected by an editor" in (await get(f"{root}/event/{name}"))[1]
    feed = (await get(root + "/events.atom"))[1].decode()
    assert f"Rejected by an editor: {title}" in feed and "An editor: it was a cable" in feed


async def pages(root, name):
    """Every page and feed of an observatory with an event answers, and small ones are small."""
    for path in (
        "/",
        "/ru/",
        "/events",
        "/data",
        "/report",
        "/reach",
        "/region/VEL",
        f"/ru/event/{name}",
    ):
        status, body = await get(root + path)
        assert (status == 200 and b"Simulated" in body) or "Имитация".encode() in body
        assert len(body) < 40_000 and b"<script" not in body
    ElementTree.fromstring((await get(root + "/events.atom"))[1])
    for path in ("/events.geojson", "/reach.json", "/places.json"):
        json.loads((await get(root + path))[1])
    assert (await get(root + "/metrics"))[1].endswith(b"# EOF\n")
    assert (await get(root + "/data.csv"))[1].startswith(b"hour,region")
    assert (await get(root + "/card/VEL"))[0] == 200
    assert (await get(root + "/?region=VEL&operator=veltel"))[1].count(b'role="status"') == 1
    for path in ("/nowhere", "/event/x", "/region/../x", "/card/", "/bundle/%00.zip", "/ru"):
        assert (await get(root + path))[0] in (200, 404)
    line = (await get(root + "/ooni.jsonl"))[1].split(b"\n")[0]
    assert json.loads(line)["data_format_version"] == "0.2.0"


def few(tmp_path):
    """Two regions, so that a month is quickly played."""
    regions = tuple(region for region in PLACES.regions if region.code in ("VEL", "NOR"))
    path = tmp_path / "few.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(PLACES, regions=regions)))
    return path


async def test_a_full_disk_refuses_and_goes_on(tmp_path, monkeypatch):
    clock = Clock(NOW)
    real = os.fdatasync
    async with watching(tmp_path, clock) as root:
        person = Person(root, clock)
        calls, text = await person.tokens("calls", "text")

        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fdatasync", full)
        _, answer = await person.send((CALLS, calls))
        assert answer["counted"] == 0 and "disk" in answer["refused"][0]["why"]
        form = (b"function=calls&region=VEL&operator=veltel", "application/x-www-form-urlencoded")
        assert (await get(root + "/report", *form))[0] == 400
        monkeypatch.setattr(os, "fdatasync", real)
        assert (await get(root + "/report", *form))[0] == 200
        pairs = [(CALLS, calls), (Complaint("VEL", "veltel", "text"), text)]
        assert (await person.send(*pairs))[1]["counted"] == 2
    assert [entry.function for entry in entries(tmp_path)] == ["calls", "calls", "text"]


async def test_a_killed_observatory_has_what_it_acknowledged(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "holdfast.cli", "watch", "--data", str(tmp_path), "--no-wait",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    root = (await process.stdout.readline()).decode().strip().rstrip("/")
    import time

    clock = Clock(int(time.time()))
    counted = 0
    for _ in range(4):
        person = Person(root, clock)
        made = await person.tokens("calls", "text", "media")
        names = ("calls", "text", "media")
        pairs = [(Complaint("VEL", "orbis", n), t) for n, t in zip(names, made, strict=True)]
        counted += (await person.send(*pairs))[1]["counted"]
    process.kill()
    await process.wait()
    assert counted == 12 and len(entries(tmp_path)) == 12


async def test_it_says_why_it_cannot_start(tmp_path):
    (tmp_path / "places.json").write_text("{}")
    with pytest.raises(WatchError, match="places"):
        async with watching(tmp_path, Clock(NOW)):
            pass
    (tmp_path / "places.json").unlink()
    async with watching(tmp_path, Clock(NOW)):
        with pytest.raises(WatchError, match="another observatory"):
            async with watching(tmp_path, Clock(NOW)):
                pass
