"""`holdfast relay`, `holdfast node`, `holdfast completion`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from holdfast.cli.say import Exit, Trouble


def relay(asked: argparse.Namespace) -> None:
    """Run a relay until it is stopped."""
    import uvloop

    from holdfast.relay.program import RelayError, run

    host, colon, port = asked.listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise Trouble("--listen takes HOST:PORT, for example 0.0.0.0:443", Exit.USAGE)
    if (asked.cert is None) != (asked.key is None):
        raise Trouble("--cert and --key go together", Exit.USAGE)
    try:
        uvloop.run(
            run(
                asked.data,
                (host.strip("[]"), int(port)),
                cert=asked.cert,
                key=asked.key,
                advertise=asked.advertise,
                decoy=asked.decoy,
            )
        )
    except RelayError as error:
        raise Trouble(str(error)) from None


def node(asked: argparse.Namespace) -> None:
    """Run a node until it is stopped."""
    import uvloop

    from holdfast.core.caps import BadAddress, Home
    from holdfast.node.program import NodeError, run

    try:
        relays = [Home.parse(text) for text in asked.relay]
    except BadAddress as error:
        raise Trouble(str(error), Exit.USAGE) from None
    home = Path(asked.home)
    # Where there is a screen; a text browser would take over the terminal.
    screen = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    browser = screen and not asked.no_browser
    keyring = "HOLDFAST_KEYRING" in os.environ
    try:
        uvloop.run(
            run(home, relays, asked.name, asked.port, asked.echo, browser=browser, keyring=keyring)
        )
    except NodeError as error:
        raise Trouble(str(error)) from None


def completion(asked: argparse.Namespace) -> None:
    """Print a completion script."""
    import shtab

    from holdfast.cli.parser import make_parser

    print(shtab.complete(make_parser(), asked.shell))
