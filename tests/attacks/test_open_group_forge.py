"""open-group-forge: somebody who has an open group's link writes as another, or removes.

Everybody may append, so the signature and the owner's log are all that tells one from another.
"""

from __future__ import annotations

import time

import msgspec
import pytest
from node.living import World, given, world

from holdfast.core.channel import posts, talk
from holdfast.core.chat import content
from holdfast.core.seal import keys
from holdfast.testing.channels import Stranger, Writer

__all__ = ["world"]


def as_another(forger: Stranger, victim: Stranger, said: content.Known) -> bytes:
    """A record of the forger's that says that it is by the victim's key."""
    sealed = msgspec.msgpack.decode(
        posts.unseal(forger.link, forger.write(said, int(time.time() * 1000))), type=talk._Sealed
    )
    statement = msgspec.msgpack.decode(sealed.statement, type=talk._Statement)
    bent = msgspec.structs.replace(
        statement, key=keys.public_bytes(victim.key), name=victim.name.encode()
    )
    forged = msgspec.structs.replace(sealed, statement=msgspec.msgpack.encode(bent))
    return posts.seal(forger.link, msgspec.msgpack.encode(forged), forger.entropy)


async def forged(world: World) -> set[str]:
    """Which of these a reader takes: words, a change, a removal."""
    async with world:
        relay = await world.relay()
        link = Writer(homes=(relay.home,), open=True).link
        reader = await world.person("Reader", relay)
        theirs = (await reader.node.follow_channel(link.text())).id
        victim, forger = Stranger(link, "victim", "Vera"), Stranger(link, "forger", "Vera")
        now = int(time.time() * 1000)
        one, two = bytes(16), bytes([1]) * 16
        await given(
            reader,
            theirs,
            victim.say("meet at six", now, one),
            victim.say("bring water", now, two),
            as_another(forger, victim, content.Text(bytes([2]) * 16, now, "stay at home")),
            as_another(forger, victim, content.Edit(one, now + 1, "meet at nine")),
            as_another(forger, victim, content.Delete(two)),
            forger.write(content.Edit(one, now + 1, "meet at nine"), now + 1),
            forger.write(content.Delete(two), now + 1),
            forger.write(content.Remove(content.Ref(two, False, victim.writer), now), now),
        )
        texts = await reader.texts(theirs)
        return {
            what
            for what, done in (
                ("said", "stay at home" in texts),
                ("changed", "meet at six" not in texts),
                ("removed", "bring water" not in texts),
            )
            if done
        }


async def test_nobody_writes_as_another(world: World) -> None:
    assert await forged(world) == set()


async def test_twin_without_the_signature(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    assert await forged(world) == {"said", "changed", "removed"}
