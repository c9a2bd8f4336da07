"""Names that people give themselves: cleaned, and compared as an eye would.

A name comes from somebody else and is shown beside others. Control and format
characters could hide or reorder what follows; letters of other scripts could make
one name look like another. Source: Unicode TR 36 and TR 39 (confusable skeletons,
of which only the letters that Latin, Cyrillic and Greek share are kept here).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final

MAX_NAME: Final = 64
MAX_EMOJI: Final = 32

_PAIRS: Final = (
    "аa вb еe ёe зe кk мm нh оo рp сc тt уy хx ѕs іi јj һh ԁd ԛq ԝw ӏi ѵv "
    "αa βb εe ηn ιi κk νv οo ρp τt υu χx ωw ϲc ϳj ıi łi li 1i |i 0o 3e 5s"
)
"""A letter, in lower case, and the Latin one that it or its capital is taken for."""
_LOOKS: Final = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split()})


_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e]")
"""Controls but tab and line break, surrogates, bidirectional embeddings and overrides (UAX 9)."""


def clean(name: str) -> str:
    """The name as it may be shown: one line, no invisible or reordering characters, at
    most 64 characters; empty if nothing is left."""
    return clean_line(name)[:MAX_NAME].strip()


def clean_line(name: str) -> str:
    """One line without invisible or reordering characters."""
    kept = []
    for char in unicodedata.normalize("NFC", name):
        category = unicodedata.category(char)
        if category in ("Zs", "Zl", "Zp") or char in "\t\n\r":
            kept.append(" ")
        elif category[0] != "C":
            kept.append(char)
    return " ".join("".join(kept).split())


def clean_emoji(emoji: str) -> str:
    """A reaction as it may be shown: as a name, but joined emoji stay joined."""
    kept = "\u200d".join(clean(part) for part in emoji.split("\u200d"))
    return kept[:MAX_EMOJI].strip("\u200d")


MEDIA: Final = frozenset(
    ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/ogg", "audio/webm")
)
"""Types of which browsers show or play nothing but the picture or the sound."""
OCTETS: Final = "application/octet-stream"
_NOT_IN_FILES: Final = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")
MAX_FILE: Final = 200
"""Bytes of a file's name in UTF-8, within what every file system takes."""


def clean_file(name: str) -> str:
    """A file's name that is one on every system: no folder, nothing that hides, reorders or
    runs off the line; what ends it stays, so that it shows what it is."""
    kept = clean_line(name.replace("\\", "/").rsplit("/", 1)[-1])
    kept = kept.translate(_NOT_IN_FILES).strip(" .")
    if _RESERVED.match(kept):
        kept = "_" + kept
    stem, dot, ending = kept.rpartition(".")
    if not dot or len(ending.encode()) > 20:
        stem, dot, ending = kept, "", ""
    while len(f"{stem}{dot}{ending}".encode()) > MAX_FILE:
        stem = stem[:-1]
    return f"{stem}{dot}{ending}" or "file"


def clean_media(media: str, start: bytes) -> str:
    """The media type, if it is one of `MEDIA` and the file's first bytes are of that kind;
    else plain bytes. `start`: at least 16 bytes, where there are so many."""
    kinds = {
        "image/png": start.startswith(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg": start.startswith(b"\xff\xd8\xff"),
        "image/gif": start.startswith((b"GIF87a", b"GIF89a")),
        "image/webp": start[:4] == b"RIFF" and start[8:12] == b"WEBP",
        "audio/ogg": start.startswith(b"OggS"),
        "audio/webm": start.startswith(b"\x1a\x45\xdf\xa3"),
    }
    plain = media.partition(";")[0].strip().lower()
    return plain if kinds.get(plain, False) else OCTETS


def clean_text(text: str) -> str:
    """A message's text without control characters (line breaks and tabs aside) and without
    the embeddings and overrides that could reorder what stands around it."""
    return _UNSEEN.sub("", text)


@functools.lru_cache(maxsize=16_384)
def skeleton(name: str) -> str:
    """Equal for names that look alike: case, accents, script and spaces aside."""
    plain = unicodedata.normalize("NFKD", clean(name)).casefold()
    letters = "".join(c for c in plain if not unicodedata.combining(c) and c.isalnum())
    return letters.translate(_LOOKS).replace("rn", "m").replace("vv", "w")
