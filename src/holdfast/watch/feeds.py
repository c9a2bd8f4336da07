"""Events and counts for programs: Atom, GeoJSON, CSV, OpenMetrics, OONI's format, Parquet."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from holdfast import __version__
from holdfast.watch import merging
from holdfast.watch.engine import Moment
from holdfast.watch.event import Event
from holdfast.watch.rollup import THOUSAND, Row
from holdfast.watch.station import Station, month_of
from holdfast.watch.words import Words

ATOM_ENTRIES: Final = 50
OONI_LINES: Final = 5_000
"""Of an answer, some 2.5 MB."""
COLUMNS: Final = (
    "hour", "region", "function", "complaints", "expected_complaints", "failed", "measured",
    "mean_kbits", "control_mean_kbits", "reached_share", "mean_grade",
)  # fmt: skip
"""The last four are empty where nothing of the kind was measured."""


def iso(at: int) -> str:
    """RFC 3339, in UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def atom(station: Station, root: str, now: int) -> bytes:
    """RFC 4287. `root` is where the page is, as in https://watch.example."""
    words = Words("en", station.places)
    entries = []
    for event in station.public_events()[:ATOM_ENTRIES]:
        link = f"{root}/event/{event.id}"
        said = station.edits.of(event.id)
        updated = max([event.ended or event.published or event.detected, *(e.at for e in said)])
        title = words.title(event, now)
        if station.edits.verdict(event.id) == "reject":
            title = f"Rejected by an editor: {title}"
        reasons = "; ".join(words.fact(fact) for fact in event.reasons)
        notes = [f"An editor: {each.note}" for each in said if each.note]
        entries.append(
            f"<entry><id>{escape(link)}</id><title>{escape(title)}</title>"
            f"<updated>{iso(updated)}</updated><published>{iso(event.started)}</published>"
            f"<link href={quoteattr(link)}/><category term={quoteattr(event.kind)}/>"
            f"<summary>{escape(' '.join([words.headline(event, now), reasons, *notes]))}</summary>"
            "</entry>"
        )
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>{escape(root)}/</id><title>{escape(station.name)}</title>"
        f"<author><name>{escape(station.name)}</name></author><updated>{iso(now)}</updated>"
        f'<link rel="self" href={quoteattr(root + "/events.atom")}/>{"".join(entries)}</feed>'
    ).encode()


def as_dict(station: Station, event: Event, now: int, language: str = "en") -> dict[str, Any]:
    """An event for JSON, with its sentence and what editors said."""
    words = Words(language, station.places)
    return {
        "id": event.id,
        "title": words.title(event, now),
        "sentence": words.headline(event, now),
        "kind": event.kind,
        "country": station.places.country,
        "region": event.region,
        "operators": list(event.operators),
        "unaffected": list(event.unaffected),
        "functions": [
            {"name": h.function, "since": iso(h.since), "until": iso(h.until) if h.until else None}
            for h in event.hurt
        ],
        "well": list(event.well),
        "started": iso(event.started),
        "published": iso(event.published) if event.published else None,
        "ended": iso(event.ended) if event.ended else None,
        "confidence": event.confidence,
        "complaints": event.complaints,
        "expected_complaints": event.expected,
        "failed": event.failed,
        "measured": event.measured,
        "reasons": [words.fact(fact) for fact in event.reasons],
        "against": [words.fact(fact) for fact in event.against],
        "edits": [
            {"what": e.what, "note": e.note, "at": iso(e.at), "editor": e.editor.hex()}
            for e in station.edits.of(event.id)
        ],
        "simulated": station.simulated,
    }


def events_json(station: Station, now: int) -> bytes:
    """All public events."""
    events = [as_dict(station, event, now) for event in station.public_events()]
    return json.dumps({"watch": station.name, "events": events}, ensure_ascii=False).encode()


def geojson(station: Station, now: int) -> bytes:
    """RFC 7946: a point for each region that has coordinates, with what goes on there."""
    features = []
    going = {event.region: event for event in station.going()[::-1]}
    for region in station.places.regions:
        if region.lat is None or region.lon is None:
            continue
        event = going.get(region.code)
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [region.lon, region.lat]},
                "properties": {
                    "region": region.code,
                    "name": region.en,
                    "event": as_dict(station, event, now) if event else None,
                },
            }
        )
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def _means(one: Moment | Row) -> dict[str, float | None]:
    """Throughput and the control's, kbit/s; what was reached of it; grade of calls, 1 to 5."""
    rated, graded = one.rated, one.graded
    return {
        "mean_kbits": round(one.rate / rated) if rated else None,
        "control_mean_kbits": round(one.control / rated) if rated else None,
        "reached_share": round(one.share / rated / THOUSAND, 3) if rated and one.share else None,
        "mean_grade": round(one.grade / graded, 1) if graded else None,
    }


def table(station: Station) -> Iterator[tuple[object, ...]]:
    """Hours by region and function: `COLUMNS`."""
    for code, place in station.engine.regions.items():
        for function, moments in sorted(place.hours.items()):
            for m in moments:
                yield (
                    iso(m.at), code, function, m.complaints, round(m.expected, 2), m.failed, m.seen,
                    *_means(m).values(),
                )  # fmt: skip


