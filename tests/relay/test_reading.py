"""Channels for browsers: who knows the path gets a page and records, others meet the site."""

import time
from pathlib import Path

from greeting import PATH

from holdfast.core import caps, wire
from holdfast.drive.http import Request, Response
from holdfast.paths.base import Channel
from holdfast.relay import certificate, decoy, reading
from holdfast.relay.front import Door
from holdfast.relay.small import Small

READER = f"/{caps.reader_path(PATH)}/"
ASKED = b"i" * 16 + b"t" * 32 + (5).to_bytes(8, "big")


class Program:
    """A relay's session that has three records, and says what it was asked."""

    def __init__(self, channel: Channel, key_hash: bytes, peer: str) -> None:
        self.channel = channel
        self.heard: list[object] = []

    def on_frame(self, frame: bytes) -> None:
        attach = wire.decode_client(frame)
        self.heard.append(attach)
        if isinstance(attach, wire.Attach):
            right = attach.read == b"t" * 32 and not attach.follow
            records = wire.Records(
                1, tuple((n, b"body") for n in range((attach.since or 0) + 1, 9))
            )
            for said in (
                (records, wire.Done(1, "read")) if right else (wire.Refused(1, "denied", ""),)
            ):
                self.channel.send(wire.encode(said))

    on_live = on_frame

    def on_drained(self) -> None:
        """Nothing waits."""

    def on_closed(self, reason: str) -> None:
        self.heard.append(reason)


def door(data: Path) -> Door:
    own = certificate.load_or_make(data, "127.0.0.1", int(time.time() * 1000))
    decoy.make_site(data / "site", lambda n: b"\x07" * n)
    return Door(own, [PATH], decoy.Folder(data / "site"), Small(lambda _: Program), Program)


async def ask(door: Door, path: str, method: str = "GET", body: bytes = b"") -> Response:
    found = door.respond(Request(method, path, ((b"host", b"a"),), body))
    return found if isinstance(found, Response) else await found


async def test_the_page_is_whole_strict_and_the_same_for_all(tmp_path: Path) -> None:
    made = door(tmp_path)
    page = await ask(made, READER)
    headers = dict(page.headers)
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert headers["referrer-policy"] == "no-referrer"
    assert b"page.js" in page.body and b"http" not in page.body
    for name in ("page.js", "page.css"):
        found = await ask(made, READER + name)
        assert found.status == 200 and dict(found.headers)["x-content-type-options"] == "nosniff"
        assert b"innerHTML" not in found.body and b"eval(" not in found.body
    assert made.begins(f"GET {READER} HTTP/1.1\r\n".encode())


async def test_records_are_for_who_has_the_token(tmp_path: Path) -> None:
    made = door(tmp_path)
    answer = await ask(made, READER + "log", "POST", ASKED)
    one = (4).to_bytes(4, "big") + b"body"
    assert answer.body == b"".join(n.to_bytes(8, "big") + one for n in (6, 7, 8))
    for body in (ASKED.replace(b"t", b"u"), b"i" * 48 + b"\xff" * 8):
        refused = await ask(made, READER + "log", "POST", body)
        assert (refused.status, refused.body) == (200, b"")


async def test_everybody_else_meets_the_site(tmp_path: Path) -> None:
    made = door(tmp_path)
    missing, posted = await ask(made, "/nothing"), await ask(made, "/nothing", "POST")
    other = f"/{caps.reader_path(bytes(16))}/"
    for path in (READER[:-1], READER + "x", READER + "log", other, other + "page.js"):
        assert await ask(made, path) == missing
    for path, body in ((READER + "log", ASKED[:-1]), (other + "log", ASKED), (READER, b"")):
        assert await ask(made, path, "POST", body) == posted


async def test_an_answer_has_an_end() -> None:
    reader = reading._Reader()
    for n in range(100):
        reader.send(wire.encode(wire.Records(1, ((n, bytes(60_000)),))))
    assert reader.done.is_set() and sum(map(len, reader.found)) < reading.MOST + 61_000
