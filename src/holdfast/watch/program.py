"""`holdfast watch`: keys on the disk, the port, the clock, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import os
import random
import secrets
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import issuance
from holdfast.core.issuance import BadIssuance
from holdfast.drive.fetch import fetch
from holdfast.drive.http import HttpConnection, Open
from holdfast.store import whole
from holdfast.watch import hooks, reach, simulate
from holdfast.watch.desk import Desk
from holdfast.watch.edits import BadEdit
from holdfast.watch.issuer import Issuer
from holdfast.watch.journal import DAY, STEP, JournalError
from holdfast.watch.merging import Peer
from holdfast.watch.places import BadPlaces, Places, load, parse
from holdfast.watch.rollup import BadRollup, Rollup
from holdfast.watch.site import Site
from holdfast.watch.station import Station

TICK_SECONDS: Final = 1.0
ASK_SECONDS: Final = 5.0
"""Between two times that another watch is asked for its rollups."""
COMPARE: Final = 600
"""Seconds between two times that its keys for tokens are looked at."""
CONNECTIONS: Final = 4096
STEPS: Final = DAY // STEP
SERVE: Final = 0.03
"""Seconds of playing a past after which the page is served."""
SAMPLE: Final = Path(__file__).parent / "data" / "sample.json"


class WatchError(Exception):
    """The observatory cannot start or go on; the sentence says why and what to do."""


def now_s() -> int:
    """Seconds since 1970."""
    return int(time.time())


def key_of(data: Path) -> Ed25519PrivateKey:
    """The observatory's permanent key. Raises `WatchError`."""
    try:
        return Ed25519PrivateKey.from_private_bytes(
            whole.keep(data / "watch.key", lambda: secrets.token_bytes(32))
        )
    except (OSError, ValueError) as error:
        raise WatchError(
            f"{data / 'watch.key'} cannot be used: {error}. Restore it from a backup"
        ) from error


def keys_of(path: Path) -> frozenset[bytes]:
    """Keys of editors or bots, a line of 64 hexadecimal digits each. Raises `WatchError`."""
    try:
        lines = path.read_text(encoding="ascii").split() if path.exists() else []
        found = frozenset(bytes.fromhex(line) for line in lines)
    except (OSError, ValueError) as error:
        raise WatchError(f"{path} needs one key of 64 hexadecimal digits a line") from error
    if any(len(key) != 32 for key in found):
        raise WatchError(f"{path} needs one key of 64 hexadecimal digits a line")
    return found


def places_of(data: Path, given: Path | None) -> Places:
    """The places given now or before. Raises `WatchError`."""
    kept = data / "places.json"
    try:
        if given is not None:
            places = load(given)
            kept.write_bytes(given.read_bytes())
            return places
        return load(kept) if kept.exists() else parse(SAMPLE.read_bytes())
    except (BadPlaces, OSError) as error:
        raise WatchError(f"{error}. docs/run-a-watch.md shows what it needs") from error


