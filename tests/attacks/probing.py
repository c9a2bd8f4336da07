"""An active prober: asks two ports the same, whatever it is, and tells what they do differently.

A probe is what somebody sends; what is seen of the answer is everything but the date: TLS records
and alerts, status line, headers in their order, body, how the connection ends, and whether that was
at once or only after somebody's patience was over. A difference counts if it shows every time: one
run of a server differs from the next by chance, too.
"""

from __future__ import annotations

import asyncio
import random
import re
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

_lib = Binding.lib
TRIES = 8
AT_ONCE = 40
PATIENCE = 2.0
"""Of the servers that are compared, for everything, in seconds; common ones have 60 or 75."""
END = 30.0
HOST = "relay.example.org"
Seen = tuple[Any, ...]


@dataclass(frozen=True)
class Probe:
    """`run` is given a port."""

    name: str
    run: Callable[[int], Awaitable[Seen]]


@dataclass(frozen=True)
class Difference:
    name: str
    one: Seen
    other: Seen


def whole(probe: Probe, seen: Seen) -> Seen:
    """All that was seen counts."""
    return seen


def but_goodbyes(probe: Probe, seen: Seen) -> Seen:
    """Without how a connection ends that waited for somebody's patience, or that the client had
    ended: whether TLS says goodbye then, a server decides by what it had read so far."""
    if len(seen) == 4 and isinstance(seen[0], bytes):
        answer, first, _, at = seen
        if ", then an end" in probe.name:
            return answer, first
        if at == "late":
            return answer, first, at
    return seen


async def compare(
    probes: Iterable[Probe],
    one: int,
    other: int,
    tries: int = TRIES,
    count: Callable[[Probe, Seen], Seen] = whole,
) -> list[Difference]:
    """What two ports do differently every time; `count` leaves out what does not count."""

    async def both(probe: Probe) -> tuple[Seen, Seen]:
        a, b = await asyncio.gather(probe.run(one), probe.run(other))
        return count(probe, a), count(probe, b)

    turns = asyncio.Semaphore(AT_ONCE)

    async def first(probe: Probe) -> Probe | None:
        async with turns:
            a, b = await both(probe)
            return probe if a != b else None

    suspects = [p for p in await asyncio.gather(*map(first, probes)) if p is not None]
    turns = asyncio.Semaphore(4)

    async def again(probe: Probe) -> Difference | None:
        async with turns:
            a: Seen = ()
            b: Seen = ()
            for _ in range(max(1, tries - 1)):
                a, b = await both(probe)
                if a == b:
                    return None
            return Difference(probe.name, a, b)

    return [d for d in await asyncio.gather(*map(again, suspects)) if d is not None]


# Connections.


class Line:
    """One TCP connection whose end and times are noted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.end = ""

    @classmethod
    async def open(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def read(self) -> bytes:
        """More, or nothing at the end."""
        try:
            async with asyncio.timeout(END):
                data = await self.reader.read(65_536)
        except TimeoutError:
            self.end = "never"
            return b""
        except OSError:
            data = b""
        if not data:
            self.end = self.end or "closed"
        return data

    def write(self, data: bytes) -> None:
        if not self.writer.transport.is_closing():
            self.writer.write(data)

    def close(self) -> None:
        self.writer.transport.abort()


def when(began: float) -> str:
    """At once, or after somebody's patience was over."""
    return "at once" if asyncio.get_running_loop().time() - began < PATIENCE / 2 else "late"


def records(data: bytes) -> list[tuple[int, bytes]]:
    """TLS records; the rest, if it is none, with type -1."""
    found = []
    while len(data) >= 5 and 20 <= data[0] <= 24:
        size = int.from_bytes(data[3:5], "big")
        found.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return [*found, (-1, data)] if data else found


