"""A node tells an observatory: set up, complaints, tokens ahead, what waits, what is concluded."""

import json

import pytest

from holdfast.core.finding import Finding
from holdfast.core.report import VERDICTS
from holdfast.node import reporting
from holdfast.node.rpc import ApiError


async def test_nothing_is_told_until_it_is_chosen(world):
    person = await world.person("Amina")
    found = await person.node.reporting()
    assert not found.url and not found.automatic and not found.tokens
    with pytest.raises(ApiError, match="choose"):
        await person.node.complain(["calls"])


@pytest.mark.timeout(240)
async def test_complaints_reach_an_observatory_once_a_day(world, tmp_path, ready_keys):
    import asyncio

    from holdfast.watch import program

    said: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    task = asyncio.create_task(
        program.run(tmp_path / "w", ("127.0.0.1", 0), wait=False, say=said.put_nowait, stop=stop)
    )
    root = (await said.get()).rstrip("/")
    try:
        person = await world.person("Amina")
        node = person.node
        lists = await node.observatory(root)
        assert "VEL" in {place.code for place in lists.regions} and not lists.tokens
        with pytest.raises(ApiError, match="region"):
            await node.set_reporting(root, "Nowhere", "veltel")
        chosen = await node.set_reporting(root, "VEL", "veltel")
        assert chosen.tokens > 30 and not chosen.automatic
        told = await node.complain(["calls", "media"])
        assert (told.counted, told.waiting) == (2, 0)
        assert told.tokens == chosen.tokens - 2
        again = await node.complain(["calls"])
        assert (again.counted, again.waiting) == (0, 0)
        await person.stop()
        await person.start()
        assert (await person.node.reporting()).tokens == told.tokens
        with pytest.raises(ApiError, match="function"):
            await person.node.complain(["my cat's name"])
        assert not (await person.node.set_reporting("")).url
    finally:
        stop.set()
        await task
    kept = b"".join(path.read_bytes() for path in (tmp_path / "w").rglob("*.journal"))
    assert kept.count(b"calls") == 2 and b"Amina" not in kept  # its name, and its token's kind


async def test_what_cannot_be_sent_waits(world):
    person = await world.person("Amina")
    answers = {"/places.json": {"regions": [{"code": "A"}], "operators": [{"code": "b"}]}}

    async def fetch(url, body):
        path = "/" + url.split("/", 3)[3]
        if path not in answers:
            raise OSError("no answer")
        return json.dumps(answers[path]).encode()

    person.node._reporter._fetch = fetch
    await person.node.set_reporting("https://watch.example", "A", "b")
    told = await person.node.complain(["text"])
    assert (told.counted, told.waiting) == (0, 1) and "no answer" in told.trouble


@pytest.mark.parametrize("verdict", [*VERDICTS, "away", "portal", "impostor", "learned"])
def test_only_what_the_network_does_is_concluded(verdict):
    up = {one.function: one.ok for one in reporting.conclude(Finding(verdict), True)}
    assert up["text"] and up["calls"] == (verdict != "udp-block")
    assert up["media"] == (verdict != "throttled")
    down = reporting.conclude(Finding(verdict), False)
    assert not any(one.ok for one in down)
    if verdict in ("clear", "unknown", "away", "portal", "impostor"):
        assert not down


def test_a_damaged_memory_is_begun_anew():
    assert reporting.load("{") == reporting.Chosen() == reporting.load(None)
