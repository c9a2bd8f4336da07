"""Files between nodes, over loopback TLS, and in and out over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatters import SECRET, last_file, meet, only, person, relay, send_file, served, until

from holdfast.core.caps import Home
from holdfast.core.seal import chunks
from holdfast.drive.http import Request
from holdfast.node import files, transfers
from holdfast.node.api import Node
from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Attachment, FileMoved, Message


async def once(node: Node, state: str) -> Message:
    """The last file, once it is in this state."""
    found = await until(lambda: last_file(node), lambda m: m is not None and file(m).state == state)
    assert found is not None
    return found


def file(message: Message) -> Attachment:
    assert message.file is not None
    return message.file


async def fetched(client: Client, id: str) -> bytes:
    got = io.BytesIO()
    await client.download(id, got)
    return got.getvalue()


@contextlib.asynccontextmanager
async def two(tmp_path: Path, *extra: Home) -> AsyncIterator[tuple[Node, Node, Client, Client]]:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home, *extra) as anna,
        person(tmp_path / "boris", "Boris", home) as boris,
        served(anna, tmp_path / "anna") as of_anna,
        served(boris, tmp_path / "boris") as of_boris,
    ):
        await meet(anna, boris)
        yield anna, boris, of_anna, of_boris


@pytest.mark.parametrize("size", [0, 1, 15_872, 15_873, 700_000])
async def test_a_small_file_comes_by_itself_and_leaves_the_relay(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    async with two(tmp_path) as (anna, boris, of_anna, of_boris):
        sent = await send_file(of_anna, data)
        assert file(sent).state == "sending"
        got = await once(boris, "whole")
        assert await fetched(of_boris, got.id) == data
        mine = await once(anna, "whole")
        assert await fetched(of_anna, mine.id) == data
        keeper = anna._keeper
        assert keeper is not None
        await until(
            lambda: keeper.run(
                lambda work: len(work.db.execute("SELECT 1 FROM unwanted").fetchall())
            ),
            lambda count: count == 0,
        )


async def test_a_large_file_waits_to_be_asked_for_shows_progress_and_can_be_left(
    tmp_path: Path,
) -> None:
    data = os.urandom(9_000_000)
    async with two(tmp_path) as (anna, boris, of_anna, of_boris):
        heard: list[object] = []
        boris.subscribe(heard.append)
        await send_file(of_anna, data, "film.mkv")
        offer = await once(boris, "offered")
        await once(anna, "sent")
        assert file(offer).done == 0
        with pytest.raises(ApiError) as refused:
            await fetched(of_boris, offer.id)
        assert refused.value.code == "not-found"
        await boris.fetch_file(offer.id)
        await boris.cancel_file(offer.id)
        assert file((await boris.messages(offer.contact)).messages[-1]).state == "offered"
        await boris.fetch_file(offer.id)
        await once(boris, "whole")
        assert await fetched(of_boris, offer.id) == data
        moved = [event for event in heard if isinstance(event, FileMoved)]
        assert all(event.done <= len(data) for event in moved)


async def test_a_part_of_it(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    async with two(tmp_path) as (_anna, boris, of_anna, _of_boris):
        await send_file(of_anna, data)
        got = await once(boris, "whole")
        depot = boris.depot
        assert depot is not None
        for header, status, part in (
            (b"bytes=0-0", 206, data[:1]),
            (b"bytes=15000-40000", 206, data[15_000:40_001]),
            (b"bytes=99990-", 206, data[99_990:]),
            (b"bytes=-7", 206, data[-7:]),
            (b"bytes=100000-", 416, None),
            (b"bytes=5-4", 416, None),
            (b"bytes=a-b", 416, None),
        ):
            answer = await depot.give(Request("GET", f"/files/{got.id}", ((b"range", header),)))
            assert answer.status == status, header
            if part is not None:
                assert answer.source is not None
                assert b"".join(answer.source) == part
        for path in ("/files/", "/files/x", "/files/999999", "/files/../key", "/files/-1"):
            assert (await depot.give(Request("GET", path, ()))).status == 404


async def test_it_comes_from_the_home_that_is_left(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    gone = asyncio.Event()
    lost = asyncio.Event()

    async def second() -> None:
        async with relay(tmp_path / "second") as home:
            said.set_result(home)
            await gone.wait()
        lost.set()

    said: asyncio.Future[Home] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(second())
    async with two(tmp_path, await said) as (anna, boris, of_anna, of_boris):
        await send_file(of_anna, data)
        offer = await once(boris, "offered")
        await once(anna, "sent")
        gone.set()
        await lost.wait()
        await boris.fetch_file(offer.id)
        await once(boris, "whole")
        assert await fetched(of_boris, offer.id) == data
        await once(anna, "whole")
    await task


async def test_taking_it_back_leaves_nothing_on_either_side(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, of_anna, _of_boris):
        sent = await send_file(of_anna, os.urandom(50_000))
        await once(boris, "whole")
        await anna.cancel_file(sent.id)
        found = await until(
            lambda: boris.messages("Anna"),
            lambda page: page.messages[-1].deleted,
        )
        assert found.messages[-1].file is None
        for home in ("anna", "boris"):
            folder = tmp_path / home / "files"

            async def left(folder: Path = folder) -> list[Path]:
                return list(folder.iterdir())

            await until(left, lambda all: not all)


async def test_what_was_under_way_goes_on_after_a_restart(tmp_path: Path) -> None:
    data = os.urandom(6_000_000)
    async with relay(tmp_path / "relay") as home:
        async with person(tmp_path / "boris", "Boris", home) as boris:
            async with (
                person(tmp_path / "anna", "Anna", home) as anna,
                served(anna, tmp_path / "anna") as of_anna,
            ):
                await meet(anna, boris)
                await send_file(of_anna, data)
            offer = await once(boris, "offered")
            await boris.fetch_file(offer.id)
        async with (
            person(tmp_path / "boris", "Boris", home) as boris,
            person(tmp_path / "anna", "Anna", home) as anna,
            served(boris, tmp_path / "boris") as of_boris,
        ):
            await only(boris)
            got = await once(boris, "whole")
            assert await fetched(of_boris, got.id) == data
            await once(anna, "whole")


async def test_chunks_that_stand_twice_do_not_keep_a_receiver_from_those_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(12_000_000)
    have = 100
    async with two(tmp_path) as (anna, boris, of_anna, _):
        monkeypatch.setattr(transfers, "KEEP_SECONDS", 3_600)
        await send_file(of_anna, data)
        assert anna._engine is not None
        sender = anna._engine.transfers

        async def moved() -> int:
            return next((one.done for one in sender._moving.values()), 0)

        await until(moved, lambda done: done > 60 * chunks.LARGE)
        (id,) = sender._moving
        sender.halt(id, gone=False)  # what was not noted is sent again, as after a crash
        sender.move(id)
        await once(anna, "sent")
        offer = await once(boris, "offered")
        keeper = boris._keeper
        assert keeper is not None
        bits = ((1 << have) - 1).to_bytes(24, "little")
        await keeper.run(lambda work: work.db.execute("UPDATE file SET have = ?", (bits,)))
        monkeypatch.undo()
        await boris.fetch_file(offer.id)
        await once(boris, "whole")
        depot, start = boris.depot, have * chunks.LARGE
        assert depot is not None
        asked = Request("GET", f"/files/{offer.id}", ((b"range", b"bytes=%d-" % start),))
        answer = await depot.give(asked)
        assert answer.source is not None
        assert b"".join(answer.source) == data[start:]


async def test_uploads_are_bounded_and_nobody_keeps_what_was_not_sent(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, _, of_anna, _):
        upload = await of_anna.upload(io.BytesIO(b"x"), 1)
        await anna.discard_upload(upload)
        for act in (anna.discard_upload(upload), anna.send_file("Boris", upload, "x")):
            with pytest.raises(ApiError) as refused:
                await act
            assert refused.value.code == "not-found"
        kept = await of_anna.upload(io.BytesIO(b"y"), 1)
        keeper = anna._keeper
        assert keeper is not None

        def tomorrow(work) -> None:
            work.now += files.KEPT_UPLOAD + 1
            files.sweep(work)

        await keeper.run(tomorrow)
        with pytest.raises(ApiError):
            await anna.send_file("Boris", kept, "y")
        assert not list((tmp_path / "anna" / "files").iterdir())


async def test_an_upload_without_room_is_refused_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path) as (_, _, of_anna, _):
        monkeypatch.setattr(files, "has_room", lambda folder, size: False)
        with pytest.raises(ApiError) as refused:
            await of_anna.upload(io.BytesIO(b"x" * 100), 100)
        assert refused.value.code == "storage"
        assert "make room" in str(refused.value)


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, _, of_anna, _):
        port = of_anna.address.port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /files HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000000\r\n"
        writer.write(f"{head}Authorization: Bearer {SECRET}\r\n\r\n".encode() + bytes(200_000))
        await writer.drain()
        folder = tmp_path / "anna" / "files"

        async def there() -> list[Path]:
            return list(folder.iterdir())

        await until(there, bool)
        writer.close()
        await until(there, lambda all: not all)


async def test_pictures_keep_what_was_said_of_them_and_the_same_key_is_one_message(
    tmp_path: Path,
) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    async with two(tmp_path) as (anna, boris, of_anna, _):
        import base64

        thumb = base64.b64encode(b"\xff\xd8\xff" + bytes(20)).decode()
        first = await send_file(
            of_anna, png, "cat.png", kind="picture", type="image/png", thumb=thumb,
            width=640, height=480, key="one",
        )  # fmt: skip
        upload = await of_anna.upload(io.BytesIO(png), len(png))
        again = await anna.send_file("Boris", upload, "cat.png", key="one")
        assert again.id == first.id
        got = file(await once(boris, "whole"))
        assert (got.kind, got.type, got.width, got.height) == ("picture", "image/png", 640, 480)
        assert got.thumb == f"data:image/jpeg;base64,{thumb}"
        with pytest.raises(ApiError):
            await anna.send_file("Boris", upload, "x", thumb="PHN2Zz4=")
        with pytest.raises(ApiError):
            await anna.send_file("Boris", upload, "x", thumb="%%%")


async def test_who_answers_a_file_quotes_what_it_is(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, of_anna, _):
        for kind, type, head, quoted in (
            ("file", "", b"", "a.bin"),
            ("voice", "audio/ogg", b"OggS", ""),
            ("picture", "image/png", b"\x89PNG\r\n\x1a\n", "a.bin"),
        ):
            await send_file(of_anna, head + bytes(100), kind=kind, type=type)
            got = await until(
                lambda: boris.messages("Anna"),
                lambda page, kind=kind: (
                    bool(page.messages)
                    and page.messages[-1].file is not None
                    and page.messages[-1].file.kind == kind
                ),
            )
            mine = await boris.send("Anna", "I see", reply_to=got.messages[-1].id)
            assert mine.reply_to is not None
            assert (mine.reply_to.file, mine.reply_to.text) == (kind, quoted)
        assert (await anna.contacts())[0].name == "Boris"
