"""`holdfast watch`: run an observatory, and check, replay, merge and edit what one says."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import re
import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.say import Exit, Trouble, show

if TYPE_CHECKING:
    from holdfast.watch.archive import Archive
    from holdfast.watch.event import Event
    from holdfast.watch.merging import Peer
    from holdfast.watch.places import Places


def run(asked: argparse.Namespace) -> None:
    """Run an observatory until it is stopped."""
    import uvloop

    from holdfast.watch.program import WatchError
    from holdfast.watch.program import run as run_watch

    host, colon, port = asked.listen.rpartition(":")
    if asked.data is None:
        raise Trouble("--data takes the folder in which it keeps everything", Exit.USAGE)
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise Trouble("--listen takes HOST:PORT, for example 0.0.0.0:443", Exit.USAGE)
    if (asked.cert is None) != (asked.key is None):
        raise Trouble("--cert and --key go together", Exit.USAGE)
    try:
        uvloop.run(
            run_watch(
                asked.data,
                (host.strip("[]"), int(port)),
                places=asked.places,
                name=asked.name,
                root=asked.root.rstrip("/"),
                cert=asked.cert,
                key=asked.key,
                wait=not asked.no_wait,
                simulated=asked.simulate,
                days=max(1, min(asked.days, 400)),
                webhooks=tuple(asked.webhook),
                peers=tuple(map(_peer, asked.others)),
                say=lambda address: show({"address": address}, asked.json, address),
            )
        )
    except WatchError as error:
        raise Trouble(str(error)) from None


def _peer(text: str) -> Peer:
    from holdfast.watch.merging import Peer

    url, _, key = text.rpartition("=")
    if not url.startswith(("http://", "https://")) or not re.fullmatch("[0-9a-f]{64}", key):
        raise Trouble("--with takes URL=KEY, the key as its /about.json shows it", Exit.USAGE)
    return Peer(url, bytes.fromhex(key))


def verify(asked: argparse.Namespace) -> None:
    """Check a bundle without a network."""
    from holdfast.watch.bundle import BadBundle, verify

    try:
        found = verify(asked.file.read_bytes())
    except OSError as error:
        raise Trouble(f"{asked.file} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    except BadBundle as error:
        raise Trouble(f"this evidence does not hold: {error}", Exit.REFUSED) from None
    event = found.event
    counted = f"{event.complaints} complaints and {event.failed} of {event.measured} measurements"
    lines = [
        found.sentence,
        f"Said by {found.watch}, key {found.key.hex()}",
        f"Signatures and hashes hold; {found.steps} signed steps have {counted} that failed.",
        "Compare the key with the one that you know of this observatory.",
    ]
    lines += [
        f"With counts of another observatory, as it signed them: {steps} steps, key {key}"
        for key, steps in found.others.items()
    ]
    if found.simulated:
        lines.insert(0, "SIMULATED: this shows a made-up country.")
    lines += [f"Editor {e.editor.hex()[:16]}: {e.what} {e.note}".rstrip() for e in found.edits]
    about = {
        "holds": True,
        "sentence": found.sentence,
        "watch": found.watch,
        "key": found.key.hex(),
        "event": event.id,
        "steps": found.steps,
        "others": found.others,
        "simulated": found.simulated,
    }
    show(about, asked.json, "\n".join(lines))


def replay(asked: argparse.Namespace) -> int:
    """Play an observatory's past again."""
    from holdfast.watch.journal import JournalError
    from holdfast.watch.ledger import raw
    from holdfast.watch.program import WatchError, key_of, places_of
    from holdfast.watch.replay import replay
    from holdfast.watch.rollup import BadRollup

    if not (asked.data / "ledger").is_dir():
        raise Trouble(f"there is no observatory in {asked.data}", Exit.NOT_FOUND)
    try:
        places = places_of(asked.data, None)
        found = replay(asked.data, places, raw(key_of(asked.data)), asked.simulated)
    except (BadRollup, JournalError, WatchError) as error:
        raise Trouble(str(error)) from None
    for event in found.events:
        _show_event(event, places, asked.json)
    good = found.same and not found.uncovered
    text = f"{found.steps} steps, {len(found.events)} events"
    text += ": the same as said at the time" if found.same else ": NOT what was said at the time"
    if found.uncovered:
        text += f"; {found.uncovered} steps are not what the journal holds"
    about = {"steps": found.steps, "same": found.same, "uncovered": found.uncovered}
    show(about, asked.json, text)
    return Exit.OK if good else Exit.FAILED


