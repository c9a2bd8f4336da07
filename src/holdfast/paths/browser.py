"""The path whose TLS handshake is a browser's: WebSocket by libcurl with BoringSSL.

libcurl shakes hands and upgrades, in a thread; from then on the connection belongs to the loop.
Which key a connection runs on has to be known before the secret path is asked for, and libcurl
tells only afterwards: so a visit to the site learns the key, and the upgrade is pinned to it.
Source: RFC 6455, spec/paths.md, decisions/2026-11-24-a-browsers-hello.md.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import os
import threading
from collections import deque
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from curl_cffi import Curl, CurlECode, CurlError, CurlInfo, CurlOpt, CurlWsFlag
from curl_cffi._wrapper import ffi, lib  # type: ignore[import-not-found]

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.paths import dial, tls
from holdfast.paths.base import Attempt, Channel, Handler, Line, Undivided, Unreachable
from holdfast.paths.websocket import (
    ASK_SECONDS,
    CONNECT_SECONDS,
    MAX_PARTS,
    SILENT_SECONDS,
    STALLED,
    check_welcome,
    patience,
)

PROFILES: Final = ("chrome150", "firefox147", "safari2601")
"""What one can look like, as libcurl calls it."""

PING_SECONDS: Final = 25.0
PONG_SECONDS: Final = 20.0
_BINARY, _CLOSE, _PING, _PONG = 0x82, 0x88, 0x89, 0x8A
_CHUNK: Final = 64 * 1024
"""Bytes that are given to libcurl at once."""
_TURN: Final = 64
"""Reads or writes before others get their turn."""
_CUT: Final = "the connection was cut"
_RAW: Final = 3
"""What is sent is framed here, and pings are answered here: one queue, so nothing mixes."""
_HTTP_1_1: Final = 2
_HTTPS: Final = 2
_UPGRADE: Final = 2
_SOCKS_REFUSED: Final = 19
_SOCKS_NOT_FOUND: Final = 21
_PROXY_ERROR: Final = 0x20003B
"""CURLINFO_PROXY_ERROR, which curl_cffi does not name."""

_keys: dict[tuple[bytes, str, int], bytes] = {}
"""SHA-256 of the TLS key that was last seen at a home."""


class Stream(Undivided):
    """An upgraded connection of libcurl as a channel, until the relay's greeting and after."""

    def __init__(self, curl: Curl, home: Home, tls_key_hash: bytes, line: Line) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self.welcomed: asyncio.Future[wire.Welcome] = self._loop.create_future()
        self._handler: Handler | None = None
        self._curl, self._home, self._tls_key_hash = curl, home, tls_key_hash
        self._early: list[bytes] = []
        self._message = bytearray()
        self._parts = 0
        self._control = b""
        self._queue: deque[bytes] = deque()
        self._chunk = memoryview(b"")
        """What libcurl was given and has not taken: TLS must be offered the very same again."""
        self._size = 0
        self._high = self._writing = self._closing = self._ended = False
        self._reason = ""
        self._heard = self._said = self._loop.time()
        self.received = 0
        self._unheard = 0
        """Bytes sent since anything was heard."""
        self._asked = False
        self._socket = int(curl.getinfo(CurlInfo.ACTIVESOCKET))  # type: ignore[arg-type]
        self._loop.add_reader(self._socket, self._read)
        self._loop.call_soon(self._read)  # what came with the upgrade is libcurl's already
        self._timer = self._loop.call_later(PING_SECONDS, self._listened)

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if self._closing or self._ended:
            return
        now = self._loop.time()
        if not self._unheard:
            self._said = now
        self._unheard += len(frame)
        self._put(_BINARY, frame)
        if self._timer.when() > now + ASK_SECONDS:
            self._wait(now + ASK_SECONDS)

    def close(self, reason: str = "") -> None:
        """Close after what was sent."""
        self._reason = self._reason or reason
        if not self._closing and not self._ended:
            self._put(_CLOSE, (1000).to_bytes(2, "big"))
            self._closing = True

    @property
    def buffered(self) -> int:
        """Bytes that libcurl has not taken yet."""
        return self._size

    # The handler.

    def adopt(self, handler: Handler) -> None:
        """Hand everything on to the handler from now on."""
        self._handler = handler
        for message in self._early:
            handler.on_frame(message)
        self._early = []
        if self._ended:  # over between the greeting and now: the handler was not told yet
            handler.on_closed(self._reason or _CUT)

    def _got(self, message: bytes) -> None:
        if self._handler is not None:
            self._handler.on_frame(message)
        elif self.welcomed.done():
            self._early.append(message)
        else:
            try:
                self.welcomed.set_result(check_welcome(self._home, self._tls_key_hash, message))
            except Unreachable as error:
                self.welcomed.set_exception(error)
                self.close()

    def end(self, reason: str) -> None:
        """Over, at once."""
        if self._ended:
            return
        self._ended = True
        self._reason = self._reason or reason
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._timer.cancel()
        self._queue.clear()
        self._chunk, self._size = memoryview(b""), 0
        self._curl.close()
        if not self.welcomed.done():
            self.welcomed.set_exception(
                Unreachable("closed", "the relay closed the connection before its greeting")
            )
        if self._handler is not None:
            self._handler.on_closed(self._reason)

    # Out.

    def _put(self, kind: int, payload: bytes) -> None:
        if not self._size and not self._writing:
            self._loop.call_soon(self._write)
        data = _framed(kind, payload)
        self._queue.append(data)
        self._size += len(data)
        self._high = self._high or self._size > tls.HIGH_WATER

    def _write(self) -> None:
        for _ in range(_TURN):
            if self._ended:
                return
            if not self._chunk and not self._next():
                break
            try:
                taken = self._curl.ws_send(self._chunk, 0)
            except CurlError as error:
                if error.code != CurlECode.AGAIN:
                    self.end(_CUT)
                    return
                taken = 0
            if not taken:
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._socket, self._write)
                break
            self._chunk = self._chunk[taken:]
            self._size -= taken
        else:
            self._loop.call_soon(self._write)
        if not self._size:
            self._rest()
        if self._high and self._size <= tls.LOW_WATER and not self._ended:
            self._high = False
            if self._handler is not None:
                self._handler.on_drained()

    def _next(self) -> bool:
        """Small frames leave together, large ones in pieces."""
        pieces, size = [], 0
        while self._queue and size < _CHUNK:
            pieces.append(self._queue.popleft())
            size += len(pieces[-1])
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) > _CHUNK:
            self._queue.appendleft(data[_CHUNK:])
            data = data[:_CHUNK]
        self._chunk = memoryview(data)
        return bool(data)

    def _rest(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._socket)
        if self._closing:
            self.end("")

    # In.

    def _read(self) -> None:
        for _ in range(_TURN):
            if self._ended:
                return
            try:
                data, frame = self._curl.ws_recv()
            except CurlError as error:
                if error.code != CurlECode.AGAIN:
                    self.end(_CUT)
                return
            self._heard, self._unheard, self._asked = self._loop.time(), 0, False
            self.received += len(data)
            try:
                self._take(data, frame)
            except BaseException:
                self.end(_CUT)  # a bug in our handler ends that connection
                raise
        self._loop.call_soon(self._read)

    def _take(self, data: bytes, frame: Any) -> None:
        """A frame or a part of one. libcurl has checked that they follow each other as they may."""
        if self._closing:
            return
        if frame.flags & (CurlWsFlag.CLOSE | CurlWsFlag.PING | CurlWsFlag.PONG):
            self._control += data
            if not frame.bytesleft:
                whole, self._control = self._control, b""
                if frame.flags & CurlWsFlag.CLOSE:
                    self.close("the other side closed the connection")
                elif frame.flags & CurlWsFlag.PING:
                    self._put(_PONG, whole)
            return
        self._parts += frame.offset == 0
        if (
            not frame.flags & CurlWsFlag.BINARY
            or self._parts > MAX_PARTS
            or len(self._message) + len(data) + frame.bytesleft > wire.MAX_FRAME
        ):
            self.close("the other side broke the WebSocket protocol")
            return
        if frame.bytesleft or frame.flags & CurlWsFlag.CONT:
            self._message += data
        else:
            message = bytes(self._message) + data if self._message else data
            self._message, self._parts = bytearray(), 0
            self._got(message)

    # Silence.

    def _wait(self, until: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_at(until, self._listened)

    def _listened(self) -> None:
        """Ask a silent relay whether it is there, and take it for gone if it does not answer."""
        now = self._loop.time()
        if self._asked:
            self.end(STALLED if self._unheard else _CUT)
            return
        due = self._said + ASK_SECONDS if self._unheard else self._heard + PING_SECONDS
        if now < due:
            self._wait(due)
            return
        self._asked = True
        if not self._closing:
            self._put(_PING, b"")
        if not self._unheard:
            self._wait(now + PONG_SECONDS)
        else:
            self._wait(now + patience(self._line.behind(self._unheard)))


def _framed(kind: int, payload: bytes) -> bytes:
    """One frame of a client, masked."""
    size, key = len(payload), os.urandom(4)
    if size < 126:
        head = bytes([kind, 0x80 | size])
    elif size < 65_536:
        head = bytes([kind, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([kind, 0x80 | 127]) + size.to_bytes(8, "big")
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return head + key + (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")


async def connect(
    home: Home,
    handler: Handler,
    attempt: Attempt | None = None,
    *,
    profile: str = PROFILES[0],
    proxy: str | None = None,
) -> Channel:
    """A channel to the relay whose key is the address's pin, by a handshake like that browser's.
    `proxy` is a URL, see `paths.dial`. Raises `Unreachable`."""
    attempt = attempt or Attempt()
    attempt.hangs = "timeout"  # libcurl does not tell before its end
    if profile not in PROFILES:
        raise ValueError(f"there is no profile {profile}")
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await _connect(home, handler, profile, proxy, attempt.line)
    except TimeoutError:
        raise _late(home) from None
    except Unreachable as error:
        if error.kind in ("closed", "upgrade") and loop.time() - began > SILENT_SECONDS:
            raise _late(home) from None
        raise


async def _connect(
    home: Home, handler: Handler, profile: str, proxy: str | None, line: Line
) -> Channel:
    place = (home.pin, home.host, home.port)
    seen = _keys.get(place)
    curl = None if seen is None else await _upgraded(home, seen, profile, proxy)
    if seen is None or curl is None:
        seen = _keys[place] = await _learned(home, profile, proxy)
        curl = await _upgraded(home, seen, profile, proxy)
    if curl is None:
        del _keys[place]
        raise Unreachable("pin", f"{home.label} shows one key and then another; nothing was said")
    stream = Stream(curl, home, seen, line)
    try:
        await stream.welcomed
        stream.adopt(handler)
    except BaseException:
        stream.end("")
        raise
    return stream


async def _learned(home: Home, profile: str, proxy: str | None) -> bytes:
    """SHA-256 of the TLS key there, by a visit to the site."""
    curl = _prepared(f"https://{home.label}/", profile, proxy)
    curl.setopt(CurlOpt.CERTINFO, 1)
    error = await _perform(home, curl)
    found = _key_hash(curl)
    if found is None:
        raise _why(home, proxy, curl, error)
    curl.close()
    return found


async def _upgraded(home: Home, seen: bytes, profile: str, proxy: str | None) -> Curl | None:
    """The relay's protocol on a connection that runs on the key `seen`; None if it does not,
    and then nothing was said."""
    curl = _prepared(f"wss://{home.label}{caps.request_path(home, seen)}", profile, proxy)
    curl.setopt(CurlOpt.PINNEDPUBLICKEY, "sha256//" + base64.b64encode(seen).decode())
    curl.setopt(CurlOpt.HTTP_VERSION, _HTTP_1_1)
    curl.setopt(CurlOpt.WS_OPTIONS, _RAW)
    curl.setopt(CurlOpt.CONNECT_ONLY, _UPGRADE)
    error = await _perform(home, curl)
    if error is None:
        return curl
    if error.code == CurlECode.SSL_PINNEDPUBKEYNOTMATCH:
        curl.close()
        return None
    raise _why(home, proxy, curl, error)


def _prepared(url: str, profile: str, proxy: str | None) -> Curl:
    """A handle of its own, with nothing from the environment: no proxy, no cookies, no sessions."""
    curl = Curl()
    if curl.impersonate(profile):
        raise ValueError(f"libcurl cannot look like {profile}")
    curl.setopt(CurlOpt.URL, url)
    curl.setopt(CurlOpt.SSL_VERIFYPEER, 0)
    curl.setopt(CurlOpt.SSL_VERIFYHOST, 0)
    curl.setopt(CurlOpt.NOSIGNAL, 1)
    curl.setopt(CurlOpt.TIMEOUT_MS, int(CONNECT_SECONDS * 1000))
    curl.setopt(CurlOpt.WRITEDATA, _Nowhere())
    # Names are never looked up here, whatever the scheme says.
    found = dial.check_proxy(proxy).replace("socks5://", "socks5h://", 1) if proxy else ""
    curl.setopt(CurlOpt.PROXY, found)
    curl.setopt(CurlOpt.NOPROXY, "")
    return curl


class _Nowhere:
    def write(self, data: bytes) -> None:
        """The page is of no interest."""


async def _perform(home: Home, curl: Curl) -> CurlError | None:
    """Let libcurl work in a thread, which ends by itself if nobody waits for it any more."""
    await dial._turn(home)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[CurlError | None] = loop.create_future()

    def tell(error: CurlError | None) -> None:
        if not done.done():
            done.set_result(error)

    def work() -> None:
        failed = None
        try:
            curl.perform()
        except CurlError as error:
            failed = error
        try:
            loop.call_soon_threadsafe(tell, failed)
        except RuntimeError:
            pass  # the loop is over

    threading.Thread(target=work, name="a browser's handshake", daemon=True).start()
    return await done


def _key_hash(curl: Curl) -> bytes | None:
    """SHA-256 of the key in the peer's own certificate, the first of its chain. curl_cffi takes
    this answer for a list, which it is not: { int count; struct curl_slist **certificates; }."""
    answer = ffi.new("void **")
    if lib.curl_easy_getinfo(curl._curl, CurlInfo.CERTINFO, answer) or answer[0] == ffi.NULL:
        return None
    if ffi.cast("int *", answer[0])[0] < 1:
        return None
    line = ffi.cast("struct curl_slist ***", answer[0])[1][0]
    while line != ffi.NULL:
        text = ffi.string(line.data)
        if text.startswith(b"Cert:"):
            key = x509.load_pem_x509_certificate(text[5:]).public_key()
            spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return hashlib.sha256(spki).digest()
        line = line.next
    return None


def _why(home: Home, proxy: str | None, curl: Curl, error: CurlError | None) -> Unreachable:
    """What libcurl's failure means; closes the handle."""
    system = curl.getinfo(CurlInfo.OS_ERRNO)
    socks = curl.getinfo(_PROXY_ERROR)  # type: ignore[arg-type]
    tunnel = curl.getinfo(CurlInfo.HTTP_CONNECTCODE)
    secured = curl.getinfo(CurlInfo.APPCONNECT_TIME_T)
    curl.close()
    code = error.code if error is not None else CurlECode.OK
    label, refused = home.label, code == CurlECode.COULDNT_CONNECT and system == errno.ECONNREFUSED
    if code == CurlECode.OPERATION_TIMEDOUT:
        return _late(home)
    if isinstance(tunnel, int) and tunnel >= 300:
        return Unreachable("connect", f"{label} cannot be reached by the proxy")
    if code == CurlECode.COULDNT_RESOLVE_PROXY or (proxy and code == CurlECode.COULDNT_CONNECT):
        return Unreachable("proxy", "the proxy cannot be reached")
    if code == CurlECode.COULDNT_RESOLVE_HOST or socks == _SOCKS_NOT_FOUND:
        return Unreachable("dns", f"the name {home.host} was not found")
    if refused or socks == _SOCKS_REFUSED:
        return Unreachable("refused", f"{label} answers, but no relay is running there now")
    if code == CurlECode.PROXY:
        return Unreachable("connect", f"{label} cannot be reached by the proxy")
    if code == CurlECode.COULDNT_CONNECT:
        text = os.strerror(system).lower() if isinstance(system, int) and system else "no answer"
        return Unreachable("connect", f"{label} cannot be reached: {text}")
    if code in (CurlECode.HTTP_RETURNED_ERROR, CurlECode.WEIRD_SERVER_REPLY):
        return Unreachable("upgrade", f"{label} is a website, or this address of it was withdrawn")
    if secured:
        return Unreachable("closed", f"{label} closed the connection")
    return Unreachable("tls", "the connection was cut while it was being set up")


def _late(home: Home) -> Unreachable:
    return Unreachable("timeout", f"{home.label} did not answer in time")
