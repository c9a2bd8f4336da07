"""An observatory in this process, and somebody who has tokens for it."""

import asyncio
import json
import secrets
import urllib.error
import urllib.request
from contextlib import asynccontextmanager

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import issuance, report, tokens
from holdfast.watch.program import run


class Clock:
    """A clock that a test turns."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@asynccontextmanager
async def watching(data, clock, **options):
    """The address of an observatory that runs."""
    said: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    options.setdefault("wait", False)
    task = asyncio.create_task(
        run(data, ("127.0.0.1", 0), clock=clock, say=said.put_nowait, stop=stop, **options)
    )
    first = asyncio.create_task(said.get())
    await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        first.cancel()
        await task
    try:
        yield first.result().rstrip("/")
    finally:
        stop.set()
        await task


async def get(url, body=None, kind="application/json", accept="*/*"):
    """Status and body."""

    def fetch():
        request = urllib.request.Request(url, body, {"content-type": kind, "accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=200) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(fetch)


class Person:
    """One credential."""

    def __init__(self, root, clock):
        self.root = root
        self.clock = clock
        self.key = Ed25519PrivateKey.generate()

    async def tokens(self, *wanted):
        """Tokens for kinds at their current windows; None for what was refused."""
        _, body = await get(f"{self.root}/api/keys")
        keys = issuance.decode_keys(body)
        found = {(key.kind, key.window): key.spki for key in keys.keys}
        pending = []
        for kind in wanted:
            window = report.window(kind, self.clock())
            challenge = report.challenge(keys.watch, kind, window)
            verifier = tokens.Verifier(found[kind, window])
            pending.append((kind, window, tokens.ask(verifier, challenge, secrets.token_bytes)))
        wishes = tuple(issuance.Wish(kind, window, one.request) for kind, window, one in pending)
        ask = issuance.ask(self.key, keys.watch, wishes)
        status, body = await get(f"{self.root}/api/tokens", issuance.encode(ask))
        assert status == 200, body
        given = issuance.decode_given(body)
        return [
            one.finish(answer) if answer else None
            for (_, _, one), answer in zip(pending, given.answers, strict=True)
        ]

    async def send(self, *pairs):
        """Send reports with their tokens; the answer."""
        reports = [
            {"report": json.loads(report.encode(one)), "token": msgspec.to_builtins(token)}
            for one, token in pairs
        ]
        status, body = await get(
            f"{self.root}/api/reports", msgspec.json.encode({"reports": reports})
        )
        return status, json.loads(body)