def merge(asked: argparse.Namespace) -> None:
    """Events of several observatories together."""
    from holdfast.watch.ledger import raw
    from holdfast.watch.program import WatchError, key_of, places_of
    from holdfast.watch.replay import merged
    from holdfast.watch.rollup import BadRollup

    for folder in asked.folder:
        if not (folder / "ledger").is_dir():
            raise Trouble(f"there is no observatory in {folder}", Exit.NOT_FOUND)
    try:
        places = places_of(asked.folder[0], None)
        events = merged(places, [(folder, raw(key_of(folder))) for folder in asked.folder])
    except (BadRollup, WatchError) as error:
        raise Trouble(str(error)) from None
    for event in events:
        _show_event(event, places, asked.json)


MAX_ANSWER = 8_000_000
SAYS = {
    "failing": ("{size:.0%} of attempts failed", "it works again"),
    "fall": ("fell to {size:.0%} of the usual", "it is back"),
    "leap": ("leapt to {size:g}", ""),
    "slow": ("slower by {size:.0%}, over weeks", "it is the usual level"),
}


def detect(asked: argparse.Namespace) -> None:
    """Say what the detectors find in other people's series."""
    from holdfast.watch.feeds import iso
    from holdfast.watch.finding import find, kinds
    from holdfast.watch.series import BadSeries, Series, read, zone_of

    try:
        zone = zone_of(asked.zone)
        holidays = _holidays(asked.holidays)

        def load(path: Path) -> list[Series]:
            try:
                return read(
                    path.read_bytes(), path.stem, time=asked.time, value=asked.value, by=asked.by,
                    zone=zone,
                )  # fmt: skip
            except BadSeries as error:
                raise BadSeries(f"{path} cannot be used: {error}") from None

        every = load(asked.file)
        controls = [one for path in asked.control for one in load(path)]
    except BadSeries as error:
        raise Trouble(str(error), Exit.USAGE) from None
    except OSError as error:
        raise Trouble(f"{error.filename} cannot be read: {error.strerror}") from None
    for one in every:
        if asked.ok:
            values = tuple(None if v is None else 1 - v for v in one.values)
            one = Series(one.name, one.at, values)
        what = tuple(asked.what) or kinds(one)
        found = find(one, what, controls, zone, holidays)
        for each in found:
            told = {
                "series": one.name,
                "what": each.what,
                "since": iso(each.since),
                "noticed": iso(each.at),
                "until": iso(each.until) if each.until else None,
                "size": round(each.size, 4),
            }
            said, over = SAYS[each.what]
            line = f"{one.name}: {said.format(size=each.size)} since {iso(each.since)}"
            line += f", noticed {iso(each.at)}"
            if over:
                line += f"; {over} since {iso(each.until)}" if each.until else "; it goes on"
            show(told, asked.json, line)
        if not found and not asked.json:
            span = f"{len(one.at)} values, {iso(one.at[0])} to {iso(one.at[-1])}"
            show({}, False, f"{one.name}: nothing found ({', '.join(what)}; {span})")


def _holidays(path: Path | None) -> frozenset[int]:
    """Days since 1970, from a file with one a line."""
    if path is None:
        return frozenset()
    try:
        days = [datetime.date.fromisoformat(line) for line in path.read_text("utf-8").split()]
    except (ValueError, UnicodeDecodeError):
        raise Trouble(f"{path} needs a day like 2026-01-01 a line", Exit.USAGE) from None
    return frozenset((day - datetime.date(1970, 1, 1)).days for day in days)


def archive(asked: argparse.Namespace) -> None:
    """Bring the archive up to what the folder has."""
    from holdfast.watch.archive import ArchiveError
    from holdfast.watch.rollup import BadRollup

    kept = _archive(asked)
    while True:
        try:
            added = kept.follow(asked.data)
        except (ArchiveError, BadRollup, OSError) as error:
            if not asked.follow:
                raise Trouble(str(error)) from None
            show({"trouble": str(error)}, asked.json, f"{error}; it is tried again")
        else:
            if added or not asked.follow:
                show({"added": added}, asked.json, f"{added} rows added")
        if not asked.follow:
            return
        time.sleep(60)


