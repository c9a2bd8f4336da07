"""What programs elsewhere read, read by what they read it with."""

import csv
import io
import json
import random
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import feedparser  # type: ignore[import-untyped]
import msgspec
import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from geojson_pydantic import FeatureCollection
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from holdfast.watch import bundle, charts, feeds, simulate
from holdfast.watch.engine import Moment
from holdfast.watch.event import Event
from holdfast.watch.journal import STEP
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE
from holdfast.watch.rollup import Rollup, Row
from holdfast.watch.station import Station
from holdfast.watch.words import Words

ENDS = 1_790_000_000 // 3600 * 3600
DAYS = 4
ROOT = "https://watch.example"
OONIDATA = Path(__file__).parents[2] / ".tools" / "oonidata" / "bin" / "python"
LOAD = """
import json, sys
from oonidata.dataclient import load_measurement
for line in sys.stdin:
    one = load_measurement(json.loads(line))
    print(json.dumps([one.test_name, one.probe_cc, one.probe_asn, one.measurement_start_time]))
"""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    """Two regions, in one of which calls are blocked."""
    places = parse(SAMPLE.read_bytes())
    regions = tuple(region for region in places.regions if region.code in ("VEL", "NOR"))
    places = msgspec.structs.replace(places, regions=regions)
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    made = Station(
        tmp_path_factory.mktemp("w"), places, "A & B <watch>", key, frozenset(),
        lambda call: call(), simulated=True,
    )  # fmt: skip
    begins = ENDS - DAYS * 86_400
    hidden = simulate.usual_story(places, begins, ENDS, random.Random(1))
    country = simulate.Country(places, 1, [one for one in hidden if one.kind == "call-blocking"])
    for at in range(begins, ENDS, STEP):
        made.feed(Rollup(at, country.rows(at)))
    assert [(event.region, event.kind) for event in made.public_events()] == [
        ("VEL", "call-blocking")
    ]
    return made


def test_atom(station: Station) -> None:
    found = feedparser.parse(feeds.atom(station, ROOT, ENDS))
    assert not found.bozo and found.version == "atom10"
    assert found.feed.title == "A & B <watch>" and found.feed.updated_parsed
    (entry,) = found.entries
    assert entry.title.startswith("Calls blocked in Velin on Sayat and Veltel since")
    assert entry.link == entry.id == f"{ROOT}/event/{station.public_events()[0].id}"
    assert entry.published_parsed <= entry.updated_parsed


def test_geojson(station: Station) -> None:
    found: FeatureCollection[Any] = FeatureCollection.model_validate_json(
        feeds.geojson(station, ENDS)
    )
    told = {each.properties["region"]: each for each in found.features if each.properties}
    assert set(told) == {"VEL", "NOR"}
    properties = told["VEL"].properties
    assert properties is not None and properties["event"]["kind"] == "call-blocking"
    region = station.places.region("VEL")
    assert region is not None and told["VEL"].geometry is not None
    assert told["VEL"].geometry.coordinates[:2] == (region.lon, region.lat)


def test_csv_and_parquet_say_the_same(station: Station) -> None:
    rows = list(csv.DictReader(io.StringIO(feeds.csv_table(station).decode())))
    assert len(rows) > 1000 and set(rows[0]) == set(feeds.COLUMNS)
    data = feeds.parquet(feeds.table(station))
    assert data is not None
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert table.column_names == list(feeds.COLUMNS) and table.num_rows == len(rows)
    for name in ("complaints", "failed", "measured"):
        assert sum(int(row[name]) for row in rows) == sum(table[name].to_pylist())
    assert {row["hour"] for row in rows} == set(table["hour"].to_pylist())
    reached = [float(row["reached_share"] or 0) for row in rows]
    assert reached == [value or 0 for value in table["reached_share"].to_pylist()]
    assert {row["function"] for row in rows if row["reached_share"]} == {"media"}
    assert {row["mean_grade"] for row in rows} == {""}  # no call was graded


