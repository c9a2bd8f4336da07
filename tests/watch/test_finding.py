"""Series from outside: read whatever their shape, and what is found in them."""

import datetime
import json
import math
import random
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli import main
from holdfast.cli.say import Exit
from holdfast.watch.finding import find, kinds
from holdfast.watch.series import BadSeries, Series, moment, read, zone_of

HOUR, DAY = 3600, 86_400
MONDAY = 1_704_067_200
"""1 January 2024."""


def text(at):
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    "data",
    [
        "date and time,value\n2024-01-01 00:00:00.000,1.5\n2024-01-01 01:00:00.000,\n",
        "2024-01-01T00:00:00Z,1.5\n2024-01-01T01:00:00Z,nan\n",
        "time;level\n01.01.2024 00:00;1,5\n01.01.2024 01:00;\n",
        "\ufeffvalue\ttimestamp\n1.5\t1704067200\nNA\t1704070800\n",
        "name,t,x\na,1704067200000,1.5\na,1704070800000,null\n",
        "2024-01-01 01:00+01:00,1\n2024-01-01 00:00,2\n2024-01-01 01:00,\n",
    ],
)
def test_what_sources_publish_is_read(data):
    (one,) = read(data.encode())
    assert (one.at, one.values) == ((MONDAY, MONDAY + HOUR), (1.5, None))
    assert one.step == HOUR


def test_a_column_may_tell_series_apart():
    data = "place,part,when,level\nA,1,2024-01-01,4\nA,2,2024-01-01,6\nB,1,2024-01-01,1\n"
    found = read(data.encode(), by="place")
    assert [(one.name, one.values) for one in found] == [("A", (5.0,)), ("B", (1.0,))]
    assert read(data.encode(), value="part")[0].values == (4 / 3,)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"), (b"\xff\xfe\x00", "UTF-8"), (b"a,b\n1,2\n", "--time"),
        (b"t,x\n2024-01-01,soon\n", "--value"), (b"t,x\n2024-01-01,1\n2024-01-02\n", "row 3"),
        (b"t,x\n" + b"2024-01-01,1\n" * 60 + b"then,1\n", "row 62"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(data, why):
    with pytest.raises(BadSeries, match=why):
        read(data)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_series_or_not(data):
    try:
        for one in read(data):
            find(one, kinds(one))
    except BadSeries as error:
        assert str(error)


@given(st.integers(100_000_000, 4_102_444_800))
def test_times_come_back(at):
    assert moment(text(at), datetime.UTC) == moment(str(at), datetime.UTC) == at


def test_an_hour_that_the_clock_skipped_is_left_out():
    zone = zone_of("Europe/Berlin")
    assert moment("2024-03-31 02:30:00", zone) is None
    assert moment("2024-03-31 03:30:00", zone) == 1_711_848_600
    with pytest.raises(BadSeries, match="time zone"):
        zone_of("Nowhere/../x")


def traffic(days, seed=1, zone=datetime.UTC):
    """Hours of a country with a day, a week and a holiday, on its own clock."""
    draw = random.Random(seed)
    for n in range(days * 24):
        at = MONDAY + n * HOUR
        local = datetime.datetime.fromtimestamp(at, zone)
        busy = 1 + 0.8 * math.cos((local.hour - 20) / 12 * math.pi)
        week = 0.35 if local.weekday() > 4 else 1.0
        yield at, (50 * busy * week + 5) * math.exp(draw.gauss(0, 0.06)), local


def test_weekends_quiet_nights_and_a_changed_clock_are_no_falls():
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    points = list(traffic(150, zone=zone))
    one = Series("x", tuple(at for at, _, _ in points), tuple(value for _, value, _ in points))
    late = [each for each in find(one, ("fall",), zone=zone) if each.since > MONDAY + 21 * DAY]
    assert late == []


def test_a_holiday_is_a_sunday_and_a_shutdown_is_not():
    holiday, dark = MONDAY + 59 * DAY, MONDAY + 71 * DAY + 10 * HOUR
    at, values = [], []
    for when, value, _ in traffic(90):
        quiet = 0.35 if holiday <= when < holiday + DAY else 1.0
        at.append(when)
        values.append(0.0 if dark <= when < dark + 9 * HOUR else value * quiet)
    one = Series("x", tuple(at), tuple(values))
    known = frozenset({holiday // DAY})
    told = [e for e in find(one, ("fall",), holidays=known) if e.since > MONDAY + 21 * DAY]
    assert [(each.since, each.until) for each in told] == [(dark, dark + 9 * HOUR)]
    assert any(holiday <= each.since < holiday + DAY for each in find(one, ("fall",)))


def test_each_kind_of_series_gets_its_detectors():
    yes = Series("a", (1, 2), (1.0, 0.0))
    counted = Series("b", (0, 300, 600), (3.0, 9.0, 4.0))
    level = Series("c", (0, HOUR, 2 * HOUR), (3.5, 9.0, 4.0))
    years = Series("d", tuple(range(0, 400 * DAY, DAY)), (1.5,) * 400)
    assert [kinds(each) for each in (yes, counted, level, years)] == [
        ("failing",), ("leap",), ("fall",), ("fall", "slow"),
    ]  # fmt: skip


def test_single_measurements_begin_to_fail_when_they_do():
    at = tuple(MONDAY + n * HOUR for n in range(200))
    values = tuple(float(n % 25 == 24 or 100 <= n < 140) for n in range(200))
    (one,) = find(Series("x", at, values), ("failing",))
    assert one.since in (at[99], at[100]) and one.at <= at[103]
    assert one.until in at[140:142] and one.size > 0.9


def test_the_command_says_what_it_finds(tmp_path, capsys):
    path, dark = tmp_path / "north.csv", MONDAY + 17 * DAY
    lines = [f"{text(at)},{0 if at >= dark else value:.1f}" for at, value, _ in traffic(19)]
    path.write_text("\n".join(["time,value", *lines]))
    assert main(["watch", "detect", str(path), "--json"]) == Exit.OK
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[-1]["series"] == "north" and told[-1]["what"] == "fall"
    assert told[-1]["since"] >= "2024-01-18T00:00:00Z" and told[-1]["until"] is None
    assert main(["watch", "detect", str(path)]) == Exit.OK
    assert "north: fell to" in capsys.readouterr().out
    path.write_text("\n".join(["time,value", *lines[:48]]))
    assert main(["watch", "detect", str(path)]) == Exit.OK
    assert "nothing found" in capsys.readouterr().out
    path.write_text("time,value\n")
    assert main(["watch", "detect", str(path)]) == Exit.USAGE
    assert main(["watch", "detect", str(tmp_path / "none.csv")]) == Exit.FAILED
    assert main(["watch", "detect", str(path), "--zone", "Mars/Base"]) == Exit.USAGE