def ask(asked: argparse.Namespace) -> None:
    """What the archive answers."""
    from holdfast.watch.archive import ArchiveError

    form = "JSONEachRow" if asked.json else "PrettyCompactMonoBlock"
    try:
        print(_archive(asked).tables.ask(asked.sql, form).decode(errors="replace"), end="")
    except ArchiveError as error:
        raise Trouble(str(error)) from None


def statements(asked: argparse.Namespace) -> None:
    """For whoever sets a server up."""
    from holdfast.watch.archive import ArchiveError, statements

    try:
        made = statements(asked.cluster)
    except ArchiveError as error:
        raise Trouble(str(error), Exit.USAGE) from None
    show({"statements": made}, asked.json, ";\n".join(made) + ";")


def _archive(asked: argparse.Namespace) -> Archive:
    from holdfast.watch.archive import Archive, ArchiveError, Here, There
    from holdfast.watch.ledger import raw
    from holdfast.watch.program import WatchError, key_of

    if not (asked.data / "watch.key").exists():
        raise Trouble(f"there is no observatory in {asked.data}", Exit.NOT_FOUND)
    try:
        tables = There(asked.into) if asked.into else Here(asked.data / "archive")
        return Archive(tables, raw(key_of(asked.data)), asked.cluster)
    except (ArchiveError, WatchError) as error:
        raise Trouble(str(error)) from None


def editor(asked: argparse.Namespace) -> None:
    """An editor's key: the private half stays in the file."""
    from holdfast.store.whole import keep
    from holdfast.watch.ledger import raw

    try:
        keep(asked.file, lambda: secrets.token_bytes(32))
        public = raw(_editor_key(asked.file)).hex()
    except OSError as error:
        raise Trouble(f"{asked.file} cannot be written: {error.strerror}") from None
    show({"key": public}, asked.json, public)


def events(asked: argparse.Namespace) -> None:
    """What an observatory says; for an editor, what it suspects, too."""
    import msgspec

    from holdfast.watch import edits

    root = asked.url.rstrip("/")
    if asked.editor is None:
        found = _http(f"{root}/events.json")["events"]
    else:
        name = _http(f"{root}/about.json")["watch"]
        one = edits.look(_editor_key(asked.editor), name, int(time.time()))
        found = _http(f"{root}/api/look", msgspec.json.encode(one))["events"]
    for event in found:
        marks = [] if event.get("public", True) else ["suspected, not public"]
        marks += [f"{each['what']}: {each['note']}" for each in event["edits"]]
        line = f"{event['id']}  {event['title']}" + "".join(f"  ({mark})" for mark in marks)
        show(event, asked.json, line)


def edit(asked: argparse.Namespace) -> None:
    """Say something about an event."""
    import msgspec

    from holdfast.watch import edits

    root = asked.url.rstrip("/")
    head = bytes.fromhex(_http(f"{root}/about.json")["edits"])
    made = edits.make(
        _editor_key(asked.editor), asked.event, asked.what, asked.note, int(time.time()), head
    )
    _http(f"{root}/api/edits", msgspec.json.encode(made))
    show({"event": asked.event, "what": asked.what}, asked.json, f"{asked.event}: {asked.what}")


def _editor_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except FileNotFoundError:
        raise Trouble(f"there is no {path}; make it with `holdfast watch editor`") from None
    except ValueError:
        raise Trouble(f"{path} is no editor's key") from None


def _show_event(event: Event, places: Places, as_json: bool) -> None:
    import msgspec

    from holdfast.watch.words import Words

    mark = "" if event.published else "  (suspected, not public)"
    words = Words("en", places)
    line = f"{event.id}  {words.title(event, event.ended or event.detected)}{mark}"
    show(msgspec.to_builtins(event), as_json, line)


def _http(url: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            found = json.loads(response.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        why = f"status {error.code}"
        with contextlib.suppress(ValueError, OSError, AttributeError):
            why = json.loads(error.read(10_000)).get("error", why)
        raise Trouble(f"the observatory refused: {why}", Exit.REFUSED) from None
    except (OSError, ValueError) as error:
        raise Trouble(f"{url} cannot be reached: {error}", Exit.NETWORK) from None
    if not isinstance(found, dict):
        raise Trouble(f"{url} is no observatory", Exit.NETWORK)
    return found
