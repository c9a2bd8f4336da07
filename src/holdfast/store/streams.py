"""Where a cluster keeps things: its servers, its streams, and under which subject a log is.

A log's key is its name (16 bytes) and its life (8 bytes), which tells it from an earlier log of
that name.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from holdfast.store.base import Quota
from holdfast.store.jet import NO_STREAM, Failed, Jet, Unanswered

_MOST: Final = {"streams": 1_024, "replicas": 5}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster is, and how its streams are made if they are not there yet."""

    servers: list[str]
    name: str = "holdfast"
    streams: int = 8
    replicas: int = 3
    credentials: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Of `nats://HOST[:PORT],HOST…[/NAME][?streams=8&replicas=3&credentials=FILE]`, or
        `tls://…`. Raises `ValueError` with a sentence."""
        url = urlsplit(text)
        if url.scheme not in ("nats", "tls") or not url.netloc:
            raise ValueError("--store takes nats://HOST:PORT,HOST:PORT or tls://… of a cluster")
        given: dict[str, Any] = {}
        if name := url.path.strip("/"):
            if not (name.isascii() and name.isalnum() and len(name) <= 32):
                raise ValueError("the name in --store has letters and digits only, at most 32")
            given["name"] = name
        for what, value in parse_qsl(url.query, keep_blank_values=True):
            if what == "credentials":
                given[what] = value
            elif what not in ("streams", "replicas"):
                raise ValueError(f"--store knows streams, replicas and credentials, not {what}")
            elif not (value.isascii() and value.isdecimal() and 1 <= int(value) <= _MOST[what]):
                raise ValueError(f"{what} in --store is a number from 1 to {_MOST[what]}")
            else:
                given[what] = int(value)
        servers = [f"{url.scheme}://{one}" for one in url.netloc.split(",") if one]
        return cls(servers, **given)


class Streams:
    """One stream for what logs are, and several for their records."""

    def __init__(self, place: Place, jet: Jet) -> None:
        self._place = place
        self._jet = jet
        self.name = place.name
        self.registry = f"{place.name}-logs"
        self._count = place.streams
        self.guarantee = ""
        """What an acknowledgement promises, in words."""

    def of(self, key: int) -> str:
        """The stream of a log's records."""
        return f"{self.name}-{self._shard(key)}"

    def subject(self, key: int) -> str:
        """That of a log's records."""
        name, life = parts(key)
        return f"{self.name}.r.{self._shard(key)}.{name}.{life}"

    def _shard(self, key: int) -> int:
        return (key >> 176) % self._count

    async def make(self, quota: Quota) -> None:
        """Make those that are not there. Raises `Unanswered`, `Failed`."""
        common = {
            "retention": "limits",
            "storage": "file",
            "num_replicas": self._place.replicas,
            "discard": "new",
            "allow_direct": True,
            "allow_msg_ttl": True,
            "duplicate_window": 100_000_000,
        }
        one = self.name
        registry = {
            **common,
            "subjects": [f"{one}.m.*"],
            "discard": "old",
            "max_msgs_per_subject": 1,
            # A log's place depends on it, so the first front end's number holds for all.
            "metadata": {"holdfast-streams": str(self._count)},
        }
        config = await self._make_stream(self.registry, registry)
        self._count = int(config["metadata"]["holdfast-streams"])
        room = quota.disk_bytes // self._count
        for number in range(self._count):
            source = f"{one}.r.{number}.>"
            await self._make_stream(
                f"{one}-{number}",
                {
                    **common,
                    "subjects": [source],
                    "max_msgs_per_subject": quota.log_records,
                    "discard_new_per_subject": True,
                    "max_bytes": room,
                    "republish": {"src": source, "dest": f"{one}.p.>"},
                },
            )

    async def _make_stream(self, name: str, config: dict[str, object]) -> dict[str, Any]:
        """A stream that is there stays as its operator has made it. Servers that have just
        started take a while to choose a leader."""
        for rest in range(20, -1, -1):
            try:
                try:
                    info = await self._jet.ask(f"STREAM.INFO.{name}", {})
                except Failed as error:
                    if error.code != NO_STREAM:
                        raise
                    info = await self._jet.ask(f"STREAM.CREATE.{name}", {"name": name, **config})
            except (Unanswered, Failed):
                if not rest:
                    raise
                await asyncio.sleep(0.5)
            else:
                break
        made: dict[str, Any] = info["config"]
        replicas = made["num_replicas"]
        self.guarantee = (
            f"stored by {replicas // 2 + 1} of {replicas} servers, which sync to their disks at"
            " the interval of their configuration (sync_interval, two minutes unless set)"
        )
        return made


def key_of(name: bytes, life: bytes) -> int:
    """The log's key."""
    return int.from_bytes(name + life)


def split(key: int) -> tuple[bytes, bytes]:
    """Name and life."""
    both = key.to_bytes(24)
    return both[:16], both[16:]


def parts(key: int) -> tuple[str, str]:
    """Name and life as they stand in subjects."""
    name, life = split(key)
    return name.hex(), life.hex()
