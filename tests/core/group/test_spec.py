"""The specification says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast.core.group import entries, roster, senders
from holdfast.core.group.epochs import KINDS
from holdfast.node import group_state

SPEC = Path(__file__).resolve().parents[3] / "spec" / "groups.md"


def test_the_specification_has_the_codes_constants() -> None:
    text = SPEC.read_text()
    table = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|$", text, re.MULTILINE))
    assert {name: int(value) for name, value in table.items()} == {
        "Members of a group": roster.MAX_MEMBERS,
        "Entries of a roster": roster.MAX_ENTRIES,
        "People that one entry adds": entries.MAX_ADDS,
        "Device lists of one person in a roster": entries.MAX_LISTS,
        "Bytes of an entry": entries.MAX_ENTRY,
        "Messages of a session": senders.MOST,
        "Milliseconds of a session": senders.LONGEST,
        "Milliseconds an epoch and a log are kept after others followed": group_state.LEFT,
    }
    listed = re.search(r"Kinds, from 1: (.*?)\. A record", text, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"`([\w-]+)`", listed[1])) == KINDS
    for setting in entries.SETTINGS:
        assert f"`{setting}`" in text
