"""What is told of how many there are: last month's, blurred once, none under 50; nothing else."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from watches import Clock, get, watching

from holdfast.store.whole import keep
from holdfast.watch import merging, reach
from holdfast.watch.journal import DAY, STEP
from holdfast.watch.ledger import Ledger, divide, raw
from holdfast.watch.rollup import Rollup, Row

pytestmark = [pytest.mark.usefixtures("ready_keys"), pytest.mark.timeout(120)]
NOW = 1_790_000_000 // DAY * DAY
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SECRET = b"d" * 32  # by which both numbers that are told differ from those that are
THERE = {"VEL": 900, "NOR": 30, "LUM": 1, "OST": 0, "WES": 75}


@given(st.binary(min_size=32, max_size=32), st.integers(0, 300), st.integers(0, 10**6))
def test_no_number_under_fifty_is_told(secret, month, count):
    told = reach.told(secret, "R", month, count)
    assert told is None or told >= reach.LEAST
    assert reach.told(secret, "R", month, count) == told
    if count >= 250:
        assert told is not None and abs(told - count) <= 200


def test_signs_of_life_are_taken_out_of_an_old_ledger(tmp_path):
    public, private = Ledger(tmp_path / "ledger"), Ledger(tmp_path / "alive")
    calls = Row("c", "VEL", "veltel", "calls", 2, verdicts={})
    old = [Row("a", "VEL", "", "", 57, verdicts={}), calls]
    public.append(Rollup(NOW, old), KEY)
    public.append(Rollup(NOW + STEP, [calls]), KEY)
    private.append(Rollup(NOW + 2 * STEP, [Row("a", "NOR", "", "", 3)]), KEY)
    before = list(merging.own(tmp_path, raw(KEY)))
    for _ in range(2):
        private.divided.unlink(missing_ok=True)
        divide(public, private, KEY)
        assert [one.rows for one in public.read(0, raw(KEY))] == [[calls], [calls]]
        assert [(one.at, one.rows[0].seen) for one in private.read(0, raw(KEY))] == [
            (NOW, 57), (NOW + 2 * STEP, 3),
        ]  # fmt: skip
        assert list(merging.own(tmp_path, raw(KEY))) == before
    assert private.divided.exists()
    assert b"57" not in public.path(NOW // DAY).read_bytes()


async def test_what_is_published(tmp_path):
    (tmp_path / "watch.key").write_bytes(b"k" * 32)
    (tmp_path / "reach.secret").write_bytes(SECRET)
    assert keep(tmp_path / "reach.secret", bytes) == SECRET
    last = NOW - 31 * DAY
    rows = [Row("a", code, "", "", count) for code, count in sorted(THERE.items()) if count]
    Ledger(tmp_path / "alive").append(Rollup(last, rows), KEY)
    Ledger(tmp_path / "ledger").append(Rollup(last, []), KEY)
    clock = Clock(NOW)
    async with watching(tmp_path, clock) as root:
        clock.now += STEP
        while not (lines := (await get(f"{root}/rollups?day={NOW // DAY}"))[1]):
            pass
        told = json.loads((await get(root + "/reach.json"))[1])["active"]
        assert set(told) == {"VEL", "WES"}
        assert all(abs(number - THERE[code]) < 20 for code, number in told.items())
        assert told["VEL"] != 900 and told["WES"] != 75
        metrics = (await get(root + "/metrics"))[1].decode()
        assert all(f'holdfast_installations{{region="{code}"}} {number}\n' in metrics
                   for code, number in told.items())  # fmt: skip
        (line,) = lines.splitlines()
        rows = json.loads(line)["rollup"][1]
        assert {row[1]: row[4] for row in rows} == told  # for other observatories
        for path in ("/data.csv", "/metrics", "/ooni.jsonl", f"/rollups?day={last // DAY}"):
            assert b"900" not in (await get(root + path))[1], path
