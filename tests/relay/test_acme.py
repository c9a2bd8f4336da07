"""Certificates by ACME, from Debian's pebble."""

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import SSL
from pebble import Pebble, pebble

from holdfast.core.caps import Home
from holdfast.paths import websocket
from holdfast.paths.base import Channel, Handler
from holdfast.relay import acme, certificate
from holdfast.relay.acme import NotIssued, Renewer
from holdfast.relay.certificate import Authority, BadCertificate, check_name, due
from holdfast.relay.decoy import Folder
from holdfast.relay.front import Front
from holdfast.relay.program import run

NAME = "relay.example.org"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pebble]:
    monkeypatch.setattr(acme, "ASK_SECONDS", 0.1)
    with pebble(tmp_path, monkeypatch) as found:
        yield found


def nobody(channel: Channel, tls_key_hash: bytes, address: str) -> Handler:
    raise AssertionError("nobody knows a path")


class Relay:
    """A front that keeps its certificate."""

    def __init__(self, data: Path, directory: str) -> None:
        self.data = data
        data.mkdir()
        self.now = int(time.time() * 1000)
        own = certificate.load_or_make(data, NAME, self.now)
        self.front = Front(own, [], Folder(data), nobody)
        self.used: list[certificate.Certificate] = []
        self.said: list[str] = []
        self.renewer = Renewer(
            data,
            NAME,
            Authority("me@example.org", directory),
            challenge=self.front.challenge,
            use=self._use,
            now=lambda: self.now,
            tell=self.said.append,
        )

    def _use(self, found: certificate.Certificate) -> None:
        self.used.append(found)
        self.front.use(found)


@asynccontextmanager
async def relay(tmp_path: Path, found: Pebble, port: int | None = None) -> AsyncIterator[Relay]:
    made = Relay(tmp_path / "relay", found.directory)
    await made.front.listen("127.0.0.1", found.port if port is None else port)
    try:
        yield made
    finally:
        await made.front.close()


