"""Makes chat.json beside this file: `python spec/vectors/chat.py`.

Every kind of content (chat.md) and of what devices of one person tell each other (devices.md), with
its last elements as they are unless something is said, and with every element set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from holdfast.core.chat import content as c
from holdfast.core.chat import sync as s

HERE: Final = Path(__file__).parent
HOMES: Final = (
    "relay.example:443/cHBwcHBwcHBwcHBwcHBwcA.a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s",
)
MID: Final = bytes(range(16))
KEY: Final = bytes(range(32))
OTHER: Final = KEY[::-1]
AT: Final = 1_800_000_000_000
REF: Final = c.Ref(MID, True, KEY)

CONTENTS: Final[tuple[c.Known, ...]] = (
    c.Text(MID, AT, "Hello"),
    c.Text(MID, AT, "Привет 👋", REF, 3_600, (KEY, OTHER), c.Frank(KEY, bytes(64))),
    c.Poll(MID, AT, "When?", ("today", "tomorrow")),
    c.Poll(MID, AT, "When?", ("today", "tomorrow"), True, 60),
    c.Vote(REF, (0, 1), AT),
    c.Pin(REF, True, AT),
    c.Edit(MID, AT, "Hello, town"),
    c.Delete(MID),
    c.Remove(REF, AT),
    c.React(REF, "👍", AT),
    c.Read(MID, AT),
    c.SetTimer(86_400, AT),
    c.Profile("Anna"),
    c.Profile("Anna", "Friends"),
    c.Verify(b"step"),
    c.File(MID, AT, "file", "a.txt", "text/plain", 5, 64_512, KEY, OTHER, HOMES),
    c.File(
        MID, AT, "picture", "a.png", "image/png", 70_000, 64_512, KEY, OTHER, HOMES,
        b"thumb", 320, 200, 1_000, b"wave", REF, 60,
    ),
    c.Got(MID),
    c.Moved(HOMES),
    c.Spare(HOMES),
    c.Ring(MID, AT, KEY, MID[::-1], OTHER, HOMES),
    c.Ring(MID, AT, KEY, MID[::-1], OTHER, HOMES, True),
    c.Answer(MID, "ringing"),
    c.Answer(MID, "accept", KEY, MID[::-1], True),
    c.Places(MID, (bytes((192, 0, 2, 1)) + (4_000).to_bytes(2, "big"),)),
    c.Burst(MID, b"sound"),
    c.Burst(MID, b"sound", 7),
    c.GroupEntries(KEY, (b"entry",), (b"card",)),
    c.GroupKey(KEY, (OTHER,), KEY, bytes(96)),
    c.GroupKey(KEY, (OTHER,), KEY, bytes(96), OTHER, HOMES),
    c.GroupAsk(KEY, (OTHER,)),
    c.Introduce(KEY, b"sealed"),
    c.GroupHistory(KEY, (c.Told(OTHER, MID, AT, "Earlier"),)),
    c.Device(KEY, OTHER, "holdfast:link"),
)  # fmt: skip
NAMED: Final = (s.Named(KEY, "Laptop", AT), s.Named(OTHER, "Phone", AT + 1))
SYNC: Final[tuple[s.Known, ...]] = (
    s.Welcome(b"list", NAMED, "Anna", "{}", HOMES),
    s.Welcome(b"list", NAMED, "Anna", "{}", HOMES, True, 3, 9),
    s.Devices(b"list", NAMED),
    s.Me("Anna"),
    s.Person(KEY, b"list", "Boris from work", "Boris", AT),
    s.Person(KEY, b"list", "Boris from work", "Boris", AT, 60, True, True),
    s.Gone(KEY),
    s.Blocked((KEY, OTHER)),
    s.Blocked((KEY,), False),
    s.Meet(KEY, OTHER, KEY, "holdfast:link"),
    s.Met(KEY),
    s.Copy(KEY, True, AT, c.encode(c.Delete(MID))),
    s.Group(c.encode(c.GroupAsk(KEY, (OTHER,)))),
    s.Channel("holdfast:channel"),
    s.Channel("holdfast:channel", KEY),
    s.Seen(KEY, MID),
    s.Hidden(KEY, True, MID),
    s.Past(KEY, (s.Line(False, MID, "text", "Earlier", AT, AT + 5, "received"),), 2),
    s.Past(
        KEY,
        (
            s.Line(
                True, MID, "file", "a.txt", AT, AT, "read", AT + 1, False, True, 60, AT + 60_000,
                MID[::-1], True, (s.Emoji(False, "👍", AT),), c.encode(c.Got(MID)), 4,
            ),
        ),
    ),
    s.Past(
        KEY,
        (
            s.Line(
                False, MID, "text", "In a group", AT, AT, "received",
                reactions=(s.Emoji(False, "👍", AT, KEY),), place=5, author=OTHER,
                reply_author=KEY, remover=KEY, order=2**40,
            ),
        ),
    ),
)  # fmt: skip


def vectors() -> dict[str, Any]:
    """Each with its name and bytes; the arrays as JSON has them, byte strings in hexadecimal."""
    return {
        "contents": [_said(each, c.encode(each)) for each in CONTENTS],
        "devices": [_said(each, s.encode(each)) for each in SYNC],
        "typing": {
            "at": AT,
            "typing": True,
            "bytes": c.encode_typing(c.Typing(1, AT, True)).hex(),
        },
    }


def _said(what: c.Known | s.Known, data: bytes) -> dict[str, Any]:
    kind = str(type(what).__struct_config__.tag)
    return {"kind": kind, "elements": [_plain(one) for one in _values(what)], "bytes": data.hex()}


def _values(what: Any) -> list[Any]:
    return [getattr(what, name) for name in what.__struct_fields__]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "__struct_fields__"):
        return [_plain(one) for one in _values(value)]
    return value


if __name__ == "__main__":
    text = json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"
    (HERE / "chat.json").write_text(text)
