"""`holdfast relay`: its directory, the store, the port, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import json
import logging
import os
import re
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import apsw

from holdfast.core import wire
from holdfast.drive.http import Response
from holdfast.relay import between, certificate, watching
from holdfast.relay.admission import Admission, Rules
from holdfast.relay.decoy import Decoy, Folder, make_site
from holdfast.relay.directory import take_lock
from holdfast.relay.front import Front
from holdfast.relay.hub import Hub
from holdfast.relay.keys import RelayError, Secrets, address_of, now_ms, reachable
from holdfast.relay.limits import Doors, RelayLimits
from holdfast.relay.mesh import Mesh, Part
from holdfast.relay.session import Connection
from holdfast.relay.shards import Shards
from holdfast.relay.upstream import BadUpstream, Mirror, Web
from holdfast.store import whole
from holdfast.store.base import Shared, Store, StoreFailed
from holdfast.store.embedded import Embedded
from holdfast.store.shares import folder, share_out
from holdfast.store.upgrade import upgrade

if TYPE_CHECKING:
    from holdfast.paths.base import Channel, Handler
    from holdfast.paths.websocket import Accept

TICK_SECONDS: Final = 5
GOODBYE_SECONDS: Final = 0.2
"""For what is queued on connections to leave, when the relay stops."""
RELOAD_SECONDS: Final = 60.0
PROOFS: Final = 16


_log = logging.getLogger(__name__)


class Relay:
    """The relay without a port: gives every accepted channel its session."""

    def __init__(
        self,
        store: Store,
        keys: Secrets,
        limits: RelayLimits,
        clock: Callable[[], int],
        soon: Callable[[Callable[[], None]], object],
        proxy: str | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.hub = Hub(store, limits, clock, soon, proxy, admission)
        self.doors = Doors(limits)
        self._limits = limits
        self._keys = keys
        self._leave = self.doors.leave
        self._welcome = functools.lru_cache(PROOFS)(self._greet)

    def by_path(self, path: bytes) -> Accept:
        """What accepts who came by the path of this secret."""
        return functools.partial(self.accept, path=path)

    def accept(
        self, channel: Channel, tls_key_hash: bytes, address: str, path: bytes = b""
    ) -> Handler:
        """A channel was established. `address` is counted while it lasts, and not kept."""
        welcome = self._welcome(tls_key_hash)
        why_not = self.doors.enter(address)
        left = _nobody if why_not else self._leave
        connection = Connection(self.hub, channel, welcome, left, address, path)
        if why_not:
            connection.end("full", why_not)
        return connection

    def _greet(self, tls_key_hash: bytes) -> wire.Welcome:
        keys, bounds = self._keys, self._limits.connection
        proof = keys.prove(tls_key_hash)
        return wire.Welcome(wire.VERSION, keys.public, proof, bounds.max_body, bounds.max_lifetime)


def _nobody(address: str) -> None:
    """Leaves; it was not counted in."""


def _print(text: str) -> None:
    print(text, flush=True)


def tune() -> None:
    """Make this process a server: what the collector of garbage looks for is rare here, and
    looking for it at its usual rhythm takes a sixth of the time. Among the young it looks in small
    steps, since everybody waits meanwhile; among all, rarely. No thread holds the interpreter
    for as long as a sync takes; and there may be as many connections as the system lets it have."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 50, 100)
    sys.setswitchinterval(0.001)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def note(text: str) -> None:
    """Tell the operator."""
    print(text, file=sys.stderr, flush=True)


