"""What an observatory reads from strangers, for test_targets.py: function and usual bytes each."""

import contextlib
import io
import zipfile
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import issuance, report, tokens
from holdfast.watch import (
    bundle,
    columns,
    edits,
    event,
    journal,
    ledger,
    places,
    rollup,
    series,
    site,
    told,
)
from holdfast.watch.finding import find, kinds
from holdfast.watch.program import SAMPLE

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
CALLS = report.Complaint("VEL", "veltel", "calls")
MEASURED = report.Measurement("VEL", "veltel", (report.Result("text", True, "clear", 64, 64),))
ROLLUP = rollup.Rollup(300, [rollup.Row("m", "VEL", "veltel", "calls", 2, 1, {"udp-block": 1})])
EVENT = event.Event("20260101-1200-VEL", "VEL", "outage", 1, 2, hurt=(event.Hurt("calls", 1),))
EDIT = edits.make(KEY, EVENT.id, "confirm", "yes", 3, edits.START)
ENTRY = journal.Entry(300, "c", "VEL", "veltel", "calls")

TOLD = told.make(KEY, "w", "VEL", "veltel", ("calls",), 7, bytes(told.WHO))


def reports(data: bytes) -> None:
    with contextlib.suppress(report.BadReport):
        one = report.decode(data)
        assert report.decode(report.encode(one)) == one
        assert report.kind_of(one) in report.KINDS
    with contextlib.suppress(report.BadReport):
        for each in site.decode_batch(data).reports:
            with contextlib.suppress(report.BadReport):
                report.decode(bytes(each.report))


def asked(data: bytes) -> None:
    for decode in (issuance.decode_ask, issuance.decode_keys, issuance.decode_given):
        with contextlib.suppress(issuance.BadIssuance):
            issuance.encode(decode(data))
    with contextlib.suppress(issuance.BadIssuance):
        issuance.decode_ask(data).check("Observatory")
    with contextlib.suppress(tokens.BadToken):
        tokens.Verifier(data)


def outside(data: bytes) -> None:
    with contextlib.suppress(series.BadSeries):
        for one in series.read(data):
            find(one, kinds(one))


def kept(data: bytes) -> None:
    for _, entries in journal.frames(data):
        rollup.rollups(entries)
    for body in (data, data[8:]):
        with contextlib.suppress(columns.BadFrame):
            columns.table([body])
    with contextlib.suppress(rollup.BadRollup):
        one = rollup.decode(data)
        assert rollup.decode(rollup.encode(one)) == one
    with contextlib.suppress(rollup.BadRollup):
        ledger.unseal(data, ledger.raw(KEY))
    with contextlib.suppress(event.BadEvent):
        said = event.decode(data)
        assert event.decode(event.encode(said)) == said
    with contextlib.suppress(edits.BadEdit):
        edits.decode(data).signed()
    with contextlib.suppress(places.BadPlaces):
        places.parse(data)


def evidence(data: bytes) -> None:
    with contextlib.suppress(bundle.BadBundle):
        bundle.verify(data)


def form(data: bytes) -> None:
    with contextlib.suppress(told.BadTold):
        told.decode(data).signed()
    site.parse_query(data.decode("ascii", errors="replace"))


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr("manifest.sig", bytes(64))
    return out.getvalue()


def targets() -> dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]]:
    """By name."""
    sent = {"reports": [{"report": msgspec.to_builtins(CALLS), "token": "AAAA"}]}
    wish = issuance.Wish("calls", 1, bytes(tokens.REQUEST))
    return {
        "watch-report": (
            reports,
            (report.encode(CALLS), report.encode(MEASURED), msgspec.json.encode(sent)),
        ),
        "watch-tokens": (
            asked,
            (
                issuance.encode(issuance.ask(KEY, "Observatory", (wish,))),
                issuance.encode(issuance.Keys("w", (issuance.Key("calls", 1, bytes(9)),))),
                issuance.encode(issuance.Given((b"",), "no")),
            ),
        ),
        "watch-kept": (
            kept,
            (
                journal.frame([ENTRY]),
                rollup.encode(ROLLUP),
                ledger.seal(ROLLUP, KEY),
                event.encode(EVENT),
                msgspec.json.encode(EDIT),
                SAMPLE.read_bytes()[:3000],
            ),
        ),
        "watch-series": (outside, (b"time,value\n2024-01-01 00:00,1\n2024-01-01 01:00,0\n",)),
        "watch-evidence": (evidence, (_archive(),)),
        "watch-form": (form, (b"region=VEL&operator=x&function=calls", msgspec.json.encode(TOLD))),
    }