def hello_of(data: bytes) -> Seen:
    """What a ServerHello or HelloRetryRequest says, in its order."""
    at = 4 + 2 + 32
    random_, session = data[6:38], data[at]
    at += 1 + session
    cipher, compression = struct.unpack_from(">HB", data, at)
    at += 3
    extensions = []
    if at + 2 <= len(data):
        at += 2
        while at + 4 <= len(data):
            kind, size = struct.unpack_from(">HH", data, at)
            value = data[at + 4 : at + 4 + size]
            # Of a key share, the group; of what else there is, all.
            extensions.append((kind, value[:2] if kind == 51 else value))
            at += 4 + size
    retry = random_[:4] == b"\xcf\x21\xad\x74"
    return ("retry" if retry else "hello", data[4:6], session, cipher, compression, *extensions)


def shown(data: bytes) -> Seen:
    """The beginning of a server's first flight, without what is drawn by lot."""
    seen: list[Any] = []
    for kind, body in records(data):
        if kind == 22 and body[:1] == b"\x02" and len(body) > 44:
            seen.append(hello_of(body))
            size = 4 + int.from_bytes(body[1:4], "big")
            rest = body[size:]
            while rest:
                seen.append((rest[0], rest[4:7] if rest[0] == 12 else b""))
                rest = rest[4 + int.from_bytes(rest[1:4], "big") :]
        elif kind == 22:
            seen.append((body[:1], body[4:7] if body[:1] == b"\x0c" else b""))
        elif kind == 23:
            if seen[-1:] != ["sealed"]:
                seen.append("sealed")
        else:
            seen.append((kind, dateless(body)))
    return tuple(seen)


def dateless(answer: bytes) -> bytes:
    """Without the date, and the number that nginx gives to every answer in parts."""
    answer = re.sub(rb"\d{20}", b"", answer)
    return re.sub(rb"(?i)\r\ndate: [^\r]*\r\n", b"\r\nDate:\r\n", answer)


async def raw(port: int, pieces: list[bytes], pause: float = 0.02, eof: bool = False) -> Seen:
    """Send bytes as they are; what comes, as TLS."""
    line = await Line.open(port)
    loop = asyncio.get_running_loop()
    for piece in pieces:
        line.write(piece)
        await asyncio.sleep(pause if len(pieces) > 1 else 0)
    began = loop.time()
    if eof and not line.writer.transport.is_closing():
        try:
            line.writer.write_eof()
        except OSError:
            pass
    answer = b""
    while data := await line.read():
        answer += data
    line.close()
    return shown(answer), line.end, when(began)


class Client:
    """TLS over a line, record by record."""

    def __init__(self, line: Line, context: SSL.Context, session: Any = None) -> None:
        self.line = line
        self.engine = SSL.Connection(context, None)
        self.engine.set_tlsext_host_name(HOST.encode())
        if session is not None:
            self.engine.set_session(session)
        self.engine.set_connect_state()
        self.silent = 0
        """Records that came behind the handshake and were no data: session tickets."""
        self.sent = b""
        """Everything that went over the wire."""
        self._held = b""

    def flush(self) -> None:
        while True:
            try:
                data = self.engine.bio_read(65_536)
            except SSL.WantReadError:
                return
            self.sent += data
            self.line.write(data)

    async def _record(self) -> bool:
        """Give the engine one more record; whether there was one."""
        while True:
            size = 5 + int.from_bytes(self._held[3:5], "big")
            if len(self._held) >= 5 and len(self._held) >= size:
                self.engine.bio_write(self._held[:size])
                self._held = self._held[size:]
                return True
            data = await self.line.read()
            if not data:
                return False
            self._held += data

    async def shake_hands(self) -> str:
        """An empty string, or why not."""
        while True:
            try:
                self.engine.do_handshake()
            except SSL.WantReadError:
                self.flush()
                if not await self._record():
                    return self.line.end
            except SSL.Error as error:
                self.flush()
                return repr([reason[-1] for reason in error.args[0]] if error.args else error)
            else:
                self.flush()
                return ""

    def write(self, data: bytes) -> None:
        try:
            self.engine.sendall(data)
        except SSL.Error:
            return
        self.flush()

    async def read(self) -> bytes:
        """More plain bytes, or nothing at the end."""
        while True:
            try:
                return self.engine.recv(65_536)
            except SSL.WantReadError:
                self.flush()
                if not await self._record():
                    return b""
                if self.silent >= 0:
                    self.silent += 1
            except SSL.ZeroReturnError:
                self.line.end = "said goodbye"
                return b""
            except SSL.Error:
                self.line.end = "broken"
                return b""