def csv_table(station: Station) -> bytes:
    """`table` as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows(table(station))
    return out.getvalue().encode()


def parquet(rows: Iterable[tuple[object, ...]]) -> bytes | None:
    """Rows of `table` as Parquet, if the extra `watch` is installed."""
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return None
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    kinds = [pyarrow.string()] * 3 + [pyarrow.int64(), pyarrow.float64()] + [pyarrow.int64()] * 4
    schema = pyarrow.schema(list(zip(COLUMNS, [*kinds, *[pyarrow.float64()] * 2], strict=True)))
    sink = io.BytesIO()
    made = pyarrow.table([list(column) for column in columns], schema=schema)
    pyarrow.parquet.write_table(made, sink)
    return sink.getvalue()


def metrics(station: Station) -> bytes:
    """OpenMetrics 1.0: what goes on, and counts of the last hour."""
    lines = [
        "# TYPE holdfast_event gauge",
        "# HELP holdfast_event Public events that go on and that no editor rejected.",
    ]
    for event in station.going():
        label = f'region="{event.region}",kind="{event.kind}",confidence="{event.confidence}"'
        lines.append(f"holdfast_event{{{label}}} 1")
    lines += [
        "# TYPE holdfast_installations gauge",
        "# HELP holdfast_installations Active in the last full month, blurred, none under 50.",
    ]
    lines += [
        f'holdfast_installations{{region="{code}"}} {number}'
        for code, number in station.reached(month_of(station.engine.now) - 1).items()
    ]
    for name, told in (
        ("complaints", "Complaints of the last hour."),
        ("failed", "Failed measurements of the last hour."),
        ("measured", "Measurements of the last hour."),
    ):
        lines += [f"# TYPE holdfast_{name} gauge", f"# HELP holdfast_{name} {told}"]
        for code, place in station.engine.regions.items():
            for function, moments in sorted(place.recent.items()):
                last = list(moments)[-12:]
                field = {"complaints": "complaints", "failed": "failed", "measured": "seen"}[name]
                value = sum(getattr(moment, field) for moment in last)
                lines.append(f'holdfast_{name}{{region="{code}",function="{function}"}} {value}')
    for name, told in (
        ("grade", "Mean grade of calls of the last hour, 1 bad to 5 excellent."),
        ("reached_share", "Of a control's throughput, mean of the last hour."),
    ):
        lines += [f"# TYPE holdfast_{name} gauge", f"# HELP holdfast_{name} {told}"]
        for code, place in station.engine.regions.items():
            for function, moments in sorted(place.recent.items()):
                hour = Moment(0)
                for moment in list(moments)[-12:]:
                    hour.add(moment)
                mean = _means(hour)["mean_grade" if name == "grade" else name]
                if mean is not None:
                    lines.append(f'holdfast_{name}{{region="{code}",function="{function}"}} {mean}')
    return ("\n".join([*lines, "# EOF"]) + "\n").encode()


def ooni(station: Station, at: int, row: Row) -> dict[str, Any]:
    """One row of measurements as a measurement in OONI's data format (version 0.2.0).

    Counts stand for single measurements, which are not kept; no address, no probe.
    """
    operator = station.places.operator(row.operator)
    when = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    name = f"{at}/{row.region}/{row.operator}/{row.function}"
    return {
        "annotations": {"region": row.region, "simulated": str(station.simulated).lower()},
        "data_format_version": "0.2.0",
        "extensions": {},
        "id": hashlib.sha256(name.encode()).hexdigest()[:32],
        "input": row.function,
        "measurement_start_time": when,
        "test_start_time": when,
        "probe_asn": f"AS{operator.asn if operator else 0}",
        "probe_cc": station.places.country,
        "probe_ip": "127.0.0.1",
        "report_id": hashlib.sha256(name.encode()).hexdigest(),
        "resolver_asn": "AS0",
        "resolver_ip": "127.0.0.2",
        "resolver_network_name": "",
        "probe_network_name": operator.name if operator else "",
        "software_name": "holdfast",
        "software_version": __version__,
        "test_name": "holdfast_reachability",
        "test_version": "0.1.0",
        "test_runtime": 0.0,
        "test_helpers": {},
        "test_keys": {
            "seen": row.seen,
            "failed": row.failed,
            "verdicts": row.verdicts,
            **_means(row),
        },
    }


def ooni_lines(station: Station, since: int) -> tuple[bytes, int]:
    """JSON lines of steps from `since` on, whole steps until there are `OONI_LINES`; and where
    more begin, 0 if there are none."""
    out: list[str] = []
    for one in merging.steps(station.data, station.places, since):
        if len(out) >= OONI_LINES:
            return ("\n".join(out) + "\n").encode(), one.at
        out += [json.dumps(ooni(station, one.at, row)) for row in one.rows if row.source == "m"]
    return "".join(line + "\n" for line in out).encode(), 0
