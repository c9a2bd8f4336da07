"""The node's API for programs on the same machine: the CLI, bots, tests.

async with Client.connect(home) as client:
    await client.node.send("Amina", "On my way.")
    async for event in client.events():
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast
from urllib.parse import quote

import msgspec
import picows
from msgspec import Struct
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from holdfast.node.rpc import METHODS, ApiError
from holdfast.node.schema import Event, NodeApi
from holdfast.node.sound import MICROPHONE, WANTED

FILE: Final = "api.json"
"""In the node's directory, for its user alone: where the API is and the secret for it."""
MAX_EVENTS: Final = 10_000
MAX_SOUND: Final = 256
"""Frames of a call that nobody took yet."""
PIECE: Final = 256 * 1024
Progress = Callable[[int], None]
"""Told how many bytes have gone."""


class NotRunning(ConnectionError):
    """No node runs on that directory; the sentence says how to start one."""


class Address(Struct, frozen=True):
    """What `api.json` says while the node runs."""

    port: int
    secret: str
    pid: int

    def write(self, home: Path) -> None:
        """Leave it in the node's directory."""
        part = home / (FILE + ".part")
        with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(self))
        part.rename(home / FILE)

    @classmethod
    def read(cls, home: Path) -> Address:
        """Raises `NotRunning`."""
        try:
            return msgspec.json.decode((home / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            raise _not_running(home) from None


def _not_running(home: Path) -> NotRunning:
    return NotRunning(f"no node is running on {home}. Start it with: holdfast node --home {home}")


class _Answer(Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw()


class Client(WSListener):
    """A connection to a running node."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._next = 1
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(MAX_EVENTS)
        self._answers = msgspec.json.Decoder(_Answer)
        self._event = msgspec.json.Decoder(Event)
        self.address = Address(0, "", 0)
        self.node: NodeApi = cast(NodeApi, _Calls(self))
        """The calls, with their types."""

    @classmethod
    @asynccontextmanager
    async def connect(cls, home: Path, port: int | None = None) -> AsyncIterator[Client]:
        """Connect to the node that runs on `home`; `port` is of this machine, where that leads
        to the node's own, which is elsewhere. Raises `NotRunning`."""
        address = Address.read(home)
        if port is not None:
            address = msgspec.structs.replace(address, port=port)
        try:
            _, client = await picows.ws_connect(
                cls,
                f"ws://127.0.0.1:{address.port}/api",
                extra_headers={"Authorization": f"Bearer {address.secret}"},
                max_frame_size=256 * 1024 * 1024,
            )
        except (OSError, picows.WSError):
            raise _not_running(home) from None
        if not isinstance(client, Client):  # it ended between the handshake and here
            raise _not_running(home)
        client.address = address
        try:
            yield client
        finally:
            client.close()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.disconnect()

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Call a method by name. Raises `ApiError` as the node refuses, `NotRunning` if it
        went away."""
        if self._transport is None:
            raise NotRunning("the node went away")
        id = self._next
        self._next += 1
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[id] = answer
        request = {"jsonrpc": "2.0", "id": id, "method": name, "params": params}
        self._transport.send(WSMsgType.TEXT, msgspec.json.encode(request))
        try:
            result = await answer
        finally:
            self._waiting.pop(id, None)
        return msgspec.json.decode(result, type=METHODS[name].result)

    async def events(self) -> AsyncIterator[Event]:
        """What the node tells after `listen`, until the connection ends."""
        while (event := await self._events.get()) is not None:
            yield event

    async def upload(
        self, source: IO[bytes], size: int, progress: Progress = lambda done: None
    ) -> str:
        """Bring `size` bytes of a file to the node; the upload's name for `send_file`. Raises
        `ApiError` as the node refuses, OSError. `progress` is called from another thread."""
        return await asyncio.to_thread(_upload, self.address, source, size, progress)

    async def download(
        self, id: str, target: IO[bytes], progress: Progress = lambda done: None
    ) -> int:
        """Write a message's file to `target`; its bytes. Raises `ApiError`, OSError."""
        return await asyncio.to_thread(_download, self.address, id, target, progress)

    @asynccontextmanager
    async def sound(self, call: str) -> AsyncIterator[Sound]:
        """Be the sound of a call that was started or accepted. Raises `ApiError`, and
        ConnectionError where the node does not answer."""
        address = self.address
        try:
            _, line = await picows.ws_connect(
                Sound,
                f"ws://127.0.0.1:{address.port}/sound?call={quote(call)}",
                extra_headers={"Authorization": f"Bearer {address.secret}"},
            )
        except picows.WSError:
            raise ApiError("not-found", "this call is over, or was not accepted yet") from None
        except OSError:
            raise ConnectionError("the node does not answer") from None
        assert isinstance(line, Sound)
        try:
            yield line
        finally:
            line.close()

    # From picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Connected."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """An answer or an event."""
        if frame.msg_type not in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            return
        self._parts.append(frame.get_payload_as_bytes())
        if not frame.fin:
            return
        answer = self._answers.decode(b"".join(self._parts))
        self._parts = []
        if answer.method == "event":
            try:
                self._events.put_nowait(self._event.decode(answer.params))
            except asyncio.QueueFull:
                self.close()
        elif isinstance(answer.id, int) and answer.id in self._waiting:
            waiting = self._waiting[answer.id]
            if waiting.done():
                return
            if answer.error is not None:
                code = str(answer.error.get("data", {}).get("code", "internal"))
                waiting.set_exception(ApiError(code, str(answer.error.get("message", ""))))
            else:
                waiting.set_result(answer.result.copy())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The node is gone: nobody waits for ever."""
        self._transport = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NotRunning("the node went away"))
        try:
            self._events.put_nowait(None)
        except asyncio.QueueFull:
            self._events.get_nowait()
            self._events.put_nowait(None)


class Sound(WSListener):
    """The sound of one call, as the node's side of it has it: see spec/node-api.md."""

    def __init__(self) -> None:
        self._transport: WSTransport | None = None
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_SOUND)
        self.over = False
        """The node said goodbye: the call is over, or another has its sound."""

    def say(self, packet: bytes) -> None:
        """One packet of the microphone."""
        self._send(bytes((MICROPHONE,)) + packet)

    def want(self, count: int = 1) -> None:
        """Ask for so many frames; each is answered by one of `heard`."""
        self._send(bytes((WANTED, count)))

    async def heard(self) -> bytes | None:
        """The next answer, as it came: its first byte says what it is. None: this connection has
        ended, see `over`."""
        return await self._heard.get()

    def close(self) -> None:
        """End the connection; the call goes on."""
        if self._transport is not None:
            self._transport.disconnect()

    def _send(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.BINARY, message)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Connected."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame to play, or how to code."""
        if frame.msg_type == WSMsgType.CLOSE:
            self.over = frame.get_close_code() == picows.WSCloseCode.OK
        if frame.msg_type == WSMsgType.BINARY and not self._heard.full():
            self._heard.put_nowait(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Whatever the reason."""
        self._transport = None
        if self._heard.full():
            self._heard.get_nowait()
        self._heard.put_nowait(None)


def _upload(address: Address, source: IO[bytes], size: int, progress: Progress) -> str:
    done = 0

    def pieces() -> Iterator[bytes]:
        nonlocal done
        while piece := source.read(min(PIECE, size - done)):
            done += len(piece)
            yield piece
            progress(done)

    headers = {"Content-Length": str(size)}
    with _request(address, "POST", "/files", headers, pieces()) as answer:
        return str(msgspec.json.decode(answer.read())["upload"])


def _download(address: Address, id: str, target: IO[bytes], progress: Progress) -> int:
    with _request(address, "GET", f"/files/{quote(id, safe='')}", {}, None) as answer:
        done = 0
        while piece := answer.read(PIECE):
            target.write(piece)
            done += len(piece)
            progress(done)
        if done != int(answer.headers["content-length"]):
            raise OSError("the node ended the file early; try again")
        return done


_CODES: Final = {
    404: "not-found", 409: "not-found", 411: "bad-params", 413: "too-long", 429: "rate",
    500: "storage", 507: "storage",
}  # fmt: skip


@contextmanager
def _request(
    address: Address,
    method: str,
    path: str,
    headers: dict[str, str],
    body: Iterator[bytes] | None,
) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=600)
    headers["Authorization"] = f"Bearer {address.secret}"
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # The node may refuse before it has all: its answer says why.
            connection.request(method, path, body, headers)
        with connection.getresponse() as answer:
            if answer.status >= 300:
                text = answer.read(4096).decode("utf-8", "replace")
                raise ApiError(_CODES.get(answer.status, "internal"), text)
            yield answer


class _Calls:
    """The methods of `NodeApi`, each a call over the connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)
        signature = inspect.signature(getattr(NodeApi, name))

        async def call(*args: Any, **kwargs: Any) -> Any:
            arguments = signature.bind(None, *args, **kwargs).arguments
            arguments.pop("self")
            return await self._client.call(name, arguments)

        return call
