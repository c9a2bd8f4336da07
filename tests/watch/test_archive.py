"""The archive: exactly what the journal and the ledgers hold, whenever it is killed; the statements
for a server by its HTTP interface, to the same engine behind it."""

import asyncio
import http.server
import json
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.watch import archive, rollup
from holdfast.watch.archive import Archive, ArchiveError, Here, There
from holdfast.watch.journal import DAY, STEP, Entry, frame
from holdfast.watch.ledger import Ledger, raw
from holdfast.watch.rollup import Rollup

pytestmark = [pytest.mark.timeout(240)]
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
FIRST = 20_575  # the last day of a month, and the first of the next one
NAMES = ("text", "calls", "media")


def entry(draw, at):
    source = draw.choice("cfm")
    measured = (draw.random() < 0.8, draw.choice(("", "freeze")), 64, 128) if source == "m" else ()
    return Entry(at, source, draw.choice(("VEL", "NOR")), "veltel", draw.choice(NAMES), *measured)


def observatory(data, count, days=3, seed=1):
    """A folder with so many reports, and their rollups."""
    draw = random.Random(seed)
    (data / "journal").mkdir(parents=True)
    (data / "watch.key").write_bytes(b"k" * 32)
    ledger = Ledger(data / "ledger")
    for day in range(FIRST, FIRST + days):
        entries = sorted(
            (entry(draw, day * DAY + draw.randrange(288) * STEP) for _ in range(count // days)),
            key=lambda one: one.at,
        )
        with (data / "journal" / f"{day}.journal").open("ab") as file:
            for start in range(0, len(entries), 50):
                file.write(frame(entries[start : start + 50]))
        for at, rows in rollup.rollups(entries).items():
            ledger.append(Rollup(at, rows), KEY)


def totals(tables):
    """What both tables hold, as numbers that differ if anything is missing or twice."""
    found = []
    for table, count in (("raw", "count()"), ("rollup", "sum(seen)")):
        sql = (
            f"select source, region, function, {count} as n from holdfast.{table}"
            f" {'final' if table == 'rollup' else ''} group by all order by all"
        )
        lines = tables.ask(sql).splitlines()
        rows = [list(json.loads(line).values()) for line in lines]
        found.append([(*row[:3], int(row[3])) for row in rows])
    return found


def expected(data):
    draw: dict[tuple[str, str, str], int] = {}
    for one in Ledger(data / "ledger").read():
        for row in one.rows:
            key = (row.source, row.region, row.function)
            draw[key] = draw.get(key, 0) + row.seen
    return [(*key, count) for key, count in sorted(draw.items())]


FOLLOW = """
import sys
from pathlib import Path
from holdfast.watch import archive
archive.BATCH, archive.BYTES = 500, 30_000
data = Path(sys.argv[1])
made = archive.Archive(archive.Here(data / "archive"), bytes.fromhex(sys.argv[2]))
print("open", flush=True)
print(made.follow(data), flush=True)
"""


def test_whenever_it_is_killed_nothing_is_missing_or_twice(tmp_path):
    observatory(tmp_path, 60_000)
    draw, whole = random.Random(3), 0
    for turn in range(6):
        run = subprocess.Popen(
            [sys.executable, "-c", FOLLOW, tmp_path, raw(KEY).hex()], stdout=subprocess.PIPE
        )
        assert run.stdout is not None and run.stdout.readline() == b"open\n"
        if turn < 4:
            time.sleep(draw.uniform(0, 0.6))
            run.send_signal(signal.SIGKILL)
        whole += run.stdout.readline().strip().isdigit()
        run.wait(60)
        run.stdout.close()
    assert whole >= 2  # the last one had nothing to do
    tables = Here(tmp_path / "archive")
    assert totals(tables) == [expected(tmp_path)] * 2
    tables.close()


def test_a_full_disk_adds_nothing_and_it_goes_on(tmp_path, monkeypatch):
    observatory(tmp_path, 3000)
    tables = Here(tmp_path / "archive")
    made = Archive(tables, raw(KEY))
    monkeypatch.setattr(tables, "_incoming", tmp_path / "nowhere" / "incoming")
    with pytest.raises(ArchiveError, match="cannot be written"):
        made.follow(tmp_path)
    monkeypatch.undo()
    assert made.follow(tmp_path) > 3000 - 3
    assert made.follow(tmp_path) == 0
    assert totals(tables) == [expected(tmp_path)] * 2
    for sql in ("select", "select * from nowhere"):
        with pytest.raises(ArchiveError, match="the archive says"):
            tables.ask(sql)
    tables.close()


@contextmanager
def server(tables, seen):
    """ClickHouse's HTTP interface, as far as it is used, to the engine in this process."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((query, self.headers["X-ClickHouse-User"]))
            try:
                if "query" in query:
                    head, _, rest = query["query"].partition(" from input(")
                    structure, form = rest.rsplit(") format ", 1)
                    table, columns = head.split("into holdfast.")[1].split(" select ", 1)
                    tables.insert(table, columns, structure[1:-1], body, form)
                    answer, status = b"", 200
                else:
                    answer, status = tables.ask(body.decode(), query["default_format"]), 200
            except ArchiveError as error:
                answer, status = f"Code: 62. {error}".encode(), 404
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *about):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"http://anna:secret@127.0.0.1:{made.server_address[1]}"
        finally:
            made.shutdown()
            thread.join()


def test_a_server_is_told_the_same(tmp_path):
    data = tmp_path / "w"
    observatory(data, 2000)
    tables = Here(tmp_path / "server")
    seen: list[tuple[dict[str, str], str]] = []
    with server(tables, seen) as url:
        made = Archive(There(url), raw(KEY))
        assert made.follow(data) > 1990
        assert made.follow(data) == 0
        assert totals(There(url)) == [expected(data)] * 2
        with pytest.raises(ArchiveError, match="the archive says"):
            There(url).ask("select * from nowhere")
        now = (FIRST + 2) * DAY
        told = made.check("VEL", "calls", now)
        rows = [row for one in Ledger(data / "ledger").read(now - 3599) if one.at <= now
                for row in one.rows if (row.region, row.function) == ("VEL", "calls")]  # fmt: skip
        assert told == {
            "complaints": sum(row.seen for row in rows if row.source in "cf"),
            "usual": 0,
            "failed": sum(row.failed for row in rows if row.source == "m"),
            "measured": sum(row.seen for row in rows if row.source == "m"),
        }
        There(url).ask("insert into holdfast.rollup select * from holdfast.rollup")
        assert rows and made.check("VEL", "calls", now) == told  # what came twice counts once
    assert {who for _, who in seen} == {"anna"}
    assert not any("secret" in str(query) for query, _ in seen)
    with pytest.raises(ArchiveError, match="cannot be asked"):
        There(url).ask("select 1")
    tables.close()


def test_statements_for_a_cluster():
    made = ";".join(archive.statements("east"))
    assert (
        "ReplicatedMergeTree" in made and "Distributed(east" in made and "on cluster east" in made
    )
    with pytest.raises(ArchiveError):
        archive.statements("x; drop")
    assert archive.quoted("it's \\") == "'it\\'s \\\\'"


CLUSTER = """<clickhouse>
<tcp_port>9000</tcp_port>
<zookeeper><implementation>testkeeper</implementation></zookeeper>
<remote_servers><east><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></east>
</remote_servers>
<macros><shard>1</shard><replica>a</replica></macros>
<default_replica_path>/tables/{database}/{table}/{shard}</default_replica_path>
<default_replica_name>{replica}</default_replica_name>
</clickhouse>"""
MEMBER = """
import json, sys
from pathlib import Path
from holdfast.watch import archive
data, folder, config, key = sys.argv[1:]
whole = archive.statements
tables = archive.Here(Path(folder), "?config-file=" + config)
def here(cluster=""):  # what `on cluster` has each member run
    return [one.replace(" on cluster east", "") for one in whole(cluster)]
for one in here("east"):
    tables.ask(one)
engines = [json.loads(line)["engine"] for line in tables.ask(
    "select engine from system.tables where database = 'holdfast' order by name").splitlines()]
tables.ask("drop database holdfast")
archive.statements = lambda cluster="": [one.replace("Replicated", "") for one in here(cluster)]
made = archive.Archive(tables, bytes.fromhex(key), "east")
added = [made.follow(Path(data)) for _ in range(2)]
found = []
for table, count in (("raw", "count()"), ("rollup", "sum(seen)")):
    final = "final" if table == "rollup" else ""
    sql = f"select source, region, function, {count} as n from holdfast.{table} {final}"
    lines = tables.ask(sql + " group by all order by all").splitlines()
    rows = [list(json.loads(line).values()) for line in lines]
    found.append([[*row[:3], int(row[3])] for row in rows])
tables.close()
print(json.dumps([engines, added, found]))
"""


def test_one_member_of_a_cluster_runs_them(tmp_path):
    """All but what needs a Keeper and other members: `on cluster`, rows of replicated tables."""
    observatory(tmp_path, 3000)
    config = tmp_path / "config.xml"
    config.write_text(CLUSTER)
    arguments = (tmp_path, tmp_path / "archive", config, raw(KEY).hex())
    done = subprocess.run(
        [sys.executable, "-c", MEMBER, *map(str, arguments)],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    engines, added, found = json.loads(done.stdout)
    assert engines == [
        "Distributed", "ReplicatedMergeTree", "Distributed", "ReplicatedReplacingMergeTree",
    ]  # fmt: skip
    assert added[0] > 3000 - 3 and added[1] == 0
    assert found == [[list(row) for row in expected(tmp_path)]] * 2


async def test_the_command_line(tmp_path):
    observatory(tmp_path, 300)

    async def run(*words):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.cli", "--json", "watch", *words,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(said)

    assert (await run("archive", "--data", str(tmp_path)))["added"] > 300
    sql = "select count() as n from holdfast.raw"
    assert int((await run("ask", "--data", str(tmp_path), sql))["n"]) == 300
    assert len((await run("statements"))["statements"]) == 3
