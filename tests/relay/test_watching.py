"""What an operator can watch, and nobody else."""

import re
import time
from pathlib import Path

from greeting import PATH, accept

from holdfast.drive.http import Request, Response
from holdfast.relay import certificate, decoy, watching
from holdfast.relay.front import Door
from holdfast.relay.small import Small
from holdfast.relay.watching import HEALTH, NUMBERS, Number, Watched, page, path_of


def door(data: Path) -> tuple[Door, Watched, Watched]:
    own = certificate.load_or_make(data, "127.0.0.1", int(time.time() * 1000))
    decoy.make_site(data / "site", lambda n: b"\x07" * n)
    numbers = Watched(
        watching.operators(b"k" * 32), NUMBERS, lambda: page([Number("a", "Of it.", 1)])
    )
    health = Watched(PATH, HEALTH, watching.healthy)
    small = Small(lambda _: accept)
    site = decoy.Folder(data / "site")
    return Door(own, [PATH], site, small, accept, [numbers, health]), numbers, health


def ask(door: Door, path: str, method: str = "GET") -> Response:
    found = door.respond(Request(method, path, ((b"host", b"a"),)))
    assert isinstance(found, Response)
    return found


async def test_only_the_right_path_is_answered(tmp_path: Path) -> None:
    made, numbers, health = door(tmp_path)
    seen = made.certificate.key_hash
    assert ask(made, health.path(seen)).body == b"ok\n"
    assert ask(made, numbers.path(seen)).body.endswith(b"# EOF\n")
    missing = ask(made, "/nothing")
    assert missing.status == 404
    wrong = [health.path(seen) + "x", health.path(seen)[:-1], health.path(bytes(32))]
    wrong += [path_of(PATH, NUMBERS, seen), path_of(b"q" * 16, HEALTH, seen), "/metrics", "/health"]
    for path in wrong:
        assert ask(made, path) == missing
    for method in ("POST", "PUT", "OPTIONS"):
        assert ask(made, health.path(seen), method) == ask(made, "/", method)


async def test_who_is_passed_on_is_recognised_by_the_same_paths(tmp_path: Path) -> None:
    made, numbers, _ = door(tmp_path)
    path = numbers.path(made.certificate.key_hash).encode()
    assert made.begins(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not made.begins(b"GET " + path + b"x HTTP/1.1\r\nHost: a\r\n\r\n")
    for garbage in (b"", b"\r\n", b"GET", b"GET  ", b"\xff" * 40, b"GET " + path):
        assert not made.begins(garbage)


def test_the_text_is_open_metrics(tmp_path: Path) -> None:
    numbers = [Number("x_total", "So far.", 3), Number("y_bytes", "Now.", 0.5)]
    numbers += [*watching.process(time.time()), *watching.disk(tmp_path, 10)]
    answer = page(numbers)
    lines = answer.body.decode("ascii").splitlines()
    assert lines[:3] == ["# TYPE x counter", "# HELP x So far.", "x_total 3"]
    assert lines[3:6] == ["# TYPE y_bytes gauge", "# HELP y_bytes Now.", "y_bytes 0.5"]
    assert lines[-1] == "# EOF"
    pattern = r"# TYPE [a-z_]+ (gauge|counter)|# HELP [a-z_]+ .+|[a-z_]+ -?[0-9.e+-]+|# EOF"
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert dict(answer.headers)["cache-control"] == "no-store"
