"""Every admitted report and every rollup as tables, for questions in SQL: ClickHouse in this
process (chdb, the extra `watch`), or a server or cluster of it, with the same statements.

Nothing depends on it. It follows the journal and the ledgers, which were on the disk before
anything was acknowledged, and reads from its own tables how far it came: rows and that number are
one block of one insert, so that whenever it is killed nothing is missing or twice. It can be
deleted and made again. Normative text: spec/watch.md, "The archive".
"""

from __future__ import annotations

import importlib
import re
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from holdfast.watch.journal import MAX_FRAME, bodies
from holdfast.watch.ledger import Ledger
from holdfast.watch.rollup import Rollup

DATABASE: Final = "holdfast"
BATCH: Final = 200_000
"""Rollups' rows of an insert: far fewer than what ClickHouse cuts in two."""
BYTES: Final = 24_000_000
"""The same of the journal: some 380,000 entries; at 26 bytes, the shortest, not a million."""
READ: Final = 4 * MAX_FRAME
SECONDS: Final = 300
MEMORY: Final = 1_000_000_000
"""Bytes that one statement may use in this process."""
CONFIG: Final = b"""<clickhouse>
<background_merges_mutations_concurrency_ratio>1</background_merges_mutations_concurrency_ratio>
<merges_mutations_memory_usage_soft_limit>300000000</merges_mutations_memory_usage_soft_limit>
</clickhouse>
"""
"""Merges of parts in this process: two at once, and no further one beyond these bytes."""
SETTINGS: Final = {"max_memory_usage": MEMORY, "max_threads": 2, "distributed_foreground_insert": 1}
RAW: Final = (
    "watch LowCardinality(String)",
    "at DateTime('UTC') codec(Delta, ZSTD)",
    *(f"{name} LowCardinality(String)" for name in ("source", "region", "operator", "function")),
    "ok Bool",
    "verdict LowCardinality(String)",
    *(f"{name} UInt16" for name in ("rate", "control")),
    "grade UInt8",
    "day UInt32",
    "upto UInt64 codec(Delta, ZSTD)",
)
ROLLUP: Final = (
    *RAW[:6],
    *(f"{name} UInt64 codec(ZSTD)" for name in ("seen", "failed")),
    "verdicts Map(LowCardinality(String), UInt64)",
    *(f"{name} UInt64 codec(ZSTD)" for name in ("rate", "control", "rated", "grade", "graded")),
)
KEYS: Final = {
    "raw": "region, function, operator, at",
    "rollup": "region, function, source, operator, watch, at",
}
ENGINES: Final = {"raw": "MergeTree", "rollup": "ReplacingMergeTree"}
ENTRY: Final = (
    "at UInt32, source String, region String, operator String, function String, ok Bool,"
    " verdict String, rate UInt16, control UInt16, grade UInt8"
)
"""As `columns.table` has it: all of an `Entry` but what belongs to its token."""
LINE: Final = (
    "at UInt32, source String, region String, operator String, function String, seen UInt64,"
    " failed UInt64, verdicts Map(String, UInt64), rate UInt64, control UInt64, rated UInt64,"
    " grade UInt64, graded UInt64"
)
_encoder = msgspec.json.Encoder()


class ArchiveError(Exception):
    """The archive cannot be used; the sentence says why and what to do."""


class Tables(Protocol):
    """Whoever runs the statements."""

    def ask(self, sql: str, form: str = "JSONEachRow") -> bytes:
        """Run a statement. Raises `ArchiveError`."""

    def insert(self, table: str, columns: str, structure: str, rows: bytes, form: str) -> None:
        """Add rows of a format and structure as one block. Raises `ArchiveError`."""