def context(
    protocols: list[bytes] | None = None, versions: tuple[int, int] = (0x303, 0x304)
) -> SSL.Context:
    found = SSL.Context(SSL.TLS_CLIENT_METHOD)
    found.set_verify(SSL.VERIFY_NONE)
    found.set_min_proto_version(versions[0])
    found.set_max_proto_version(versions[1])
    if protocols:
        found.set_alpn_protos(protocols)
    return found


PLAIN = [b"http/1.1"]


async def asked(
    port: int,
    pieces: list[bytes],
    *,
    pause: float = 0.02,
    eof: bool = False,
    protocols: list[bytes] | None = None,
) -> Seen:
    """What a request is answered; all of it, until the server ends the connection."""
    line = await Line.open(port)
    client = Client(line, context(protocols))
    why = await client.shake_hands()
    if why:
        line.close()
        return ("no handshake", why)
    for piece in pieces:
        client.write(piece)
        await asyncio.sleep(pause if len(pieces) > 1 else 0)
    began = asyncio.get_running_loop().time()
    if eof and not line.writer.transport.is_closing():
        try:
            line.writer.write_eof()
        except OSError:
            pass
    answer = b""
    first = ""
    while data := await client.read():
        first = first or when(began)
        answer += data
    line.close()
    return dateless(answer), first, line.end, when(began)


async def parameters(
    port: int, protocols: list[bytes] | None, versions: tuple[int, int] = (0x303, 0x304)
) -> Seen:
    """What TLS agrees on, the chain, tickets, and whether a session goes on."""
    seen: list[Any] = []
    session = None
    settings = context(protocols, versions)
    for _ in range(2):
        line = await Line.open(port)
        client = Client(line, settings, session)
        why = await client.shake_hands()
        if why:
            line.close()
            return ("no handshake", why)
        engine = client.engine
        chain = engine.get_peer_cert_chain(as_cryptography=True) or []
        client.silent = 0
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.read()
        seen.append(
            (
                engine.get_protocol_version_name(),
                engine.get_cipher_name(),
                engine.get_alpn_proto_negotiated(),
                tuple(one.public_bytes(Encoding.DER) for one in chain),
                client.silent,
                bool(_lib.SSL_session_reused(engine._ssl)),  # type: ignore[attr-defined]
            )
        )
        session = engine.get_session()
        line.close()
    return tuple(seen)


# Probes.


def client_hello(
    dice: random.Random,
    *,
    ciphers: list[int] | None = None,
    groups: list[int] | None = None,
    versions: list[int] | None = None,
    protocols: list[bytes] | None = None,
    legacy: int = 0x303,
    record: int = 0x301,
    extra: list[tuple[int, bytes]] | None = None,
    session: int = 32,
) -> bytes:
    """A ClientHello without key shares, so that a server says which group it wants."""
    ciphers = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C] if ciphers is None else ciphers
    groups = [0x001D, 0x0017, 0x0018] if groups is None else groups

    def listed(values: list[int], width: int = 2) -> bytes:
        body = b"".join(value.to_bytes(2, "big") for value in values)
        return len(body).to_bytes(width, "big") + body

    extensions = [
        (0, b"\x00" + listed_bytes(HOST.encode())),
        (10, listed(groups)),
        (11, b"\x01\x00"),
        (13, listed([0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501])),
        (35, b""),
    ]
    extensions[0] = (0, len(extensions[0][1]).to_bytes(2, "big") + extensions[0][1])
    if versions:
        extensions += [(43, listed(versions, 1)), (45, b"\x01\x01"), (51, b"\x00\x00")]
    if protocols is not None:
        body = b"".join(bytes([len(one)]) + one for one in protocols)
        extensions.append((16, len(body).to_bytes(2, "big") + body))
    extensions += extra or []
    packed = b"".join(
        kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        for kind, value in extensions
    )
    body = legacy.to_bytes(2, "big") + dice.randbytes(32)
    body += bytes([session]) + dice.randbytes(session)
    body += listed(ciphers) + b"\x01\x00" + len(packed).to_bytes(2, "big") + packed
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16" + record.to_bytes(2, "big") + len(message).to_bytes(2, "big") + message


