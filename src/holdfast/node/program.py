"""`holdfast node`: the directory, the node, its web server, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.resources
import os
import secrets
import signal
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from holdfast.core.caps import Home, b64
from holdfast.core.seal import hpke
from holdfast.drive.fetch import fetch, look
from holdfast.node.api import Censor, Node
from holdfast.node.client import FILE, Address
from holdfast.node.controls import Controls, Places
from holdfast.node.keeper import StorageFailed
from holdfast.node.networks import Networks
from holdfast.node.rpc import ApiError
from holdfast.node.server import NodeServer
from holdfast.node.vault import Vault, VaultError
from holdfast.node.ways import Ways, paths

PORT: Final = 8470
"""Of the web interface, unless another is asked for."""


if TYPE_CHECKING:
    from holdfast.drive.mdns import Discovery


class NodeError(Exception):
    """The node cannot start; the sentence says why and what to do."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


def interface() -> Path:
    """The built web interface: within the package, or in the checkout beside it."""
    packaged = Path(str(importlib.resources.files("holdfast") / "web"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "web" / "dist"


def _print(line: str) -> None:
    print(line, flush=True)


async def run(
    home: Path,
    relays: list[Home],
    name: str | None = None,
    port: int = 0,
    echo_link: str | None = None,
    browser: bool = False,
    *,
    keyring: bool = False,
    proxy: str | None = None,
    direct: bool = False,
    near: bool = True,
    controls: Places | None = None,
    censor: Censor | None = None,
    say: Callable[[str], object] = _print,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a node until SIGTERM, SIGINT or `stop`.

    The first thing said is the address that opens its interface in one browser, once;
    with `browser` it is opened in the system's one. With `proxy` relays are reached through that
    alone, see `paths.dial`; with `direct` never through one another. Without `near` the local
    network is left alone, whatever is set. `controls` are places to look at when relays cannot be
    reached. `censor` is a pretended one that stands there. Raises `NodeError` with a sentence.
    """
    stop = stop or asyncio.Event()
    hpke.self_test()
    entropy = secrets.token_bytes
    try:
        vault = Vault(home, entropy, keyring)
    except VaultError as error:
        raise NodeError(str(error)) from None
    ways = Ways(paths(proxy), monotonic_ms)
    node = Node(vault, ways.connect, now_ms, entropy, tuple(relays), echo_link)
    node.finding, node.censor, node.stand_by = ways.finding, censor, ways.stand_by
    node.lend, node.doubt = ways.lend, ways.doubt
    node.straight = proxy is None
    if near:
        node.discovery = _mdns
    node.fetch = lambda url, body: fetch(url, body, proxy)
    node.see = lambda url: look(url, proxy)
    node.networks = Networks(
        ways.ladder, now_ms, monotonic_ms, through=proxy or "", leave=ways.move
    )
    eyes = Controls(controls or {}, ways.control, proxy)
    ways.use_controls(eyes.wanted)
    if not direct:
        node.hops = ways.use_hops
    secret = b64(entropy(32))
    server = NodeServer(node, interface(), secret, entropy)
    node.launch = server.launch_link
    loop = asyncio.get_running_loop()
    try:
        await _start(node, server, name, port)
        with _signals(loop, stop):
            Address(server.port, secret, os.getpid()).write(home)
            link = server.launch_link()
            say(link)
            if browser:
                await asyncio.to_thread(webbrowser.open, link)
            await stop.wait()
    finally:
        (home / FILE).unlink(missing_ok=True)
        await server.close()
        await node.stop()
        await ways.stop()
        await eyes.stop()


def _mdns() -> Discovery:
    from holdfast.drive.mdns import Mdns

    return Mdns()


async def _start(node: Node, server: NodeServer, name: str | None, port: int) -> None:
    try:
        await server.listen(port)
    except OSError as error:
        why = {
            errno.EADDRINUSE: "another program uses it; choose another with --port, or 0 for any",
            errno.EACCES: "this user may not; choose one above 1023 with --port",
        }.get(error.errno or 0, error.strerror or str(error))
        raise NodeError(f"port {port} cannot be opened: {why}") from None
    try:
        await node.start(name)
    except (VaultError, StorageFailed, ApiError) as error:
        raise NodeError(str(error)) from None


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    try:
        for number in numbers:
            loop.add_signal_handler(number, stop.set)
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