class Here:
    """ClickHouse in this process. One process at a time has a folder."""

    def __init__(self, folder: Path, more: str = "") -> None:
        """`more`: what chdb is told beside the folder, as in "?config-file=FILE". Raises
        `ArchiveError`."""
        try:
            session: Any = importlib.import_module("chdb.session")
        except ImportError:
            raise ArchiveError(
                "this needs chdb: pip install 'holdfast[watch]', or name a server with --into"
            ) from None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming = folder / "incoming"
        try:
            with tempfile.NamedTemporaryFile(suffix=".xml") as config:
                config.write(CONFIG)
                config.flush()
                more = more or f"?config-file={config.name}"
                self._session: Any = session.Session(str(folder / "tables") + more)
            self._session.query(
                "set " + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
            )
        except Exception as error:  # noqa: BLE001  chdb raises many kinds
            raise ArchiveError(_sentence(error)) from None

    def ask(self, sql: str, form: str = "JSONEachRow") -> bytes:
        """See `Tables`."""
        try:
            return bytes(self._session.query(sql, form).bytes() or b"")
        except Exception as error:  # noqa: BLE001  chdb raises many kinds
            raise ArchiveError(_sentence(error)) from None

    def insert(self, table: str, columns: str, structure: str, rows: bytes, form: str) -> None:
        """See `Tables`."""
        try:
            self._incoming.write_bytes(rows)
        except OSError as error:
            raise ArchiveError(f"{self._incoming} cannot be written: {error.strerror}") from None
        source = f"file({quoted(str(self._incoming))}, {form}, {quoted(structure)})"
        self.ask(f"insert into {DATABASE}.{table} select {columns} from {source}")
        self._incoming.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder."""
        self._session.close()


class There:
    """A ClickHouse server, by its HTTP interface; name and password may be in the address."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._url = f"{parts.scheme}://{host}{parts.path.rstrip('/') or ''}/"
        self._headers = {
            "X-ClickHouse-User": urllib.parse.unquote(parts.username or "default"),
            "X-ClickHouse-Key": urllib.parse.unquote(parts.password or ""),
        }

    def ask(self, sql: str, form: str = "JSONEachRow") -> bytes:
        """See `Tables`."""
        return self._post({"default_format": form}, sql.encode())

    def insert(self, table: str, columns: str, structure: str, rows: bytes, form: str) -> None:
        """See `Tables`."""
        source = f"input({quoted(structure)})"
        sql = f"insert into {DATABASE}.{table} select {columns} from {source}"
        self._post({"query": f"{sql} format {form}"}, rows)

    def close(self) -> None:
        """Nothing is kept open."""

    def _post(self, values: dict[str, str], body: bytes) -> bytes:
        query = urllib.parse.urlencode({**values, **SETTINGS})
        request = urllib.request.Request(f"{self._url}?{query}", body, self._headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                found: bytes = answer.read()
                return found
        except urllib.error.HTTPError as error:
            raise ArchiveError(_sentence(error.read(2000).decode("utf-8", "replace"))) from None
        except (OSError, ValueError) as error:
            raise ArchiveError(f"{self._url} cannot be asked: {error}") from None


def statements(cluster: str = "") -> list[str]:
    """That make the tables. On a cluster they are replicated, and spread by watch and month, so
    that an insert is one block on one shard."""
    where = f" on cluster {name(cluster)}" if cluster else ""
    made = [f"create database if not exists {DATABASE}{where}"]
    for table, columns in (("raw", RAW), ("rollup", ROLLUP)):
        own = f"{table}_here" if cluster else table
        engine = ("Replicated" if cluster else "") + ENGINES[table]
        made.append(
            f"create table if not exists {DATABASE}.{own}{where} ({', '.join(columns)})"
            f" engine = {engine} order by ({KEYS[table]}) partition by toYYYYMM(at)"
        )
        if cluster:
            spread = "cityHash64(watch, toYYYYMM(at))"  # all of one insert
            made.append(
                f"create table if not exists {DATABASE}.{table}{where} as {DATABASE}.{own}"
                f" engine = Distributed({name(cluster)}, {DATABASE}, {own}, {spread})"
            )
    return made


class Archive:
    """What one observatory's folder holds, in tables. `watch` is its key."""

    def __init__(self, tables: Tables, watch: bytes, cluster: str = "") -> None:
        self.tables = tables
        self._watch = watch.hex()
        for statement in statements(cluster):
            tables.ask(statement)

    def follow(self, data: Path) -> int:
        """Add what is new in a folder; the number of rows. Raises `ArchiveError`, `BadRollup`."""
        added = 0
        known = {
            int(row["day"]): int(row["upto"])
            for row in self._rows(
                f"select day, max(upto) as upto from {DATABASE}.raw"
                f" where watch = {quoted(self._watch)} group by day"
            )
        }
        with ThreadPoolExecutor(1) as worker:
            under_way = worker.submit(lambda: None)
            for path in sorted(
                (data / "journal").glob("*.journal"), key=lambda path: int(path.stem)
            ):
                for upto, count, rows in _batches(path, known.get(_day(path), 0)):
                    columns = (
                        f"{quoted(self._watch)}, at, source, region, operator, function, ok,"
                        f" verdict, rate, control, grade, {_day(path)}, {upto}"
                    )
                    under_way.result()  # the next one is read while this one is inserted
                    under_way = worker.submit(
                        self.tables.insert, "raw", columns, ENTRY, rows, "ArrowStream"
                    )
                    added += count
            under_way.result()
        for watch, ledger in (
            (self._watch, Ledger(data / "ledger")),
            *((path.name, Ledger(path)) for path in sorted((data / "peers").glob("*"))),
        ):
            added += self._roll(watch, ledger)
        return added

    def _roll(self, watch: str, ledger: Ledger) -> int:
        found = list(
            self._rows(
                f"select toUInt32(max(at)) as last, count() as n from {DATABASE}.rollup"
                f" where watch = {quoted(watch)}"
            )
        )
        since = int(found[0]["last"]) + 1 if found and int(found[0]["n"]) else 0
        added, month, rows = 0, "", list[Any]()

        def flush() -> None:
            nonlocal added, rows
            if rows:
                data = _encoder.encode_lines(rows)
                self.tables.insert(
                    "rollup", f"{quoted(watch)}, *", LINE, data, "JSONCompactEachRow"
                )
                added, rows = added + len(rows), []

        for one in ledger.read(since):
            # An insert is one block only within a month, and a step has to be whole.
            if len(rows) >= BATCH or (month and month != _month(one.at)):
                flush()
            month = _month(one.at)
            rows += _lines(one)
        flush()
        return added

    def check(self, region: str, function: str, now: int) -> dict[str, Any]:
        """ "Is it only me?", from all that is kept: complaints and measurements of the last hour,
        and what is usual at this hour of the week, from eight weeks."""
        values = f"region = {quoted(region)} and function = {quoted(function)}"
        hour = f"at > toDateTime({now - 3600}, 'UTC') and at <= toDateTime({now}, 'UTC')"
        weeks = " or ".join(hour.replace(str(now), str(now - w * 604_800)).replace(
            str(now - 3600), str(now - 3600 - w * 604_800)) for w in range(1, 9))  # fmt: skip
        rows = self._rows(
            f"select sumIf(seen, source in ('c', 'f') and {hour}) as complaints,"
            f" sumIf(seen, source in ('c', 'f') and not ({hour})) / 8 as usual,"
            f" sumIf(failed, source = 'm' and {hour}) as failed,"
            f" sumIf(seen, source = 'm' and {hour}) as measured"
            # A row that came twice counts once; of so few this is quicker than `final`.
            " from (select source, at, any(seen) as seen, any(failed) as failed"
            f" from {DATABASE}.rollup where {values} and ({hour} or {weeks})"
            " group by source, operator, watch, at)"
        )
        return next(rows)

    def _rows(self, sql: str) -> Iterator[dict[str, Any]]:
        return map(msgspec.json.decode, self.tables.ask(sql).splitlines())


def quoted(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def name(text: str) -> str:
    """A name of SQL. Raises `ArchiveError`."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", text):
        raise ArchiveError("a cluster's name has letters, digits and underscores")
    return text


def _day(path: Path) -> int:
    """Since 1970, of a journal's file."""
    return int(path.stem)


def _batches(path: Path, start: int) -> Iterator[tuple[int, int, bytes]]:
    """A day's journal behind an offset, some frames at a time: the offset behind them, how many
    entries they have, and these as an Arrow stream. Raises `ArchiveError`."""
    gathered: list[bytes] = []
    size, base, data = 0, start, b""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(READ):
            data += piece
            whole = 0
            for whole, body in bodies(data):
                gathered.append(body)
                size += len(body)
                if size >= BYTES:
                    yield base + whole, *_stream(path, gathered)
                    gathered, size = [], 0
            data, base = data[whole:], base + whole
    if gathered:
        yield base, *_stream(path, gathered)


def _stream(path: Path, gathered: list[bytes]) -> tuple[int, bytes]:
    try:
        columns: Any = importlib.import_module("holdfast.watch.columns")
    except ImportError:
        raise ArchiveError("this needs pyarrow: pip install 'holdfast[watch]'") from None
    try:
        table = columns.table(gathered)
    except columns.BadFrame as error:
        raise ArchiveError(f"{path} is damaged: {error}") from None
    return table.num_rows, columns.stream(table)


def _lines(one: Rollup) -> Iterator[list[Any]]:
    for row in one.rows:
        yield [
            one.at, *row.key, row.seen, row.failed, row.verdicts, row.rate, row.control, row.rated,
            row.grade, row.graded,
        ]  # fmt: skip


def _month(at: int) -> str:
    return time.strftime("%Y%m", time.gmtime(at))


def _sentence(error: object) -> str:
    """The first line of what ClickHouse says."""
    return "the archive says: " + str(error).strip().split("\n")[0][:300]
