"""Where conversations live: relays that are lost, found and changed, through the nodes' API."""

from __future__ import annotations

from pathlib import Path

from chatters import came, meet, person, relay, texts, until

from holdfast.testing.tap import Tap


async def test_one_relay_at_two_addresses_brings_two_people_together(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as direct,
        Tap(direct) as tap,
        person(tmp_path / "anna", "Anna", direct) as anna,
        person(tmp_path / "boris", "Boris", tap.home) as boris,
        person(tmp_path / "clara", "Clara", tap.home, direct) as clara,
    ):
        at_anna, at_boris = await meet(anna, boris)
        await anna.send(at_anna.id, "by the front door")
        await came(boris, lambda message: message.text == "by the front door")
        await boris.send(at_boris.id, "by the back door")
        await came(anna, lambda message: message.text == "by the back door")
        await until(lambda: texts(anna), lambda all: all[0].state == "delivered")

        status = await clara.status()
        assert len({one.id for one in status.relays if one.mine}) == 2
        await clara.remove_relay(status.relays[0].id)
        assert [one.label for one in (await clara.status()).relays if one.mine] == [
            status.relays[1].label
        ]