def take_lock(data: Path) -> int:
    """Hold the directory for this process. Raises `WatchError`."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = whole.hold(data / "lock")
    except OSError as error:
        raise WatchError(
            f"the directory {data} cannot be used: {error.strerror}. Choose another with --data"
        ) from error
    if lock is None:
        raise WatchError(
            f"another observatory is using {data}. Stop it, or choose another with --data"
        )
    return lock


async def run(
    data: Path,
    listen: tuple[str, int],
    *,
    places: Path | None = None,
    name: str = "Observatory",
    root: str = "",
    cert: Path | None = None,
    key: Path | None = None,
    wait: bool = True,
    simulated: int | None = None,
    days: int = 31,
    webhooks: tuple[str, ...] = (),
    peers: tuple[Peer, ...] = (),
    say: Callable[[str], object] = print,
    stop: asyncio.Event | None = None,
    clock: Callable[[], int] = now_s,
) -> None:
    """Run an observatory until SIGTERM, SIGINT or `stop`; the first thing said is its address.

    `simulated` is the seed of a made-up country whose last `days` are played in first. `wait`: a
    new credential gets tokens from its second day on. Raises `WatchError`.
    """
    lock = take_lock(data)
    loop = asyncio.get_running_loop()
    stop = stop or asyncio.Event()
    open_ = Open(CONNECTIONS)
    station: Station | None = None
    issuer: Issuer | None = None
    server: asyncio.Server | None = None
    try:
        secret = whole.keep(data / "reach.secret", lambda: secrets.token_bytes(32))
        station = Station(
            data, places_of(data, places), name, key_of(data), keys_of(data / "editors"),
            loop.call_soon_threadsafe, simulated=simulated is not None, peers=peers,
            reach=functools.partial(reach.told, secret),
        )  # fmt: skip
        if simulated is None:
            station.start(clock())
        issuer = Issuer(data / "issuer.db", name, wait, station.key)
        desk = Desk(issuer, station.places, secrets.token_bytes, station.spent)
        site = Site(station, issuer, desk, clock, root, keys_of(data / "bots"))
        server = await _listen(loop, site, open_, listen, _tls(cert, key))
        port = server.sockets[0].getsockname()[1]
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, stop.set)
        scheme = "https" if cert else "http"
        host = "127.0.0.1" if listen[0] in ("", "0.0.0.0", "::") else listen[0]
        say(f"{scheme}://{host}:{port}/")
        await _play(
            station, station.play() if simulated is None else
            _pretend(station, simulated, clock() // STEP * STEP, days), stop,
        )  # fmt: skip
        sender = hooks.Sender(station, webhooks, clock)
        await asyncio.gather(
            _go_on(station, issuer, clock, stop),
            *(_follow(station, peer, clock, stop) for peer in peers),
            *(_compare(peer, clock, stop) for peer in peers),
        )
        sender.close()
    except (JournalError, BadRollup, BadEdit) as error:
        raise WatchError(str(error)) from error
    finally:
        if server is not None:
            server.close()
        open_.close()
        await asyncio.sleep(0.05)
        if station is not None:
            station.close()
        if issuer is not None:
            issuer.close()
        os.close(lock)


async def _go_on(
    station: Station, issuer: Issuer, clock: Callable[[], int], stop: asyncio.Event
) -> None:
    day = hour = -1
    making: asyncio.Task[None] | None = None
    while not stop.is_set():
        now = clock()
        station.advance(now)
        if now // 3600 != hour and (making is None or making.done()):
            hour = now // 3600
            making = asyncio.create_task(asyncio.to_thread(issuer.prepare, now))
        if now // 86_400 != day:
            day = now // 86_400
            await asyncio.to_thread(issuer.forget, now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await stop.wait()
    issuer.stop_making()
    if making is not None:
        await making


async def _follow(
    station: Station, peer: Peer, clock: Callable[[], int], stop: asyncio.Event
) -> None:
    """Fetch what another watch says, again and again."""
    while not stop.is_set():
        now = clock()
        try:
            after = max(peer.last, station.due - 1)
            for day in sorted({(after + 1) // DAY, now // DAY}):
                url = f"{peer.url.rstrip('/')}/rollups?day={day}&after={after}"
                for line in (await fetch(url)).splitlines()[:STEPS]:
                    with contextlib.suppress(BadRollup):  # counted; the next one may be good
                        station.peers.receive(peer.key, line, station.due, clock())
            peer.trouble = ""
        except OSError as error:
            peer.trouble = str(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                await stop.wait()


async def _compare(peer: Peer, clock: Callable[[], int], stop: asyncio.Event) -> None:
    """See which keys for tokens another watch shows to somebody who is here."""
    asked = clock() // COMPARE
    while not stop.is_set():
        now = clock()
        if now // COMPARE != asked:
            asked = now // COMPARE
            with contextlib.suppress(OSError, BadIssuance):
                keys = issuance.decode_keys(await fetch(peer.url.rstrip("/") + "/api/keys"))
                keys.check()
                peer.mark = issuance.fingerprint(keys.keys, now) if keys.key == peer.key else ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                await stop.wait()


async def _play(station: Station, past: Iterator[float], stop: asyncio.Event) -> None:
    """Play a past in, and serve the page meanwhile."""
    served = time.monotonic()
    gc.disable()  # nothing of what is made here is garbage, and there is much of it
    try:
        for share in past:
            if time.monotonic() - served > SERVE:
                station.played = share
                await asyncio.sleep(0)
                served = time.monotonic()
                if stop.is_set():
                    return
    finally:
        gc.enable()


def _pretend(station: Station, seed: int, ends: int, days: int) -> Iterator[float]:
    """The last days of a made-up country, and it goes on with them."""
    begins = (ends - days * 86_400) // 3600 * 3600
    hidden = simulate.usual_story(station.places, begins, ends, random.Random(seed))
    country = simulate.Country(station.places, seed, hidden, reports=12, installations=250)
    for at in range(begins, ends, STEP):
        station.feed(Rollup(at, country.rows(at)))
        yield (at - begins) / (ends - begins)
    station.pretended = country.rows
    station.played = 1.0


async def _listen(
    loop: asyncio.AbstractEventLoop,
    site: Site,
    open_: Open,
    listen: tuple[str, int],
    tls: ssl.SSLContext | None,
) -> asyncio.Server:
    host, port = listen
    try:
        return await loop.create_server(lambda: HttpConnection(site, open_), host, port, ssl=tls)
    except OSError as error:
        why = {
            errno.EADDRINUSE: "another program uses it. Choose another port with --listen",
            errno.EACCES: "this user may not. Choose a port above 1023 with --listen",
        }.get(error.errno or 0, error.strerror or str(error))
        raise WatchError(f"port {port} on {host} cannot be opened: {why}") from error


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise WatchError(f"the certificate {cert} cannot be used: {error}") from error
    return context
