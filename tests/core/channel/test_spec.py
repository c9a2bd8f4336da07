"""What spec/channels.md says, against the code."""

import importlib.util
import json
import re
from pathlib import Path

from holdfast.core.channel import posts, talk
from holdfast.core.channel.link import VERSION, Link
from holdfast.node import channel_feed, channels, open_talk

HERE = Path(__file__).parents[3] / "spec"
SPEC = (HERE / "channels.md").read_text()


def test_version_and_constants() -> None:
    assert f"Version {VERSION}." in SPEC and posts.VERSION == VERSION
    table = {
        name: int(value) for name, value in re.findall(r"^\| (\w.*?) \| (\d+) \|$", SPEC, re.M)
    }
    assert list(table.values()) == [
        posts.MAX_DATA,
        posts.WEEK,
        posts.MARK,
        channel_feed.LIFETIME,
        channel_feed.AGAIN,
        channel_feed.KEPT,
        channel_feed.LIFE,
        channels.QUIET,
        talk.MAX_NAME,
        open_talk.AN_HOUR,
        open_talk.OLDEST,
    ]


def test_vectors_are_what_the_code_makes_and_reads() -> None:
    spec = importlib.util.spec_from_file_location("vectors", HERE / "vectors" / "channel.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = json.loads((HERE / "vectors" / "channel.json").read_text())
    assert kept == module.vectors()
    link = Link.parse(kept["link"])
    assert (link.id.hex(), link.content_key.hex()) == (kept["channel"], kept["content_key"])
    assert [
        posts.read(link, bytes.fromhex(post["record"])).hash.hex() for post in kept["posts"]
    ] == [post["hash"] for post in kept["posts"]]
