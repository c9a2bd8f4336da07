"""bidi-homoglyph: a name or a text that looks like another, or reorders what follows.

The node's half: what comes is cleaned before it is kept, and a contact whose name could
be mistaken for an older one's says whose. The twins leave the cleaning or the skeletons out.
"""

import sys
from pathlib import Path

import pytest

from holdfast.core.chat import names

sys.path.insert(0, str(Path(__file__).parent.parent / "node"))
from chatters import link, person, relay, until

OVERRIDE = "\u202e"


async def _play(path: Path) -> tuple[str, str, str]:
    """The second contact's name, whom it looks like, and the text it sent."""
    async with (
        relay(path / "relay") as home,
        person(path / "v", "Viktor", home) as victim,
        person(path / "a", "Anna", home) as anna,
        person(path / "m", "Mallory", home) as mallory,
    ):
        await anna.accept_invitation(await link(victim))
        await until(victim.contacts, lambda all: len(all) == 1)
        me = await mallory.accept_invitation(await link(victim))
        await until(victim.contacts, lambda all: len(all) == 2)
        await until(mallory.contacts, lambda all: all[0].state == "active")
        await mallory.rename_me(f"{OVERRIDE}Аnnа")  # Cyrillic А and а
        await mallory.send(me.id, f"photo{OVERRIDE}gpj.exe")
        everybody = await until(
            victim.contacts, lambda all: not any(c.name == "Mallory" for c in all)
        )
        fake = next(c for c in everybody if c.name != "Anna")

        async def newest() -> str:
            page = await victim.messages(fake.id)
            return next((m.text for m in page.messages if m.kind == "text"), "")

        text = await until(newest, bool)
        return fake.name, fake.looks_like, text


async def test_it_is_cleaned_and_marked(tmp_path: Path) -> None:
    assert await _play(tmp_path) == ("Аnnа", "Anna", "photogpj.exe")


async def test_twin_without_cleaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "clean", lambda name: name)
    monkeypatch.setattr(names, "clean_text", lambda text: text)
    name, _, text = await _play(tmp_path)
    assert OVERRIDE in name and OVERRIDE in text


async def test_twin_without_skeletons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "skeleton", lambda name: name)
    assert (await _play(tmp_path))[1] == ""
