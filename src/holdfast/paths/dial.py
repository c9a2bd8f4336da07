"""A TLS connection to a relay's machine: directly, or through a proxy.

A proxy is a URL: `socks5h://HOST:PORT` or `http://HOST:PORT` (CONNECT), with `USER:PASSWORD@` if it
asks for them. It is given the relay's name, so that nothing is looked up here, and it sees where
one connects to and nothing that is said. Source: RFC 1928, RFC 9110 section 9.3.6.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from OpenSSL import SSL
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from holdfast.core.caps import Home
from holdfast.paths import tls
from holdfast.paths.base import Attempt, Kind, Unreachable

SCHEMES: Final = ("socks5h", "socks5", "http")
AT_ONCE: Final = 3
"""Handshakes with one machine that begin within `WITHIN` seconds; with more, some networks drop
them all for minutes (decisions/2026-11-24-ladder.md)."""
WITHIN: Final = 4.0
SEGMENT: Final = 1_200
"""Bytes of TCP in a packet, where larger ones vanish."""
LOOKS: Final = (0.7, 0.8)
"""Seconds between looks whether they do."""
_SOCKS_NOT_FOUND: Final = 4
_SOCKS_REFUSED: Final = 5


def check_proxy(url: str) -> str:
    """The URL as it is to be used. Raises ValueError with a sentence."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in SCHEMES or not parts.hostname or not port:
        raise ValueError(
            "a proxy's address looks like socks5h://127.0.0.1:1080 or http://127.0.0.1:8080"
        )
    return url.strip()


class _Opening(asyncio.Protocol):
    """Waits for the end of the TLS handshake."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[tls.TlsTransport] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        assert isinstance(transport, tls.TlsTransport)
        transport.pause_reading()
        if not self.ready.done():
            self.ready.set_result(transport)

    def failed(self, why: str) -> None:
        """There was no handshake."""
        if not self.ready.done():
            kind: Kind = "mute" if why == tls.TOO_SLOW else "tls"
            self.ready.set_exception(Unreachable(kind, why))
            self.ready.exception()  # nobody may be waiting any more


async def secured(
    home: Home,
    proxy: str | None = None,
    attempt: Attempt | None = None,
    *,
    classic: bool = False,
    address: str | None = None,
    held: bool = False,
) -> tls.TlsTransport:
    """A connection whose handshake is done, paused, with no protocol yet. Nothing is checked:
    whose key it runs on is the caller's to find out. `address` is the machine's, if the name is
    not to be looked up; `held` as in `TlsLayer`. Raises `Unreachable`."""
    await _turn(home)
    attempt = attempt or Attempt()
    made = functools.partial(tls.TlsLayer, context(classic), server_name=home.host, held=held)
    opening = _Opening()
    layer = made(opening, failed=opening.failed)
    if proxy is not None:
        raw = await through(home, layer, proxy)
    else:
        raw = await _direct(home, layer, address or home.host)
    attempt.hangs = "mute"
    if proxy is None and await _vanishes(opening, raw):
        where = raw.get_extra_info("socket").family, raw.get_extra_info("peername")
        raw.abort()
        opening = _Opening()
        raw = await _in_small_pieces(home, made(opening, failed=opening.failed), *where)
    found = await _shaken(opening, raw)
    attempt.hangs = "timeout"
    return found


async def over(
    home: Home, raw: asyncio.Transport, serve: Callable[[asyncio.Protocol], None]
) -> tls.TlsTransport:
    """The same over a transport that is there; `serve` gives it its protocol."""
    opening = _Opening()
    layer = tls.TlsLayer(context(False), opening, server_name=home.host, failed=opening.failed)
    serve(layer)
    layer.connection_made(raw)
    return await _shaken(opening, raw)


async def _shaken(opening: _Opening, raw: asyncio.Transport) -> tls.TlsTransport:
    try:
        return await opening.ready
    except BaseException:
        raw.abort()
        raise


async def _vanishes(opening: _Opening, raw: asyncio.Transport) -> bool:
    """Whether a packet that is full is lost, again and again, while a smaller one behind it
    arrives: some are too large for a line on the way, and no router says so (RFC 2923)."""
    behind = 0
    try:
        for seconds in LOOKS:
            if opening.ready in (await asyncio.wait([opening.ready], timeout=seconds))[0]:
                return False
            behind = behind + 1 if _out_of_order(raw) else 0
    except BaseException:
        raw.abort()
        raise
    return behind == len(LOOKS)


def _out_of_order(raw: asyncio.Transport) -> bool:
    """Whether the other side has said that it got something, and not what comes before it."""
    return tls.tcp_info(raw, "=I", 28) > 0


async def _in_small_pieces(
    home: Home, layer: tls.TlsLayer, family: int, where: tuple[object, ...]
) -> asyncio.Transport:
    """A connection of which no packet is large, either way."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(family)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        await loop.sock_connect(sock, where)
        raw, _ = await loop.create_connection(lambda: layer, sock=sock)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise Unreachable("connect", f"{home.label} cannot be reached") from None
        raise
    return raw


_begun: dict[tuple[str, int], deque[float]] = {}


async def _turn(home: Home) -> None:
    """Wait until a handshake with this machine does not look like too many of them; on this
    machine itself nobody looks."""
    if home.host in ("127.0.0.1", "::1", "localhost"):
        return
    loop = asyncio.get_running_loop()
    begun = _begun.setdefault((home.host, home.port), deque(maxlen=AT_ONCE))
    now = loop.time()
    turn = max(now, begun[0] + WITHIN) if len(begun) == AT_ONCE else now
    begun.append(turn)
    await asyncio.sleep(turn - now)


@functools.cache
def context(classic: bool) -> SSL.Context:
    """One for all connections of a kind."""
    return tls.client_context(classic=classic)


async def _direct(home: Home, layer: tls.TlsLayer, address: str) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    try:
        raw, _ = await loop.create_connection(lambda: layer, address, home.port)
    except socket.gaierror:
        raise Unreachable("dns", f"the name {home.host} was not found") from None
    except ConnectionRefusedError:
        raise _refused(home) from None
    except OSError as error:
        why = error.strerror or "no answer"
        raise Unreachable("connect", f"{home.label} cannot be reached: {why.lower()}") from None
    return raw


def _refused(home: Home) -> Unreachable:
    return Unreachable("refused", f"{home.label} answers, but no relay is running there now")


async def through(home: Home, protocol: asyncio.Protocol, url: str) -> asyncio.Transport:
    """A plain connection to a relay's machine through a proxy. Raises `Unreachable`."""
    parts = urlsplit(check_proxy(url))
    # Names are never looked up here, whatever the scheme says: python-socks has it as `rdns`.
    plain = url.replace("socks5h://", "socks5://", 1)
    try:
        found = await Proxy.from_url(plain, rdns=True).connect(home.host, home.port)
    except (ProxyConnectionError, ProxyTimeoutError):
        where = f"{parts.hostname}:{parts.port}"
        raise Unreachable("proxy", f"the proxy {where} cannot be reached") from None
    except ProxyError as error:
        if error.error_code == _SOCKS_NOT_FOUND:
            raise Unreachable("dns", f"the name {home.host} was not found") from None
        if error.error_code == _SOCKS_REFUSED:
            raise _refused(home) from None
        raise Unreachable("connect", f"{home.label} cannot be reached by the proxy") from None
    except OSError as error:
        raise Unreachable("connect", f"{home.label} cannot be reached: {error}") from None
    raw, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=found)
    return raw