def listed_bytes(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


CIPHERS = [
    0x1301, 0x1302, 0x1303, 0x1304, 0x1305,
    0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0xC023, 0xC024,
    0xC027, 0xC028, 0xC0AC, 0xC0AD, 0xC0AE, 0xC0AF, 0xC05C, 0xC05D, 0xC072, 0xC073,
    0x009C, 0x009D, 0x002F, 0x0035, 0x003C, 0x003D, 0x000A, 0x0005, 0x0067, 0x006B, 0x009E, 0x009F,
    0xCCAA, 0x0033, 0x0039, 0x00A8, 0x00FF, 0xC006, 0x0000,
]  # fmt: skip
GROUPS = [0x001D, 0x0017, 0x0018, 0x0019, 0x001E, 0x0100, 0x0101, 0x0016, 0x0009, 0x4242]
NEWER_GROUPS = [0x11EC, 0x11EB, 0x11ED, 0x0200, 0x0201, 0x0202]
"""ML-KEM, alone and with a curve."""


def hellos(dice: random.Random, groups: list[int]) -> list[Probe]:
    """TLS as it is offered in many ways, one parameter at a time."""
    both, new, old = [0x304, 0x303], [0x304], None
    made: list[tuple[str, bytes]] = []

    def add(name: str, **settings: Any) -> None:
        made.append((name, client_hello(dice, **settings)))

    for group in groups:
        add(f"group {group:x}", groups=[group], versions=new)
        add(f"group {group:x} in 1.2", groups=[group], versions=old)
    add("all groups", groups=groups, versions=new)
    add("all groups backwards", groups=groups[::-1], versions=new)
    add("no groups", groups=[], versions=new)
    for cipher in CIPHERS:
        add(f"cipher {cipher:x}", ciphers=[cipher], versions=new if cipher >> 8 == 0x13 else old)
    for versions in (both, new, old):
        for ciphers in (CIPHERS, CIPHERS[::-1]):
            add("all ciphers", ciphers=ciphers, versions=versions)
    for version in (0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x7F1C, 0x0A0A, 0x0002):
        add(f"version {version:x}", versions=[version])
        add(f"legacy {version:x}", legacy=version)
        add(f"record {version:x}", record=version, versions=both)
    for protocols in (
        [], [b"h2"], [b"h2", b"http/1.1"], [b"http/1.1", b"h2"], [b"http/1.0"], [b"http/0.9"],
        [b"acme-tls/1"], [b"acme-tls/1", b"http/1.1"], [b"spdy/3"], [b""], [b"x" * 255], [b"h3"],
    ):  # fmt: skip
        add(f"alpn {protocols}", protocols=protocols, versions=new)
        add(f"alpn {protocols} in 1.2", protocols=protocols, versions=old)
    extras = [
        (5, b"\x01\0\0\0\0"), (18, b""), (22, b""), (23, b""), (49, b""), (21, b"\0" * 100),
        (13172, b""), (17513, b"\0\x03\x02h2"), (0xFF01, b"\0"), (0xFF01, b"\x01x"), (15, b"\x01"),
        (1, b"\x01"), (28, b"\x40\x01"), (0xFE0D, b"\0" * 40), (44, b"\0\x02xx"), (0, b"\0\0"),
        (42, b""), (27, b"\x02\0\x02"), (0x0A0A, b""), (41, b"\0" * 8),
    ]  # fmt: skip
    for extra in extras:
        add(f"extension {extra}", extra=[extra], versions=new)
        add(f"extension {extra} in 1.2", extra=[extra], versions=old)
    for session in (0, 1, 31, 33):
        add(f"session {session}", session=session, versions=both)
    return [Probe(f"hello: {name}", sends([data])) for name, data in made]


def sends(pieces: list[bytes], eof: bool = False) -> Callable[[int], Awaitable[Seen]]:
    return lambda port: raw(port, pieces, eof=eof)


def asks(
    pieces: list[bytes], eof: bool = False, pause: float = 0.02
) -> Callable[[int], Awaitable[Seen]]:
    return lambda port: asked(port, pieces, eof=eof, pause=pause, protocols=PLAIN)


def garbage(dice: random.Random, count: int) -> list[Probe]:
    """No TLS at all, half of it, or damaged."""
    hello = client_hello(dice, versions=[0x304, 0x303])
    made: list[tuple[str, list[bytes]]] = [
        ("nothing", [b""]),
        ("one byte", [b"\x16"]),
        ("half a hello", [hello[:60]]),
        ("a hello byte by byte", [bytes([byte]) for byte in hello]),
        ("a hello twice", [hello + hello]),
        ("a hello and silence", [hello]),
        ("a hello and data", [hello + b"\x17\x03\x03\x00\x20" + dice.randbytes(32)]),
        ("an alert", [b"\x15\x03\x01\x00\x02\x01\x00"]),
        ("a heartbeat", [b"\x18\x03\x02\x00\x03\x01\x40\x00"]),
        ("plain http", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]),
        ("plain http 1.0", [b"GET / HTTP/1.0\r\n\r\n"]),
        ("half of plain http", [b"GET / HT"]),
        ("plain nonsense", [b"\0\0\0\0\r\n\r\n"]),
        ("ssh", [b"SSH-2.0-OpenSSH_9.6\r\n"]),
        ("smtp", [b"EHLO a\r\n"]),
        ("socks", [b"\x05\x01\x00"]),
        ("proxy protocol", [b"PROXY TCP4 1.2.3.4 1.2.3.4 1 443\r\n" + hello]),
        ("ssl2", [b"\x80\x2e\x01\x03\x01" + dice.randbytes(44)]),
        ("h2c", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]),
        ("a long record", [b"\x16\x03\x01\xff\xff" + dice.randbytes(2_000)]),
        ("an empty record", [b"\x16\x03\x01\x00\x00"]),
    ]
    for number in range(count):
        kind = dice.randrange(4)
        if kind == 0:
            data = dice.randbytes(dice.randrange(1, 400))
        elif kind == 1:
            data = bytes([0x16, 3, dice.randrange(5)]) + listed_bytes(
                dice.randbytes(dice.randrange(300))
            )
        else:
            body = bytearray(hello)
            for _ in range(dice.randrange(1, 4)):
                body[dice.randrange(5 if kind == 2 else 0, len(body))] = dice.randrange(256)
            data = bytes(body)
        made.append((f"fuzz {number} {data.hex()[:80]}", [data]))
    return [Probe(f"raw: {name}", sends(pieces)) for name, pieces in made] + [
        Probe(f"raw, then an end: {name}", sends(pieces, eof=True)) for name, pieces in made[:21]
    ]


