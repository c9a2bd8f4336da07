"""Makes channel.json beside this file: `python spec/vectors/channel.py`.

One channel: its link, what follows from it, and posts of every kind. Comes out the same every time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from holdfast.core.caps import Home, reader_path
from holdfast.core.channel import posts
from holdfast.core.channel.posts import About, Moved
from holdfast.core.chat import content
from holdfast.testing.channels import Writer

HERE: Final = Path(__file__).parent
HOMES: Final = (
    Home("relay.example", 443, b"p" * 16, b"k" * 32),
    Home("::1", 8443, b"q" * 16, b"l" * 32),
)


def vectors() -> dict[str, Any]:
    """A link and a log of six posts, the third of which is taken back, and a head."""
    writer = Writer("vectors", HOMES)
    link = writer.link
    mid = bytes(range(16))
    writer.write(posts.encode(About("News", "of the town", "", 2)), "about")
    writer.write(content.encode(content.Text(mid, 1_000, "Hello")), at=1_000)
    writer.write(content.encode(content.Text(mid[::-1], 2_000, "Oops")), at=2_000)
    writer.write(content.encode(content.Edit(mid, 3_000, "Hello, town")), at=3_000)
    writer.write(content.encode(content.Delete(mid[::-1])), at=4_000)
    writer.write(b"", "head", at=5_000)
    writer.write(posts.encode(Moved(link.key, "")), "moved", at=6_000)
    records = list(writer.records)
    records[2] = posts.withhold(link, records[2], writer.entropy)
    return {
        "version": posts.VERSION,
        "signing_key": writer.key.private_bytes_raw().hex(),
        "link": link.text(),
        "address": link.address(),
        "reader_path": reader_path(HOMES[0].path_secret),
        "secret": link.secret.hex(),
        "channel": link.id.hex(),
        "content_key": link.content_key.hex(),
        "log": {"locator": link.log.locator.hex(), "read": _hex(link.log.read)},
        "marks": {"locator": link.marks.locator.hex(), "append": _hex(link.marks.append)},
        "posts": [
            {
                "record": record.hex(),
                "number": post.number,
                "prev": post.prev.hex(),
                "at": post.at,
                "kind": post.kind,
                "data": None if post.data is None else post.data.hex(),
                "hash": post.hash.hex(),
            }
            for record in records
            for post in [posts.read(link, record)]
        ],
        "mark": posts.mark(3 * posts.WEEK, 2, writer.entropy).hex(),
    }


def _hex(role: bytes | None) -> str:
    return (role or b"").hex()


if __name__ == "__main__":
    (HERE / "channel.json").write_text(json.dumps(vectors(), indent=1) + "\n")
