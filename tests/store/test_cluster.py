"""The store of a fleet, upon three real servers."""

import asyncio
import itertools
from pathlib import Path

import pytest
from clusters import Bench, opened

from holdfast.core.log.server import Found
from holdfast.store import cluster, jet
from holdfast.store.base import Quota, StoreFailed
from holdfast.store.cluster import Cluster
from holdfast.store.streams import Place
from holdfast.testing.cluster import servers

_names = itertools.count()


def name() -> bytes:
    return b"log %012d" % next(_names)


async def test_what_a_store_does(tmp_path: Path) -> None:
    async with servers(tmp_path) as three:
        url = three.url + "?streams=2"
        async with opened(url) as b, opened(url) as other:
            await _makes_finds_appends_and_reads(b)
            await _another_front_end_knows_it_all(b, other)
            await _numbers_rise_and_never_come_again(b)
            await _a_limited_log_closes(b, other)
            await _records_end(b)
            await _quotas(b)
            await _followers_are_told_of_everything_once(b, other)
            await _a_dropped_log_is_gone_everywhere(b, other)
            await _the_same_name_is_another_log_after_a_drop(b)
            await _a_big_log_is_read_in_parts(b)


async def _makes_finds_appends_and_reads(b: Bench) -> None:
    one = name()
    assert await b.find(one) is None
    assert await b.make(one) is None
    found = await b.find(one)
    assert isinstance(found, Found)
    assert (found.append, found.read, found.owner) == (b"a" * 32, b"r" * 32, b"o" * 32)
    refusal, first = await b.append(found.key, b"one")
    assert refusal is None
    _, second = await b.append(found.key, b"two")
    assert await b.read(found.key) == [(first, b"one"), (second, b"two")]
    assert await b.read(found.key, first) == [(second, b"two")]
    assert await b.make(one) is None
    refused = await b.make(one, limit=3)
    assert refused is not None
    assert refused.code == "denied"