async def run(
    data: Path,
    listen: tuple[str, int],
    *,
    cert: Path | None = None,
    key: Path | None = None,
    advertise: str | None = None,
    decoy: Path | Web | None = None,
    limits: RelayLimits | None = None,
    proxy: str | None = None,
    acme: certificate.Authority | None = None,
    udp: bool | None = None,
    place: str | None = None,
    part: Part | None = None,
    rules: Rules | None = None,
    say: Callable[[str], object] = _print,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a relay until SIGTERM, SIGINT or `stop`.

    The first thing said is its address. `advertise` is the HOST or HOST:PORT under which
    nodes reach it, if that is not what it listens on. `decoy` is what strangers see, a folder of
    pages or another web server; without it a folder is made in the data directory. `proxy` is a
    URL, see `paths.dial`, through which other relays are reached for nodes that ask for it. `acme`
    is asked for a certificate in the advertised name while the relay runs. `udp` is whether the
    port of that number is opened too, see `Front.listen`. `place` is the URL of a cluster that
    keeps the logs in place of this directory, see `store.streams.Place`. Port 0 takes a free one.
    `part`: this is one of several processes, see `relay.processes`. `rules`: who may make logs.
    Raises `RelayError` with a sentence for people.
    """
    limits = limits or RelayLimits()
    keys = Secrets(data)
    lock = take_lock(data) if part is None else -1
    loop = asyncio.get_running_loop()
    stop = stop or asyncio.Event()
    failures: list[str] = []

    def failed(text: str) -> None:
        failures.append(text)
        stop.set()

    try:
        name = reachable(listen[0], advertise)
        tls = certificate.chosen(data, cert, key, name, acme, now_ms())
        site = _site(decoy or data / "site")
        mesh = Mesh(part.number, part.count) if part is not None else None
        store = await _store(data, place, keys, limits, failed, mesh)
    except (StoreFailed, certificate.BadCertificate, RelayError) as error:
        if part is None:
            os.close(lock)
        raise RelayError(str(error)) from error
    if isinstance(store, Shared) and place is not None and (part is None or part.number == 0):
        note(f"What this relay acknowledges is {store.guarantee}.")
    try:
        admission = Admission(
            data, rules or Rules(), keys.pin, secrets.token_bytes, now_ms, loop.call_soon_threadsafe
        )
    except (ValueError, OSError, apsw.Error) as error:
        store.close()
        raise RelayError(f"who may make logs, in {data}, cannot be read: {error}") from error
    relay = Relay(store, keys, limits, now_ms, loop.call_soon, proxy, admission)
    if isinstance(store, Shards):
        store.missed = relay.hub.missed
    # A site elsewhere has another name, so its pages alone can be shown.
    web = decoy if isinstance(decoy, Web) and not decoy.http.secure else None
    began = time.time()

    def own_numbers() -> list[watching.Number]:
        logs = folder(data, part.number if part is not None else 0)
        return [
            *_numbers(relay, front),
            *watching.disk(logs, limits.store.disk_bytes),
            *watching.process(began),
        ]

    def numbers() -> Response | Awaitable[Response]:
        return watching.page(own_numbers()) if among is None else _gathered(among)

    async def _gathered(among: between.Numbers) -> Response:
        return watching.page(await among.gathered())

    watched = [watching.Watched(keys.operators, watching.NUMBERS, numbers)]
    watched += [watching.Watched(one, watching.HEALTH, watching.healthy) for one in keys.paths]
    paths = [*keys.paths, *admission.invitations]
    front = Front(tls, paths, site, relay.accept, web, watched, by_path=relay.by_path)
    renewing: asyncio.Task[None] | None = None
    among: between.Numbers | None = None
    helping: between.Certificates | None = None
    if mesh is not None:
        between.Lending(relay.hub, mesh)
        between.Exchanges(front.small, mesh)
        among = between.Numbers(mesh, own_numbers)
        helping = between.Certificates(
            front, mesh, lambda: certificate.chosen(data, cert, key, name, acme, now_ms())
        )
    try:
        if part is None or mesh is None:
            port = await _listen(front, *listen, udp)
        else:
            port = await front.serve(part.listening, part.packets, part.udp)
            _heed(part, mesh, stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, stop.set)
        address = str(address_of(keys, listen[0], port, advertise))
        if part is not None:
            part.control.send(b"ready " + address.encode())
        if part is None or part.number == 0:
            whole.write(data / "at", json.dumps([listen[0], port]).encode())
            say(address)
        if acme is not None and (part is None or part.number == 0):
            from holdfast.relay.acme import Renewer

            shown = front if helping is None else helping
            renewer = Renewer(
                data, name, acme, challenge=shown.challenge, use=shown.use, now=now_ms
            )
            renewing = asyncio.create_task(renewer.run())
        elif cert is not None and key is not None:
            renewing = asyncio.create_task(_reload(cert, key, front))
        await _serve(relay.hub, stop, lambda: _look(admission, front, keys))
    finally:
        if renewing is not None:
            renewing.cancel()
        relay.hub.end("later", failures[0] if failures else "the relay is stopping")
        await front.close()
        await asyncio.sleep(GOODBYE_SECONDS)
        if isinstance(store, Shared):
            await store.aclose()
        else:
            store.close()
        admission.close()
        if part is None:
            os.close(lock)
    if failures:
        raise RelayError(failures[0])


async def _store(
    data: Path,
    place: str | None,
    keys: Secrets,
    limits: RelayLimits,
    failed: Callable[[str], None],
    mesh: Mesh | None,
) -> Store:
    """Raises `StoreFailed`, `RelayError`."""
    if place is not None:
        try:
            from holdfast.store.cluster import Cluster
            from holdfast.store.streams import Place
        except ImportError as error:
            raise RelayError(
                f"--store needs a package that is not installed ({error.name}): install Holdfast"
                " with its extra named cluster"
            ) from error
        try:
            where = Place.parse(place)
        except ValueError as error:
            raise RelayError(str(error)) from error
        return await Cluster.open(where, limits.store, now_ms, failed)
    if mesh is None:
        upgrade(data / "logs.db", data / "logs", note)
        share_out(data, 1, keys.owner(1), note)
    own = Embedded(
        folder(data, 0 if mesh is None else mesh.number),
        quota=limits.store,
        clock=now_ms,
        post=asyncio.get_running_loop().call_soon_threadsafe,
        failed=failed,
    )
    return own if mesh is None else Shards(own, mesh, keys.owner(mesh.count))


def _heed(part: Part, mesh: Mesh, stop: asyncio.Event) -> None:
    """Join the processes that the parent names; end if it is gone."""
    loop = asyncio.get_running_loop()
    joining: set[asyncio.Task[None]] = set()

    def heard() -> None:
        try:
            said, ends, *_ = socket.recv_fds(part.control, 64, 1)
        except OSError:
            said, ends = b"", []
        if not said:
            loop.remove_reader(part.control)
            stop.set()
            return
        task = loop.create_task(mesh.join(int(said.split()[1]), socket.socket(fileno=ends[0])))
        joining.add(task)
        task.add_done_callback(joining.discard)

    loop.add_reader(part.control, heard)


async def _reload(cert: Path, key: Path, front: Front) -> None:
    """Show the operator's certificate anew when its files have changed."""
    known = _changed(cert, key)
    while True:
        await asyncio.sleep(RELOAD_SECONDS)
        if (now := _changed(cert, key)) == known:
            continue
        try:
            front.use(certificate.load(cert, key))
        except certificate.BadCertificate as error:
            _log.warning("the certificate that was shown before still is: %s", error)
        else:
            _log.info("the certificate was read anew")
        known = now


def _changed(*paths: Path) -> list[tuple[int, int]]:
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_ino))
    return found