def test_how_calls_were_graded_and_what_was_reached() -> None:
    hour = Moment(0)
    hour.add(Row("m", "VEL", "veltel", "calls", 4, 1, {}, 300, 600, 3, 7, 2, 1400))
    hour.add(Row("m", "VEL", "sayat", "calls", 2, 0, {}, 0, 0, 0, 5, 1, 0))
    assert feeds._means(hour) == {
        "mean_kbits": 100, "control_mean_kbits": 200, "reached_share": 0.467, "mean_grade": 4.0,
    }  # fmt: skip


def test_throttling_is_drawn_as_what_was_reached(station: Station) -> None:
    begins = ENDS - 6 * 3600
    slow = Event("20260101-1200-VEL", "VEL", "throttling", begins, begins)
    points = [
        Moment(at, rated=10, share=9000 if at < begins else 2000)
        for at in range(begins - 86_400, ENDS, STEP)
    ]
    drawn = charts.rates(Words("en", station.places), points, slow, "media", ENDS)
    levels = ElementTree.fromstring(drawn).find("path[@class='c-now']")
    assert levels is not None
    heights = [int(point.split()[1]) for point in levels.attrib["d"][1:].split("L")]
    assert heights[0] == 33 and heights[-1] == 124  # 90 % and 20 % of what the control had
    weeks = [Moment(at, rated=10, share=9000) for at in range(ENDS - 30 * 86_400, ENDS, 3600)]
    slow = msgspec.structs.replace(slow, started=ENDS - 15 * 86_400)
    assert "of the control’s throughput" in charts.rates(
        Words("en", station.places), weeks, slow, "media", ENDS
    )
    assert charts.rates(Words("en", station.places), points[:3], slow, "media", ENDS) == ""


def test_openmetrics(station: Station) -> None:
    families = {
        one.name: one for one in text_string_to_metric_families(feeds.metrics(station).decode())
    }
    (event,) = families["holdfast_event"].samples
    assert event.labels["region"] == "VEL" and event.value == 1
    measured = {(s.labels["region"], s.labels["function"]): s.value
                for s in families["holdfast_measured"].samples}  # fmt: skip
    failed = {(s.labels["region"], s.labels["function"]): s.value
              for s in families["holdfast_failed"].samples}  # fmt: skip
    assert failed["VEL", "calls"] > measured["VEL", "calls"] / 2
    assert measured.keys() == failed.keys()


def test_oonis_own_reader_takes_the_measurements(station: Station) -> None:
    assert OONIDATA.exists(), "oonidata is missing; `make test` installs it"
    lines, more = feeds.ooni_lines(station, ENDS - 3600)
    assert not more
    told = subprocess.run(
        [OONIDATA, "-c", LOAD], input=lines, capture_output=True, check=True, timeout=60
    )
    read = [json.loads(line) for line in told.stdout.splitlines()]
    assert len(read) == lines.count(b"\n") > 50
    assert {(name, country) for name, country, *_ in read} == {("holdfast_reachability", "ZZ")}
    asns = {f"AS{operator.asn}" for operator in station.places.operators}
    assert {asn for _, _, asn, _ in read} <= asns


def test_pages_of_measurements_are_all_of_them(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = feeds.ooni_lines(station, ENDS - 3600)
    monkeypatch.setattr(feeds, "OONI_LINES", 40)
    since, pages = ENDS - 3600, []
    while since:
        page, since = feeds.ooni_lines(station, since)
        pages.append(page)
    assert b"".join(pages) == whole and len(pages) > 3
    assert all(page.count(b"\n") < 40 + len(whole.splitlines()) // 4 for page in pages)


def test_the_evidence_has_a_drawing_of_its_own(station: Station) -> None:
    data = bundle.make(station, station.public_events()[0], ENDS)
    assert bundle.verify(data).simulated
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        drawing = ElementTree.fromstring(archive.read("chart.svg"))
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert drawing.find("{http://www.w3.org/2000/svg}style") is not None