async def _another_front_end_knows_it_all(b: Bench, other: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    _, seq = await b.append(key, b"here")
    assert await other.find(one) == await b.find(one)
    assert await other.read(key) == [(seq, b"here")]


async def _numbers_rise_and_never_come_again(b: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    _, seq = await b.append(key)
    assert await b.ask(b.store.trim, key, seq) == (None,)
    assert await b.read(key) == []
    found = await b.find(one)
    assert isinstance(found, Found)
    assert found.first == found.next > seq
    assert (await b.append(key))[1] >= found.next
    again = await b.find(one)
    assert isinstance(again, Found)
    assert again.first < again.next


async def _a_limited_log_closes(b: Bench, other: Bench) -> None:
    one = name()
    await b.make(one, limit=3)
    key = await b.key(one)
    answers = await asyncio.gather(*(s.append(key) for s in (b, other) for _ in range(3)))
    codes = [refusal.code if refusal else None for refusal, _ in answers]
    assert sorted(map(str, codes)) == ["None"] * 3 + ["closed"] * 3
    assert len(await b.read(key)) == 3


async def _records_end(b: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    await b.append(key, b"short", 1)
    _, seq = await b.append(key, b"long", 100)
    async with asyncio.timeout(60):
        while await b.read(key) != [(seq, b"long")]:
            await asyncio.sleep(0.2)


async def _quotas(b: Bench) -> None:
    b.store._logs = b.store._quota.logs
    refusal = await b.make(name())
    assert refusal is not None
    assert refusal.code == "full"
    b.store.sweep()
    await b.until(lambda: b.store._logs < b.store._quota.logs)
    assert await b.make(name()) is None


async def _followers_are_told_of_everything_once(b: Bench, other: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    _, old = await b.append(key, b"old")
    other.store.follow(key)
    assert await other.read(key) == [(old, b"old")]
    answers = await asyncio.gather(
        *(s.append(key, b"%d" % i) for i in range(20) for s in (b, other))
    )
    b.store.live(key, b"live")
    await other.until(lambda: (key, 0, b"live") in other.told)
    numbers = sorted(seq for _, seq in answers)
    await other.until(lambda: len([t for t in other.told if t[0] == key and t[1]]) >= 40)
    assert [seq for k, seq, _ in other.told if k == key and seq] == numbers
    assert not [t for t in b.told if t[0] == key]
    other.store.unfollow(key)
    await b.append(key, b"unheard")
    await b.append(key, b"unheard")
    assert b"unheard" not in [body for _, _, body in other.told]


async def _a_dropped_log_is_gone_everywhere(b: Bench, other: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    await b.append(key)
    assert await b.ask(b.store.drop, key) == (None,)
    await other.until(lambda: key in other.gone)
    assert await other.find(one) is None
    assert await other.read(key) == []


async def _the_same_name_is_another_log_after_a_drop(b: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    await b.ask(b.store.drop, key)
    await b.make(one)
    other = await b.key(one)
    assert other != key
    await b.append(key, b"late")
    assert await b.read(other) == []
    assert await b.ask(b.store.drop, key) == (None,)
    assert await b.key(one) == other


async def _a_big_log_is_read_in_parts(b: Bench) -> None:
    one = name()
    await b.make(one)
    key = await b.key(one)
    bodies = [bytes([i]) * 50_000 for i in range(12)]
    numbers = [seq for _, seq in await asyncio.gather(*(b.append(key, body) for body in bodies))]
    records, more = await b.ask(b.store.read, key, 0)
    assert more
    assert len(records) < 6
    assert await b.read(key) == list(zip(numbers, bodies, strict=True))


async def test_a_log_that_is_full_says_so(tmp_path: Path) -> None:
    async with servers(tmp_path) as three:
        quota = Quota(log_records=2, disk_bytes=2**20)
        async with opened(three.url + "/small?streams=1", quota) as b:
            await b.make()
            key = await b.key()
            for _ in range(2):
                assert (await b.append(key))[0] is None
            refusal, _ = await b.append(key)
            assert refusal.code == "full"
            await b.make(b"o" * 16)
            other = await b.key(b"o" * 16)
            answers = [await b.append(other, bytes(60_000)) for _ in range(2)]
            for i in range(20):
                await b.make(b"%016d" % i)
                answers.append(await b.append(await b.key(b"%016d" % i), bytes(60_000)))
            assert answers[0][0] is None
            assert answers[-1][0].code == "full"
            assert "room" in answers[-1][0].text


async def test_front_ends_agree_about_the_number_of_streams(tmp_path: Path) -> None:
    async with (
        servers(tmp_path) as three,
        opened(three.url + "?streams=2") as b,
        opened(three.url + "?streams=8") as other,
    ):
        for i in range(8):
            one = i.to_bytes(16)
            await b.make(one)
            key = await b.key(one)
            _, seq = await b.append(key)
            assert await other.read(key) == [(seq, b"x")]


async def test_a_log_in_use_stays_and_others_go(tmp_path: Path) -> None:
    quota = Quota(idle_seconds=4, disk_bytes=2**26)
    async with servers(tmp_path) as three, opened(three.url + "?streams=1", quota) as b:
        used, idle = name(), name()
        await b.make(used)
        await b.make(idle)
        loop = asyncio.get_running_loop()
        began = loop.time()
        # The store's clock is at 1970; what was stored in this century is not stale by it.
        b.store._clock = lambda: 2**42
        while loop.time() < began + 6:
            b.store.touch(await b.key(used))
            await asyncio.sleep(0.5)
        assert await b.find(idle) is None
        assert isinstance(await b.find(used), Found)


@pytest.mark.parametrize("how", ["killed", "parted", "frozen"])
async def test_what_was_acknowledged_is_told_once_whatever_befalls_a_server(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One front end per server; each server in its turn is lost and comes back."""
    monkeypatch.setattr(jet, "PATIENCE", 2)
    async with servers(tmp_path) as three:
        url = "?streams=2"
        async with (
            opened(three.url + url) as writer,
            opened(three.of(0) + url) as reader,
            opened(three.of(1) + url) as second,
        ):
            keys = []
            for _ in range(4):
                one = name()
                await writer.make(one)
                key = await writer.key(one)
                keys.append(key)
                for b in (reader, second):
                    b.store.follow(key)
                    assert await b.read(key) == []
            acknowledged: dict[int, dict[int, bytes]] = {key: {} for key in keys}
            ended = asyncio.Event()

            async def write(key: int) -> None:
                for n in itertools.count():
                    if ended.is_set():
                        return
                    body = b"%d" % n
                    refusal, seq = await writer.append(key, body, 600)
                    if refusal is None:
                        acknowledged[key][seq] = body
                    else:
                        assert refusal.code == "later"
                        await asyncio.sleep(0.1)

            tasks = [asyncio.create_task(write(key)) for key in keys]
            for number in range(3):
                before = sum(map(len, acknowledged.values()))
                if how == "killed":
                    three.kill(number)
                elif how == "parted":
                    three.part(number)
                else:
                    three.stop(number)
                await asyncio.sleep(2)
                if how == "killed":
                    three.start(number)
                elif how == "parted":
                    three.join()
                else:
                    three.go_on(number)
                await writer.until(
                    lambda least=before + 40: sum(map(len, acknowledged.values())) > least, 60
                )
            ended.set()
            await asyncio.gather(*tasks)
            for key in keys:
                stored = dict(await writer.read(key))
                lost = {
                    seq: body for seq, body in acknowledged[key].items() if stored.get(seq) != body
                }
                assert not lost
                for b in (reader, second):
                    b.store._missed()
                    await b.until(
                        lambda b=b, key=key, stored=stored: (
                            len([1 for t in b.told if t[0] == key]) >= len(stored)
                        )
                    )
                    told = [(seq, body) for k, seq, body in b.told if k == key]
                    assert told == sorted(stored.items())


async def test_without_a_majority_nothing_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jet, "PATIENCE", 1)
    async with servers(tmp_path) as three, opened(three.url + "?streams=1") as b:
        await b.make()
        key = await b.key()
        three.stop(1)
        three.stop(2)
        await asyncio.sleep(0.2)  # they may be in the middle of something
        refusal, _ = await b.append(key)
        assert refusal.code == "later"
        assert await b.find() is not None  # "later" or what was, and not "no such log"
        three.go_on(1)
        three.go_on(2)
        async with asyncio.timeout(60):
            while (await b.append(key))[0] is not None:
                await asyncio.sleep(0.2)


async def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    place = Place.parse("nats://127.0.0.1:1")
    with pytest.raises(StoreFailed, match="no server"):
        await Cluster.open(place, Quota(), lambda: 0, lambda text: None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://x", "nats://"),
        ("nats://", "nats://"),
        ("nats://x/a.b", "letters and digits"),
        ("nats://x?streams=0", "from 1 to 1024"),
        ("nats://x?replicas=x", "from 1 to 5"),
        ("nats://x?colour=red", "colour"),
    ],
)
def test_what_a_place_may_not_be(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Place.parse(text)


def test_a_place() -> None:
    place = Place.parse("tls://a:1,b:2/town?streams=4&replicas=5&credentials=/c")
    assert place == Place(["tls://a:1", "tls://b:2"], "town", 4, 5, "/c")
