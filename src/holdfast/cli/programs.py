"""`holdfast relay`, `holdfast node`, `holdfast completion`."""

from __future__ import annotations

import argparse
import contextlib
import os
from dataclasses import replace

from holdfast.cli import logs, settings
from holdfast.cli.say import Exit, Trouble, show


def relay(asked: argparse.Namespace) -> None:
    """Run a relay until it is stopped."""
    import uvloop

    from holdfast.core.log.admission import MOST_BITS
    from holdfast.core.log.limits import Limits
    from holdfast.paths.dial import check_proxy
    from holdfast.relay.admission import BITS, Rules
    from holdfast.relay.certificate import LETS_ENCRYPT, Authority
    from holdfast.relay.keys import RelayError
    from holdfast.relay.limits import RelayLimits
    from holdfast.relay.mesh import Part
    from holdfast.relay.program import decoy_of, note, run, tune
    from holdfast.relay.upstream import Web

    settings.fill(asked, os.environ)
    if asked.data is None:
        raise Trouble("a relay needs --data DIR, where it keeps everything", Exit.USAGE)
    if asked.what == "status":
        from holdfast.cli import looking

        looking.status(asked)
        return
    if asked.what != "run":
        from holdfast.cli import care

        care.relay(asked)
        return
    if asked.listen is None:
        raise Trouble("a relay needs --listen HOST:PORT, for example 0.0.0.0:443", Exit.USAGE)
    host, colon, port = asked.listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise Trouble("--listen takes HOST:PORT, for example 0.0.0.0:443", Exit.USAGE)
    if (asked.cert is None) != (asked.key is None):
        raise Trouble("--cert and --key go together", Exit.USAGE)
    if asked.acme is None and asked.acme_directory is not None:
        raise Trouble("--acme-directory goes with --acme EMAIL", Exit.USAGE)
    authority = None
    if asked.acme is not None:
        authority = Authority(asked.acme, asked.acme_directory or LETS_ENCRYPT)
        if not authority.directory.startswith("https://"):
            raise Trouble("--acme-directory takes a URL that begins with https://", Exit.USAGE)
    try:
        proxy = check_proxy(asked.proxy) if asked.proxy else None
        decoy = None
        if asked.decoy or asked.decoy_h2 or asked.decoy_tls:
            decoy = decoy_of(asked.decoy or "", asked.decoy_h2, asked.decoy_tls)
    except ValueError as error:
        raise Trouble(str(error), Exit.USAGE) from None
    limits = RelayLimits()
    if asked.rate is not None:
        if not 0.001 <= asked.rate <= 100_000:
            raise Trouble("--rate takes MiB a second, for example 2 or 0.5", Exit.USAGE)
        limits = RelayLimits(connection=Limits(bytes_per_second=int(asked.rate * 2**20)))
    if asked.connections is not None:
        most = int(asked.connections)
        if most != asked.connections or not 1 <= most <= 10_000_000:
            raise Trouble("--connections takes how many nodes at a time, at least 1", Exit.USAGE)
        limits = replace(limits, connections=most, connections_per_address=max(1, most // 4))
    if asked.log not in (None, "text", "json"):
        raise Trouble("--log takes text or json", Exit.USAGE)
    logs.begin(asked.log or "text")
    bits = BITS if asked.work is None else asked.work
    if bits != int(bits) or not 1 <= bits <= MOST_BITS:
        raise Trouble(f"--work takes a number of bits from 1 to {MOST_BITS}", Exit.USAGE)
    try:
        rules = Rules.parse(asked.admit or "open", int(bits))
    except ValueError as error:
        raise Trouble(f"--admit: {error}", Exit.USAGE) from None
    tune()
    place = host.strip("[]"), int(port)
    count = _processes(asked.processes)

    def say(address: str) -> None:
        show({"address": address}, asked.json, address)

    def serve(part: Part | None) -> None:
        uvloop.run(
            run(
                asked.data,
                place,
                cert=asked.cert,
                key=asked.key,
                advertise=asked.advertise,
                decoy=decoy,
                limits=limits.share(count),
                proxy=proxy,
                acme=authority,
                udp=asked.udp,
                place=asked.store,
                part=part,
                rules=rules,
                say=say if part is None else lambda _: None,
            )
        )

    try:
        if count == 1:
            serve(None)
        else:
            from holdfast.relay.processes import Parent

            web = isinstance(decoy, Web) and not decoy.http.secure
            udp = not web if asked.udp is None else asked.udp
            Parent(asked.data, place, count, udp=udp, serve=serve, say=say, note=note).run()
    except RelayError as error:
        raise Trouble(str(error)) from None


def _processes(asked: str | None) -> int:
    if asked == "auto":
        return len(os.sched_getaffinity(0))
    if asked is None:
        return 1
    if not asked.isdecimal() or not 1 <= int(asked) <= 64:
        raise Trouble("--processes takes a number from 1 to 64, or auto", Exit.USAGE)
    return int(asked)


def node(asked: argparse.Namespace) -> None:
    """Run a node until it is stopped."""
    import uvloop

    from holdfast.cli.calls import home_of
    from holdfast.core.caps import BadAddress, Home
    from holdfast.node.controls import gathered
    from holdfast.node.program import NodeError, run
    from holdfast.paths.dial import check_proxy

    try:
        relays = [Home.parse(text) for text in asked.relay]
        proxy = check_proxy(asked.proxy) if asked.proxy else None
        controls = gathered(asked.control)
    except (BadAddress, ValueError) as error:
        raise Trouble(str(error), Exit.USAGE) from None
    home = home_of(asked)
    # Where there is a screen; a text browser would take over the terminal.
    screen = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    browser = screen and not asked.no_browser
    keyring = "HOLDFAST_KEYRING" in os.environ

    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            board = None
            if asked.simulator:
                from holdfast.lab.switchboard import Switchboard

                board = await stack.enter_async_context(Switchboard(relays))
            await run(
                home,
                relays,
                asked.name,
                asked.port,
                asked.echo,
                browser,
                keyring=keyring,
                proxy=board.url if board else proxy,
                direct=asked.direct,
                near=not asked.no_near,
                controls=controls,
                censor=board,
                say=lambda address: show({"address": address}, asked.json, address),
            )

    try:
        uvloop.run(work())
    except ValueError as error:
        raise Trouble(str(error), Exit.USAGE) from None
    except NodeError as error:
        raise Trouble(str(error)) from None


def completion(asked: argparse.Namespace) -> None:
    """Print a completion script."""
    import shtab

    from holdfast.cli.parser import make_parser

    script = shtab.complete(make_parser(), asked.shell)
    if asked.json:
        show({"script": script}, True, "")
    else:
        print(script)
