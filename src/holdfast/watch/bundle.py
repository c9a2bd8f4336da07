"""The evidence for an event in one file that anybody can check without a network.

A ZIP archive: the event, its region's signed rollups from a day before to hours after, the
chart, the method, editors' words, and a manifest with the SHA-256 of each, signed by the
observatory. `verify` checks the signatures and the hashes, and counts again.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct

from holdfast.watch import charts, event, ledger, merging
from holdfast.watch.edits import BadEdit, Edit
from holdfast.watch.edits import decode as decode_edit
from holdfast.watch.event import BadEvent, Event
from holdfast.watch.journal import DAY
from holdfast.watch.rollup import BadRollup, Rollup
from holdfast.watch.station import Station
from holdfast.watch.words import Words

VERSION: Final = 1
BEFORE: Final = 86_400
AFTER: Final = 3 * 3_600
AROUND: Final = 86_400
"""Seconds from its begin for which others' lines are in it."""
OTHER: Final = "other-"
MAX_OTHERS: Final = 8
MAX_FILES: Final = 8 + MAX_OTHERS
MAX_SIZE: Final = 64 * 1024 * 1024
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
METHOD: Final = (
    "What is usual for an hour is learned from the same hours of the days and weeks before.\n"
    "Evidence is the logarithm of how much better a change explains the counts than chance\n"
    "does; it adds up over operators. An event is public when measurements and complaints, or\n"
    "several operators, together reach 13.8 (a million to one), more fails than a tenth of all\n"
    "installations could send, and never on complaints from one operator alone.\n"
    "Source: spec/watch.md of Holdfast. The rollups here are this region's part of what the\n"
    "observatory signed every five minutes: counts, no person, no address. Where it adds up with\n"
    "others, theirs are in it, and what each of them signed is in other-KEY.jsonl.\n"
)


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a bundle."""

    version: int
    watch: Annotated[str, Meta(max_length=100)]
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    made: int
    event: Annotated[str, Meta(max_length=48)]
    simulated: bool
    files: dict[str, str]
    """SHA-256, in hex, by name."""


class BadBundle(ValueError):
    """A bundle that does not hold; the sentence says what is wrong with it."""


@dataclass(frozen=True)
class Verified:
    """What a bundle proves: that this observatory said this, on these counts."""

    watch: str
    key: bytes
    event: Event
    sentence: str
    steps: int
    simulated: bool
    edits: tuple[Edit, ...]
    others: dict[str, int]
    """Steps that other observatories signed, and that are in it, by their keys in hex."""


def make(station: Station, one: Event, now: int) -> bytes:
    """The archive of an event; the same event at the same time gives the same bytes."""
    last = (one.ended or now) + AFTER
    lines = []
    for each in merging.steps(station.data, station.places, one.started - BEFORE):
        if each.at >= last:
            break
        rows = [row for row in each.rows if row.region == one.region and row.source in "cfm"]
        lines.append(ledger.seal(Rollup(each.at, rows), station.key))
    words = Words("en", station.places)
    place = station.engine.regions[one.region]
    main = one.hurt[0].function
    moments = charts.around(place.recent.get(main, ()), place.hours.get(main, ()), one)
    control = charts.around(place.recent.get("text", ()), place.hours.get("text", ()), one)
    chart = charts.timeline(words, moments, control, one, main, now)
    if one.kind == "throttling":
        chart = charts.slowed(words, place, one, now) or chart
    chart = chart or charts.complaints(words, moments, one, main, now)
    sentence = words.headline(one, now)
    files = {
        "event.json": event.encode(one),
        "sentence.txt": sentence.encode(),
        "rollups.jsonl": b"".join(line + b"\n" for line in lines),
        "chart.svg": charts.standalone(chart).encode(),
        "edits.jsonl": b"".join(
            msgspec.json.encode(edit) + b"\n" for edit in station.edits.of(one.id)
        ),
        "method.txt": METHOD.encode(),
        **_others(station, one, last),
    }
    manifest = msgspec.json.encode(
        Manifest(
            VERSION,
            station.name,
            station.public,
            now,
            one.id,
            station.simulated,
            {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        )
    )
    files["manifest.json"] = manifest
    files["manifest.sig"] = station.key.sign(b"holdfast/bundle/1" + manifest)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _others(station: Station, one: Event, last: int) -> dict[str, bytes]:
    """What other observatories said while it began, as they signed it: of all their regions."""
    first, last = one.started - 3600, min(last, one.started + AROUND)
    found = {}
    for folder in merging.folders(station.data)[:MAX_OTHERS]:
        kept = ledger.Ledger(folder)
        lines = [
            line
            for day in range(first // DAY, last // DAY + 1)
            for line in kept.lines(day)
            if first <= ledger.unseal(line, None).at < last
        ]
        if lines:
            found[f"{OTHER}{folder.name}.jsonl"] = b"".join(line + b"\n" for line in lines)
    return found


def verify(data: bytes) -> Verified:
    """Check a bundle. Raises `BadBundle`."""
    files = _files(data)
    try:
        manifest = msgspec.json.decode(files["manifest.json"], type=Manifest)
        key = Ed25519PublicKey.from_public_bytes(manifest.key)
        key.verify(files["manifest.sig"], b"holdfast/bundle/1" + files["manifest.json"])
    except KeyError:
        raise BadBundle("its manifest is missing") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise BadBundle("its manifest cannot be read") from None
    except InvalidSignature:
        raise BadBundle("its manifest was not signed by the observatory it names") from None
    if manifest.version != VERSION:
        raise BadBundle(f"it is of version {manifest.version}; this program knows {VERSION}")
    for name, digest in manifest.files.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
            raise BadBundle(f"{name} was changed after it was signed")
    if extra := sorted(set(files) - set(manifest.files) - {"manifest.json", "manifest.sig"}):
        raise BadBundle(f"{extra[0]} was added after it was signed")
    try:
        one = event.decode(files.get("event.json", b""))
        steps = [
            ledger.unseal(line, manifest.key)
            for line in files.get("rollups.jsonl", b"").split(b"\n")
            if line
        ]
        edits = [decode_edit(each) for each in files.get("edits.jsonl", b"").split(b"\n") if each]
    except (BadEvent, BadRollup, BadEdit) as error:
        raise BadBundle(str(error)) from None
    if one.id != manifest.event:
        raise BadBundle("it is about another event than it says")
    for edit in edits:
        try:
            Ed25519PublicKey.from_public_bytes(edit.editor).verify(edit.signature, edit.signed())
        except (InvalidSignature, ValueError):
            raise BadBundle("what an editor said was changed") from None
    _count(one, steps)
    others = _added(files, one.region, steps)
    sentence = files.get("sentence.txt", b"").decode(errors="replace")
    return Verified(
        manifest.watch, manifest.key, one, sentence, len(steps), manifest.simulated, tuple(edits),
        others,
    )  # fmt: skip


def _added(files: dict[str, bytes], region: str, steps: list[Rollup]) -> dict[str, int]:
    """What others signed has to be in what was added up."""
    sums = {step.at: {row.key: row.seen for row in step.rows} for step in steps}
    found: dict[str, int] = {}
    for name in sorted(files):
        if not name.startswith(OTHER):
            continue
        try:
            key = bytes.fromhex(name.removeprefix(OTHER).removesuffix(".jsonl"))
            lines = [line for line in files[name].split(b"\n") if line]
            said = [ledger.unseal(line, key) for line in lines]
        except (BadRollup, ValueError) as error:
            raise BadBundle(f"{name}: {error}") from None
        for one in said:
            step = sums.get(one.at, {})
            for row in one.rows:
                if row.region == region and row.key in step:
                    step[row.key] -= row.seen
                    if step[row.key] < 0:
                        raise BadBundle(f"{name}: it says more than was added up")
        found[key.hex()] = len(said)
    return found


def _count(one: Event, steps: list[Rollup]) -> None:
    """The event's numbers have to be in its rollups; it may leave out what ebbed away."""
    complaints = failed = measured = 0
    for step in steps:
        for row in step.rows:
            if row.function not in one.functions or step.at < one.started:
                continue
            if row.source in "cf":
                complaints += row.seen
            elif row.source == "m":
                failed += row.failed
                measured += row.seen
    said = (one.complaints, one.failed, one.measured)
    found = (complaints, failed, measured)
    if any(a > b for a, b in zip(said, found, strict=True)):
        raise BadBundle("it says more than its rollups hold")


def _files(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_SIZE:
                raise BadBundle("it is too large for a bundle")
            files = {}
            for info in infos:
                if info.filename in files:
                    raise BadBundle("a file is in it twice")
                with archive.open(info) as file:
                    content = file.read(info.file_size + 1)
                if len(content) != info.file_size:
                    raise BadBundle("it is damaged")
                files[info.filename] = content
            return files
    except BadBundle:
        raise
    except zipfile.BadZipFile:
        raise BadBundle("it is no evidence of an observatory, or was cut off") from None
    except Exception as error:  # noqa: BLE001  zipfile meets damage with a dozen kinds
        raise BadBundle(f"it is damaged ({type(error).__name__})") from None
