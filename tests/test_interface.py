"""What the web interface repeats of the core is the same there."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.core.seal.emoji import EMOJI

WEB = Path(__file__).resolve().parents[1] / "web"


def test_the_interface_knows_every_emoji_by_the_cores_word() -> None:
    source = (WEB / "src" / "lang" / "index.ts").read_text()
    block = source.split("const EMOJI =")[1].split(";")[0]
    words = "".join(re.findall(r'"([^"]*)"', block)).split("|")
    assert words == [name for _, name in EMOJI]
