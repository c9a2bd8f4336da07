"""A conversation as a page to keep."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.node.page import page
from holdfast.node.schema import Attachment, Author, CallEntry, Contact, Message, Quote, Reaction

NOW = 1_800_000_000_000
ANNA = Contact(id="a", name="Anna", own_name="Anna", state="active", verified=False, added=0)


def message(text: str = "", **more) -> Message:
    given: dict[str, Any] = {
        "id": "1",
        "contact": "a",
        "order": 1,
        "cursor": 1,
        "mine": False,
        "kind": "text",
    }
    given |= {"at": NOW, "received": NOW, "state": "received"}
    return Message(text=text, **(given | more))


def test_everything_that_was_said_is_in_it() -> None:
    file = Attachment(kind="file", name="plan.pdf", type="x", size=1234, state="whole", done=1234)
    found = page(
        ANNA,
        [
            message("hello"),
            message(
                "good day",
                mine=True,
                edited=NOW,
                reactions=[Reaction(emoji="👍", mine=False, at=NOW)],
            ),
            message("yes", reply_to=Quote(id="1", mine=False, text="hello")),
            message(kind="file", file=file),
            message(kind="call", call=CallEntry(outcome="talked", duration=65_000)),
            message(deleted=True),
            message("lost", mine=True, state="unsent"),
            message("from a group", author=Author(id="b", name="Boris")),
            message(kind="note", note="added"),
        ],
        "en",
        NOW,
    )
    for part in (
        "<h1><bdi>Conversation with Anna</bdi></h1>", ">hello</p>", "You", "edited", "👍",
        "<blockquote", "plan.pdf", "Call 1:05", "taken back", "did not arrive", "Boris",
        "2027-01-15",
    ):  # fmt: skip
        assert part in found, part
    assert found.count("<article") == 8
    assert "Разговор" in page(ANNA, [], "ru", NOW)
    assert page(ANNA, [], "xx", NOW) == page(ANNA, [], "en", NOW)


@given(st.text(), st.text(), st.integers())
def test_no_word_becomes_markup(text: str, name: str, at: int) -> None:
    who = Contact(id="a", name=name, own_name=name, state="active", verified=False, added=0)
    reply = Quote(id="1", mine=False, text=text)
    plain = page(who, [message("", at=at)], "en", NOW)
    full = page(
        who, [message(text, at=at, author=Author(id="b", name=name), reply_to=reply)], "en", NOW
    )
    tags = {"blockquote", "p"}
    found = set(re.findall(r"<([a-z0-9]+)", full)) - set(re.findall(r"<([a-z0-9]+)", plain))
    assert found <= tags
    assert "<script" not in full.lower()