async def shown(port: int, alpn: list[bytes], name: str = NAME) -> tuple[x509.Certificate, bytes]:
    """The certificate and protocol that a client gets. Raises `SSL.Error`."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if alpn:
        context.set_alpn_protos(alpn)
    engine = SSL.Connection(context, None)
    engine.set_tlsext_host_name(name.encode())
    engine.set_connect_state()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            try:
                engine.do_handshake()
                found = engine.get_peer_certificate(as_cryptography=True)
                assert found is not None
                return found, engine.get_alpn_proto_negotiated()
            except SSL.WantReadError:
                writer.write(engine.bio_read(65_536))
                data = await reader.read(65_536)
                if not data:
                    raise SSL.Error("closed") from None
                engine.bio_write(data)
    finally:
        writer.transport.abort()


async def test_issued_shown_and_renewed_on_the_same_key(tmp_path: Path, authority: Pebble) -> None:
    async with relay(tmp_path, authority) as made:
        before = made.front.certificate
        first, _ = await shown(authority.port, [b"http/1.1"])
        assert first.issuer == first.subject  # its own, meanwhile
        task = asyncio.create_task(made.renewer.run())
        async with asyncio.timeout(60):
            while not made.said:
                await asyncio.sleep(0.05)
        issued, protocol = await shown(authority.port, [b"http/1.1"])
        assert "Pebble" in issued.issuer.rfc4514_string() and protocol == b"http/1.1"
        assert made.front.certificate.key_hash == before.key_hash
        assert NAME in made.said[0]
        assert (made.data / "acme.crt").read_bytes().count(b"BEGIN CERTIFICATE") >= 2
        for name in ("acme.key", "acme.crt", "tls.key"):
            assert stat.S_IMODE((made.data / name).stat().st_mode) == 0o600
        task.cancel()

        # After a restart it is there at once, and nobody is asked.
        again = certificate.held(made.data, NAME, made.now)
        assert again is not None and again.key_hash == before.key_hash
        assert not await made.renewer._is_due()

        # In the last third of its life there is another one, for the same key and account.
        account = (made.data / "acme.key").read_bytes()
        made.now = int(due(issued).timestamp() * 1000) + 1000
        assert await made.renewer._is_due()
        made.now = int(time.time() * 1000)
        renewed = await made.renewer.renew()
        assert renewed.key_hash == before.key_hash
        assert (made.data / "acme.key").read_bytes() == account
        made.front.use(renewed)
        later, _ = await shown(authority.port, [b"http/1.1"])
        assert later.serial_number != issued.serial_number


async def test_who_is_no_authority_is_shown_the_site_meanwhile(
    tmp_path: Path, authority: Pebble
) -> None:
    async with relay(tmp_path, authority) as made:
        own, _ = await shown(authority.port, [])
        with pytest.raises(SSL.Error):
            await shown(authority.port, [b"acme-tls/1"])
        made.front.challenge(acme._answer(NAME, b"d" * 32))
        for alpn in ([], [b"http/1.1"], [b"h2", b"http/1.1"]):
            assert (await shown(authority.port, alpn))[0] == own
        answer, protocol = await shown(authority.port, [b"acme-tls/1"])
        assert answer != own and protocol == b"acme-tls/1"
        extension = answer.extensions.get_extension_for_oid(acme._IDENTIFIER)
        assert extension.critical and extension.value.public_bytes() == b"\x04\x20" + b"d" * 32


async def test_a_name_that_leads_elsewhere_is_said_and_nothing_stops(
    tmp_path: Path, authority: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay(tmp_path, authority, port=0) as made:
        port = made.front._servers[0].sockets[0].getsockname()[1]
        waits: list[float] = []

        async def sleep(seconds: float, real=asyncio.sleep) -> None:
            if seconds > 100:
                waits.append(seconds)
                seconds = 0.01 if len(waits) < 2 else 1000
            await real(seconds)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        task = asyncio.create_task(made.renewer.run())
        async with asyncio.timeout(60):
            while len(waits) < 2:
                await sleep(0.05)
        task.cancel()
        assert waits == [3600, 7200]
        assert all("the authority looked and says" in text for text in made.said)
        assert "goes on with" in made.said[0] and "again in 1 h" in made.said[0]
        own, _ = await shown(port, [])
        assert own.issuer == own.subject and not (made.data / "acme.crt").exists()


@pytest.mark.parametrize("kind", ["nobody", "another", "stranger"])
async def test_an_authority_that_is_none(
    tmp_path: Path, authority: Pebble, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Relay(tmp_path / "relay", authority.directory)
    if kind == "nobody":
        made.renewer._authority = Authority("", "https://127.0.0.1:1/dir")
    elif kind == "another":
        made.renewer._authority = Authority("", authority.directory.replace("/dir", "/root"))
    else:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(NotIssued) as caught:
        await made.renewer.renew()
    words = {"nobody": "cannot be reached", "another": "", "stranger": "not to be believed"}
    assert words[kind] in str(caught.value)


async def test_the_whole_relay(tmp_path: Path, authority: Pebble) -> None:
    """As its operator starts it; a node's connection lasts over the change of certificate."""
    stop = asyncio.Event()
    said: asyncio.Queue[str] = asyncio.Queue()
    asked = Authority("", authority.directory)
    listen = ("127.0.0.1", authority.port)
    advertise = f"{NAME}:{authority.port}"
    work = run(
        tmp_path / "r", listen, advertise=advertise, acme=asked, say=said.put_nowait, stop=stop
    )
    task = asyncio.create_task(work)
    home = Home.parse(await said.get())
    there = Home("127.0.0.1", authority.port, home.path_secret, home.pin)
    before = await websocket.connect(there, Heard())
    async with asyncio.timeout(60):
        while (found := await shown(authority.port, []))[0].issuer == found[0].subject:
            await asyncio.sleep(0.1)
    after = await websocket.connect(there, Heard())
    assert not before.handler.over and not after.handler.over  # type: ignore[attr-defined]
    before.close()
    after.close()
    stop.set()
    await task


class Heard:
    over = ""

    def on_frame(self, frame: bytes) -> None: ...

    def on_live(self, frame: bytes) -> None: ...

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None:
        self.over = reason


def test_names_for_which_there_are_certificates() -> None:
    assert check_name("Relay.Example.org") == NAME
    assert check_name("почта.рф") == "xn--80a1acny.xn--p1ai"
    for name in ("127.0.0.1", "::1", "localhost", "", "a b.org", "-a.org", "x" * 64 + ".org"):
        with pytest.raises(BadCertificate, match="--advertise"):
            check_name(name)
