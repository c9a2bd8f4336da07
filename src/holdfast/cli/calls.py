"""One call to the running node, and how its refusals end the command."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.cli.say import CODES, Exit, Trouble
from holdfast.node.client import Client, NotRunning
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Message


def home_of(asked: argparse.Namespace) -> Path:
    """The node's folder. Raises `Trouble` if none was named."""
    if asked.home is None:
        raise Trouble("say which node with --home DIR or HOLDFAST_HOME", Exit.USAGE)
    return Path(asked.home)


def with_node(
    asked: argparse.Namespace, work: Callable[[Client], Awaitable[int | None]]
) -> int | None:
    """Connect to the node of `--home` and do the work. Raises `Trouble`."""
    home = home_of(asked)

    async def connected() -> int | None:
        async with Client.connect(home) as client:
            return await work(client)

    try:
        return asyncio.run(connected())
    except NotRunning as error:
        raise Trouble(str(error), Exit.NOT_RUNNING) from None
    except ApiError as error:
        raise Trouble(str(error), CODES.get(error.code, Exit.FAILED)) from None
    except TimeoutError:
        raise Trouble("it took too long; the node goes on by itself", Exit.TIMEOUT) from None


async def find(client: Client, id: str) -> Message:
    """A message by id alone. Raises `Trouble`."""
    for contact in await client.node.contacts():
        try:
            page = await client.node.messages_around(contact.id, id, 1)
        except Exception as error:
            if getattr(error, "code", "") != "not-found":
                raise
            continue
        for one in page.messages:
            if one.id == id:
                return one
    raise Trouble(f"there is no message {id}", Exit.NOT_FOUND)
