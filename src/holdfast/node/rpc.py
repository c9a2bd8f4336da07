"""JSON-RPC 2.0 over a WebSocket: one connection of an interface to its node.

Methods, parameters and results are those of `schema.NodeApi`: what arrives is checked
against its annotations before anything is called. `listen` belongs to the connection
and is answered here. Source: JSON-RPC 2.0 specification; spec/node-api.md.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec import Struct
from picows import WSMsgType, WSTransport

from holdfast.node import schema
from holdfast.node.schema import Event, Message, MessageChanged, NodeApi
from holdfast.paths.websocket import Socket

if TYPE_CHECKING:
    from holdfast.node.depot import Depot
    from holdfast.node.saving import Saving
    from holdfast.node.sound import SoundSession

MAX_REQUEST: Final = 256 * 1024
MAX_CALLS: Final = 256
"""Calls of one connection that are not answered yet."""
MAX_UNSENT: Final = 8 * 1024 * 1024
"""Bytes a client may leave unread before its connection ends."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
NO_METHOD: Final = -32601
BAD_PARAMS: Final = -32602
REFUSED: Final = -32000

_log = logging.getLogger(__name__)


class ApiError(Exception):
    """A call that cannot be carried out: a code of `schema.NodeApi` and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Served(NodeApi, Protocol):
    """What is served: the calls, the two halves of `listen`, files and sound."""

    @property
    def depot(self) -> Depot | None:
        """Takes and gives the bytes of files, once the database is open."""

    @property
    def saving(self) -> Saving:
        """Takes and gives backups."""

    def join_sound(self, call: str) -> SoundSession | None:
        """The sound of a call that was accepted, for an interface; None if there is none."""

    def subscribe(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `hear` every event from now on; the answer ends that."""

    async def changes(self, since: int | None) -> tuple[list[Message], int]:
        """Every message changed after the cursor `since`, by cursor; and the cursor reached.
        With None no messages."""


class _Request(Struct, frozen=True):
    method: str
    jsonrpc: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: int | str | None = None


class _Method:
    """One call: a decoder made of its annotations, and its result's type."""

    def __init__(self, name: str) -> None:
        function = getattr(NodeApi, name)
        hints = typing.get_type_hints(function, include_extras=True)
        self.name = name
        self.result = hints.pop("return")
        self.parameters = list(hints)
        defaults = {
            key: value.default
            for key, value in inspect.signature(function).parameters.items()
            if value.default is not inspect.Parameter.empty
        }
        fields: list[Any] = [
            (key, kind, defaults[key]) if key in defaults else (key, kind)
            for key, kind in hints.items()
        ]
        self.type = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        self._decoder = msgspec.json.Decoder(self.type)

    def arguments(self, params: bytes) -> dict[str, Any]:
        """The parameters by name. Raises `msgspec.MsgspecError`."""
        decoded = self._decoder.decode(params)
        return {key: getattr(decoded, key) for key in self.parameters}


METHODS: Final = {
    name: _Method(name)
    for name, _ in inspect.getmembers(NodeApi, inspect.isfunction)
    if not name.startswith("_")
}

_requests = msgspec.json.Decoder(_Request)
_encode = msgspec.json.Encoder().encode


class Session(Socket):
    """One interface's connection."""

    kind = WSMsgType.TEXT
    largest = MAX_REQUEST

    def __init__(self, node: Served, left: Callable[[Session], None]) -> None:
        super().__init__()
        self._node = node
        self._left = left
        self._calls: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._early: list[Event] | None = None

    def got(self, message: bytes) -> None:
        """One request."""
        try:
            request = _requests.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self._fail(None, PARSE_ERROR, "bad-params", "this is not a JSON-RPC request")
            return
        method = METHODS.get(request.method)
        if request.jsonrpc != "2.0" or request.id is None:
            self._fail(
                request.id,
                INVALID_REQUEST,
                "bad-params",
                "a request has jsonrpc and id",
            )
        elif method is None:
            self._fail(request.id, NO_METHOD, "not-found", "there is no such method")
        elif len(self._calls) >= MAX_CALLS:
            self._fail(request.id, REFUSED, "rate", f"at most {MAX_CALLS} calls at a time")
        else:
            try:
                arguments = method.arguments(bytes(request.params))
            except msgspec.ValidationError as error:
                self._fail(request.id, BAD_PARAMS, "bad-params", str(error))
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                self._fail(request.id, BAD_PARAMS, "bad-params", "the parameters are not JSON")
            else:
                call = asyncio.create_task(self._call(request.id, method, arguments))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def _call(self, id: int | str, method: _Method, arguments: dict[str, Any]) -> None:
        try:
            if method.name == "listen":
                result: Any = await self._listen(**arguments)
            else:
                result = await getattr(self._node, method.name)(**arguments)
        except ApiError as error:
            self._fail(id, REFUSED, error.code, str(error))
        except Exception:  # noqa: BLE001  one call failed, the others go on
            _log.exception("the call %s failed", method.name)
            self._fail(
                id,
                REFUSED,
                "internal",
                "something went wrong in the node; its log says more",
            )
        else:
            self.send(_encode({"jsonrpc": "2.0", "id": id, "result": result}))

    async def _listen(self, since: int | None) -> int:
        """First what changed, then what changes, each once."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._early = []
        self._unsubscribe = self._node.subscribe(self._hear)
        messages, reached = await self._node.changes(since)
        for message in messages:
            self._notify(MessageChanged(message))
        early, self._early = self._early, None
        for event in early:
            if not isinstance(event, MessageChanged) or event.message.cursor > reached:
                self._notify(event)
        return reached

    def _hear(self, event: Event) -> None:
        if self._early is not None:
            self._early.append(event)
        else:
            self._notify(event)

    def _notify(self, event: Event) -> None:
        self.send(_encode({"jsonrpc": "2.0", "method": "event", "params": event}))

    def send(self, frame: bytes) -> None:
        """Queue one message; who leaves too much unread is cut off."""
        super().send(frame)
        if self.buffered > MAX_UNSENT and self._transport is not None:
            self._transport.underlying_transport.abort()

    def _fail(self, id: int | str | None, number: int, code: str, text: str) -> None:
        error = {"code": number, "message": text, "data": {"code": code}}
        self.send(_encode({"jsonrpc": "2.0", "id": id, "error": error}))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The interface is gone; calls under way are finished, nobody hears the answer."""
        super().on_ws_disconnected(transport)
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._left(self)


__all__ = ["METHODS", "ApiError", "Served", "Session", "schema"]
