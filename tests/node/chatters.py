"""Nodes and relays in this process, over loopback TLS, for the tests beside this file."""

import asyncio
import io
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from holdfast.core.caps import Home
from holdfast.node.api import Node
from holdfast.node.client import Address, Client
from holdfast.node.program import interface, now_ms
from holdfast.node.schema import Contact, Event, Message
from holdfast.node.server import NodeServer
from holdfast.node.vault import Vault
from holdfast.paths import websocket
from holdfast.relay.program import run

T = TypeVar("T")
PATIENCE = 60
SECRET = "s" * 43


@asynccontextmanager
async def relay(data: Path, port: int = 0) -> AsyncIterator[Home]:
    stop = asyncio.Event()
    said: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(run(data, ("127.0.0.1", port), say=said.put_nowait, stop=stop))
    try:
        async with asyncio.timeout(PATIENCE):
            address = await said.get()
        yield Home.parse(address)
    finally:
        stop.set()
        await task


@asynccontextmanager
async def person(
    home: Path, name: str, *relays: Home, discovery=None, straight: bool = False
) -> AsyncIterator[Node]:
    vault = Vault(home, secrets.token_bytes)
    node = Node(vault, websocket.connect, now_ms, secrets.token_bytes, relays)
    node.discovery, node.straight = discovery, straight
    await node.start(name)
    try:
        yield node
    finally:
        await node.stop()


async def until(ask: Callable[[], Awaitable[T]], right: Callable[[T], bool]) -> T:
    """Ask until the answer is right."""
    answer = await ask()
    try:
        async with asyncio.timeout(PATIENCE):
            while not right(answer):
                await asyncio.sleep(0.01)
                answer = await ask()
    except TimeoutError:
        raise AssertionError(f"still {answer}") from None
    return answer


async def link(node: Node, many: bool = False) -> str:
    """A link that works."""
    made = await node.create_invitation(many=many)
    found = await until(node.invitations, lambda all: any(i.state == "open" for i in all))
    return next(each.link for each in found if each.id == made.id)


async def only(node: Node) -> Contact:
    """The one contact, once both are connected."""
    found = await until(node.contacts, lambda all: bool(all) and all[0].state == "active")
    return found[0]


async def meet(one: Node, other: Node) -> tuple[Contact, Contact]:
    """One invites, the other accepts."""
    await other.accept_invitation(await link(one))
    return await only(one), await only(other)


async def texts(node: Node) -> list[Message]:
    """What was written, without notes."""
    contacts = await node.contacts()
    page = await node.messages(contacts[0].id) if contacts else None
    return [m for m in page.messages if m.kind == "text"] if page else []


async def came(node: Node, right: Callable[[Message], bool]) -> Message:
    """The first message that is right, once it is there."""
    found = await until(lambda: texts(node), lambda all: any(right(m) for m in all))
    return next(m for m in found if right(m))


def hear(node: Node) -> list[Event]:
    """Every event from now on."""
    heard: list[Event] = []
    node.subscribe(heard.append)
    return heard


@asynccontextmanager
async def served(node: Node, home: Path) -> AsyncIterator[Client]:
    """A program connected to the node, as the CLI is."""
    server = NodeServer(node, interface(), SECRET, os.urandom)
    await server.listen(0)
    Address(server.port, SECRET, os.getpid()).write(home)
    try:
        async with Client.connect(home) as client:
            yield client
    finally:
        await server.close()


async def last_file(node: Node) -> Message | None:
    contacts = await node.contacts()
    page = await node.messages(contacts[0].id)
    return next((m for m in reversed(page.messages) if m.kind == "file"), None)


async def send_file(client: Client, data: bytes, name: str = "a.bin", **more) -> Message:
    upload = await client.upload(io.BytesIO(data), len(data))
    to = (await client.node.contacts())[0].id
    return await client.node.send_file(to, upload, name, **more)
