"""What spec/channels.md says, against the code."""

import re
from pathlib import Path

from holdfast.core.channel import posts
from holdfast.core.channel.link import VERSION
from holdfast.node import channel_feed, channels

SPEC = (Path(__file__).parents[3] / "spec" / "channels.md").read_text()


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
    ]