LATER = "Fri, 01 Jan 2038 00:00:00 GMT"
UPGRADE = (
    "{method} {path} HTTP/1.1\r\nHost: relay.example.org\r\nConnection: Upgrade, close\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def requests(dice: random.Random, secrets: list[str], others: list[str]) -> list[Probe]:
    """HTTP, right and wrong. `secrets` are the true paths: what is asked is not them, but what is
    like them, and `others`, which are paths of other relays."""
    made: list[tuple[str, list[bytes]]] = []

    def add(name: str, text: str | bytes, *more: bytes) -> None:
        data = text.encode("latin-1") if isinstance(text, str) else text
        made.append((name, [data, *more]))

    close = "Host: relay.example.org\r\nConnection: close\r\n\r\n"
    wrong = list(others)
    for secret in secrets:
        other = "A" if secret[-1] != "A" else "B"
        wrong += [
            secret[:-1], secret + "x", secret[:-1] + other, secret.lower(), secret + "/",
            secret + "?a", "/" + secret, secret.replace("/", "/%2f", 1), "/x" + secret,
            "/" + "A" * (len(secret) - 1), secret[: len(secret) // 2], secret + "%00",
            secret + "#x", "http://relay.example.org" + secret + "x",
        ]  # fmt: skip
    paths = ["/", "/index.html", "/nothing", "/sub", "/sub/", "/.hidden", "/../x", "/%2e%2e/x", "*"]
    paths += [
        "/style.css",
        "/a%00b",
        "/%ff",
        "//",
        "/?q=1",
        "http://relay.example.org/",
        "/" + "x" * 3000,
    ]
    for path in paths + wrong:
        for method in ("GET", "HEAD", "POST"):
            add(f"{method} {path[:60]}", f"{method} {path} HTTP/1.1\r\n{close}")
        add(f"upgrade {path[:60]}", UPGRADE.format(method="GET", path=path))
    for method in (
        "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "get", "G@T", "X" * 40,
        "ERROR", "PRI",
    ):  # fmt: skip
        for path in ("/", wrong[2], "relay.example.org:443"):
            add(f"{method} {path[:60]}", f"{method} {path} HTTP/1.1\r\n{close}")
    for path in ("/", *wrong[:3], wrong[-3]):
        body = dice.randbytes(35)
        head = f"POST {path} HTTP/1.1\r\nHost: relay.example.org\r\nConnection: close\r\n"
        length = f"{head}Content-Length: 35\r\n\r\n".encode("latin-1")
        add(f"an exchange {path[:40]}", length + body)
        add(f"half an exchange {path[:40]}", length + body[:20])
        add(f"an exchange in pieces {path[:40]}", length, body[:10], body[10:])
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode("latin-1")
        add(f"an exchange in chunks {path[:40]}", chunked + b"23\r\n" + body + b"\r\n0\r\n\r\n")
        add(f"a bad chunk {path[:40]}", chunked + b"zz\r\n" + body)
        add(
            f"expect {path[:40]}", f"{head}Expect: 100-continue\r\nContent-Length: 35\r\n\r\n", body
        )
        add(f"a long exchange {path[:40]}", f"{head}Content-Length: 99999999\r\n\r\n")
        add(
            f"both lengths {path[:40]}",
            f"{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        add(f"two lengths {path[:40]}", f"{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
        add(f"a negative length {path[:40]}", f"{head}Content-Length: -1\r\n\r\n")
        add(
            f"100 KB {path[:40]}", f"{head}Content-Length: 100000\r\n\r\n".encode() + b"x" * 100_000
        )
    for path in ("/", wrong[2]):
        right = UPGRADE.format(method="GET", path=path)
        add(f"upgrade by POST {path[:40]}", UPGRADE.format(method="POST", path=path))
        add(f"version 8 {path[:40]}", right.replace("Version: 13", "Version: 8"))
        add(f"short key {path[:40]}", right.replace("AAAA==", "AA=="))
        add(f"h2c {path[:40]}", right.replace("websocket", "h2c"))
        add(f"upgrade and frames {path[:40]}", right.encode() + b"\x82\x85" + dice.randbytes(9))
        add(f"upgrade in pieces {path[:40]}", right[:30], right[30:].encode())
    ways = [
        ("http/1.0", "GET / HTTP/1.0\r\n\r\n"),
        ("http/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        ("http/0.9", "GET /\r\n"),
        ("http/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        ("http/1.2", f"GET / HTTP/1.2\r\n{close}"),
        ("http/9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
        ("no version", "GET / \r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("bad host", "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"),
        ("bare newlines", f"GET / HTTP/1.1\n{close}".replace("\r", "")),
        ("leading newlines", f"\r\n\r\nGET / HTTP/1.1\r\n{close}"),
        ("space before colon", f"GET / HTTP/1.1\r\nA : b\r\n{close}"),
        ("folded header", f"GET / HTTP/1.1\r\nA: b\r\n c\r\n{close}"),
        ("nul in header", f"GET / HTTP/1.1\r\nA: \0\r\n{close}"),
        ("no colon", f"GET / HTTP/1.1\r\nnonsense\r\n{close}"),
        ("underscore", f"GET / HTTP/1.1\r\nA_b: c\r\n{close}"),
        ("long header", f"GET / HTTP/1.1\r\nA: {'x' * 7_000}\r\n{close}"),
        ("longer header", f"GET / HTTP/1.1\r\nA: {'x' * 20_000}\r\n{close}"),
        ("longest header", f"GET / HTTP/1.1\r\nA: {'x' * 70_000}\r\n{close}"),
        ("many headers", "GET / HTTP/1.1\r\n" + "A: b\r\n" * 500 + close),
        ("most headers", "GET / HTTP/1.1\r\n" + "A: b\r\n" * 5_000 + close),
        ("long line", f"GET /{'x' * 20_000} HTTP/1.1\r\n{close}"),
        ("garbage", "\0\1\2\3\r\n\r\n"),
        ("garbage without end", "\0\1\2\3"),
        ("tls in tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("socks", "\x05\x01\x00"),
        ("ssh", "SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("nothing", ""),
        ("a byte", "G"),
        ("half a line", "GET / HT"),
        ("half a head", "GET / HTTP/1.1\r\nHost: a\r\n"),
        ("half a secret", f"GET {secrets[0][:8]}"),
        ("keep alive", "GET / HTTP/1.1\r\nHost: relay.example.org\r\n\r\n"),
        ("range", f"GET / HTTP/1.1\r\nRange: bytes=0-3\r\n{close}"),
        ("ranges", f"GET / HTTP/1.1\r\nRange: bytes=0-3,5-6\r\n{close}"),
        ("bad range", f"GET / HTTP/1.1\r\nRange: bytes=9999-\r\n{close}"),
        ("if none match", f"GET / HTTP/1.1\r\nIf-None-Match: *\r\n{close}"),
        ("modified", f"GET / HTTP/1.1\r\nIf-Modified-Since: {LATER}\r\n{close}"),
        ("gzip", f"GET / HTTP/1.1\r\nAccept-Encoding: gzip, br\r\n{close}"),
        ("te", f"GET / HTTP/1.1\r\nTE: trailers\r\n{close}"),
        ("body on get", f"GET / HTTP/1.1\r\nContent-Length: 3\r\n{close}abc"),
    ]  # fmt: skip
    for name, text in ways:
        add(name, text)
    page = "GET {} HTTP/1.1\r\nHost: relay.example.org\r\n\r\n"
    last = f"GET /nothing HTTP/1.1\r\n{close}"
    add("pipelined", page.format("/") * 3 + last)
    add("pipelined with a wrong path", page.format("/") + page.format(wrong[2]) + last)
    add(
        "pipelined with an upgrade",
        page.format("/") + UPGRADE.format(method="GET", path=wrong[2]) + last,
    )
    add("pipelined with garbage", page.format("/") + "\0\0\r\n\r\n")
    add("one after the other", page.format("/"), page.format(wrong[2]).encode(), last.encode())
    slow = [bytes([byte]) for byte in f"GET / HTTP/1.1\r\n{close}".encode()]
    probes = [Probe(f"http: {name}", asks(pieces)) for name, pieces in made]
    probes += [
        Probe(f"http, then an end: {name}", asks(pieces, eof=True)) for name, pieces in made[::9]
    ]
    probes.append(Probe("http: byte by byte", asks(slow, pause=0.001)))
    probes.append(Probe("http: too slowly", asks(slow, pause=PATIENCE / 20)))
    return probes


def known(secrets: list[str]) -> list[Probe]:
    """The true paths, and something wrong about everything else."""
    socket, exchange = secrets
    made = [UPGRADE.format(method=method, path=socket) for method in ("POST", "HEAD", "PUT")]
    right = UPGRADE.format(method="GET", path=socket)
    made += [right.replace("Version: 13", "Version: 8"), right.replace("AAAA==", "AA==")]
    made += [right.replace("Upgrade: websocket", "Upgrade: h2c"), right.replace("/1.1", "/1.0", 1)]
    made += [UPGRADE.format(method="GET", path=exchange)]
    for path in secrets:
        for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT"):
            made.append(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head = "POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}"
    for body in ("x", "x" * 34, "x" * 35, "\0" * 36 + "x" * 40_000, "x" * 70_000):
        made += [head.format(path, len(body), body) for path in secrets]
    made.append(head.format(exchange, 35, "short"))
    return [Probe(f"known: {text[:60]!r}", asks([text.encode("latin-1")])) for text in made]


def second(dice: random.Random) -> list[Probe]:
    """HTTP/2, right and wrong."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
        return (
            len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body
        )

    settings = frame(4, 0, 0)
    page = b"\x82\x87\x84\x41" + bytes([len(HOST)]) + HOST.encode()
    goodbye = frame(7, 0, 0, bytes(8))
    made = [
        ("the preface", preface),
        ("a page", preface + settings + frame(1, 5, 1, page) + goodbye),
        ("two pages", preface + settings + frame(1, 5, 1, page) + frame(1, 5, 3, page) + goodbye),
        ("an even stream", preface + settings + frame(1, 5, 2, page)),
        ("no settings", preface + frame(1, 5, 1, page)),
        ("bad settings", preface + frame(4, 0, 0, b"x")),
        ("a bad header", preface + settings + frame(1, 5, 1, b"\xff" * 9)),
        ("a ping", preface + settings + frame(6, 0, 0, b"12345678") + goodbye),
        ("unknown", preface + settings + frame(99, 0, 0, b"12345678") + goodbye),
        ("too long", preface + settings + b"\xff\xff\xff\0\0\0\0\0\0"),
        ("http/1.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("garbage", dice.randbytes(100)),
        ("garbage behind", preface + settings + dice.randbytes(100)),
    ]

    def ask(data: bytes) -> Callable[[int], Awaitable[Seen]]:
        return lambda port: asked(port, [data], protocols=[b"h2", b"http/1.1"])

    return [Probe(f"h2: {name}", ask(data)) for name, data in made]


def fuzzed(dice: random.Random, secrets: list[str], count: int) -> list[Probe]:
    """Requests with deterministic damage."""
    probes = []
    seeds = [
        UPGRADE.format(method="GET", path=secrets[0][:-1] + "_"),
        "GET / HTTP/1.1\r\nHost: relay.example.org\r\nConnection: close\r\n\r\n",
        f"POST {secrets[-1][:-1]}_ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        "GET /sub HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nConnection: close\r\n\r\n",
    ]
    for number in range(count):
        data = bytearray(dice.choice(seeds).encode())
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data))
            match dice.randrange(4):
                case 0:
                    data[at] = dice.randrange(256)
                case 1:
                    del data[at : at + dice.randrange(1, 20)]
                case 2:
                    data[at:at] = dice.randbytes(dice.randrange(1, 20))
                case _:
                    start = dice.randrange(len(data))
                    data[at:at] = data[start : start + dice.randrange(1, 40)]
            if not data:
                data = bytearray(b"\r\n")
        pieces = [bytes(data)]
        if number % 3 == 0 and len(data) > 2:
            cut = dice.randrange(1, len(data))
            pieces = [bytes(data[:cut]), bytes(data[cut:])]
        probes.append(Probe(f"fuzz {number}: {bytes(data)[:100]!r}", asks(pieces)))
    return probes


def tls_parameters() -> list[Probe]:
    """Whole handshakes of a common client."""
    probes = []
    for protocols in (None, [b"http/1.1"], [b"h2", b"http/1.1"], [b"http/1.0"]):
        for versions in ((0x303, 0x303), (0x304, 0x304), (0x303, 0x304)):

            def run(port: int, p: Any = protocols, v: Any = versions) -> Awaitable[Seen]:
                return parameters(port, p, v)

            probes.append(Probe(f"tls {protocols} {versions}", run))
    return probes