def _numbers(relay: Relay, front: Front) -> list[watching.Number]:
    until = front.certificate.chain[0].not_valid_after_utc.timestamp()
    number = watching.Number
    return [
        number("holdfast_connections", "Of nodes.", relay.doors.total),
        number("holdfast_refused_total", "Nodes that were one too many.", relay.doors.refused),
        number("holdfast_exchanges", "Sessions of small exchanges.", len(front.small)),
        number("holdfast_strangers", "Connections that are no node's.", len(front.open)),
        number("holdfast_crowded", "1 while records wait for the disk.", relay.hub.store.crowded),
        number("holdfast_certificate_end_seconds", "When it ends, since 1970.", until, min),
    ]


def _look(admission: Admission, front: Front, keys: Secrets) -> None:
    try:
        if admission.look():
            front.admit([*keys.paths, *admission.invitations])
    except (ValueError, OSError) as error:
        _log.warning("the invitations that were there before still are: %s", error)


async def _serve(hub: Hub, stop: asyncio.Event, tick: Callable[[], None]) -> None:
    while not stop.is_set():
        hub.tick()
        tick()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await stop.wait()


async def _listen(front: Front, host: str, port: int, udp: bool | None) -> int:
    with opened(host, port):
        return await front.listen(host, port, udp=udp)
    raise AssertionError("unreachable")


@contextlib.contextmanager
def opened(host: str, port: int) -> Iterator[None]:
    """A port is opened in here; `RelayError` says why it cannot be."""
    try:
        yield
    except OSError as error:
        why = {
            errno.EADDRINUSE: "another program uses it, for TCP or UDP. Stop that one, or choose"
            " another port with --listen (port 0 takes a free one)",
            errno.EACCES: "this user may not. Choose a port above 1023 with --listen, or run"
            " `setcap cap_net_bind_service=+ep` on Python",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }.get(error.errno or 0, error.strerror or str(error))
        raise RelayError(f"port {port} on {host} cannot be opened: {why}") from error


def decoy_of(text: str, h2: str | None = None, tls: str | None = None) -> Path | Web:
    """What `--decoy` names. Raises `BadUpstream`."""
    if re.match(r"https?:|unix:", text):
        return Web.parse(text, h2, tls)
    if h2 or tls:
        raise BadUpstream("--decoy-h2 and --decoy-tls go with a web server as --decoy")
    return Path(text)


def _site(decoy: Path | Web) -> Decoy:
    if isinstance(decoy, Web):
        return Mirror(decoy.http)
    folder = decoy
    try:
        if not folder.exists():
            make_site(folder, secrets.token_bytes)
    except OSError as error:
        raise RelayError(f"the site {folder} cannot be written: {error.strerror}") from error
    return Folder(folder)
