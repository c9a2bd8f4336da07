import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.core.seal import link as links
from holdfast.core.seal.link import BadLink, Link
from holdfast.testing.pairs import NOW, home

hosts = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True),
    st.ip_addresses().map(str),
)
homes = st.builds(
    Home,
    hosts,
    st.integers(1, 65_535),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
)
made = st.builds(
    Link,
    st.integers(NOW // 1000 + 1, 2**32 - 1),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
    st.lists(homes, min_size=1, max_size=3).map(tuple),
    st.booleans(),
)
LINK = Link(NOW // 1000 + 60, b"s" * 16, b"h" * 32, (home(),))


def reason(text: str, now: int = NOW) -> str:
    with pytest.raises(BadLink) as caught:
        Link.parse(text, now)
    return caught.value.reason


@given(made, st.sampled_from([None, "example.org", "example.org:8443", "[::1]:1"]))
def test_both_forms_come_back(link: Link, landing: str | None) -> None:
    assert Link.parse(f" {link.text(landing)}\n", NOW) == link


def test_what_links_a_device_is_no_invitation_for_many() -> None:
    one = Link(LINK.expires, LINK.secret, LINK.bundle_hash, LINK.homes, device=True)
    again = Link.parse(one.text(), NOW)
    assert (again.device, again.many) == (True, False) and one.text() != LINK.text()


@given(st.text(max_size=300))
def test_garbage_is_refused(text: str) -> None:
    for start in ("", "holdfast:", "https://example.org/#"):
        assert reason(start + text) in ("not-a-link", "damaged", "newer")


@given(made, st.data())
def test_one_wrong_character_is_noticed(link: Link, data: st.DataObject) -> None:
    text = link.text()
    at = data.draw(st.integers(len("holdfast:"), len(text) - 1))
    other = data.draw(st.sampled_from("AZaz09-_").filter(lambda char: char != text[at]))
    assert reason(text[:at] + other + text[at + 1 :]) in ("damaged", "newer")


@given(made, st.integers(1, 80))
def test_a_link_that_was_cut_is_noticed(link: Link, cut: int) -> None:
    assert reason(link.text()[:-cut]) == "damaged"


def test_one_home_fits_a_qr_code_of_version_8() -> None:
    longest = Link(2**32 - 1, bytes(16), bytes(32), (home("a" * 29),), True)
    assert len(longest.text()) == 192
    assert len(LINK.text()) == 176
    three = Link(2**32 - 1, bytes(16), bytes(32), (home(), home(), home()))
    assert len(three.text()) <= 377


def test_each_reason_is_told_apart_and_says_what_to_do() -> None:
    assert reason("hello") == "not-a-link"
    assert reason("https://example.org/?" + LINK.text()[9:]) == "not-a-link"
    assert reason("holdfast:" + "A" * 2000) == "not-a-link"
    assert reason("holdfast:") == "damaged"
    assert reason(LINK.text(), LINK.expires * 1000) == "expired"
    newer = caps.b64(b"\2" + caps.unb64(LINK.text()[9:])[1:])
    assert reason(f"holdfast:{newer}") == "newer"
    for text in links._TEXTS.values():
        assert any(word in text for word in ("ask", "update", "begins"))


def test_homes_are_one_to_three_and_well_formed() -> None:
    for many in ((), (home(),) * 4):
        with pytest.raises(ValueError, match="one to three"):
            Link(LINK.expires, LINK.secret, LINK.bundle_hash, many).text()
    upper = Home("EXAMPLE.org", 443, bytes(16), bytes(32))
    assert reason(Link(LINK.expires, LINK.secret, LINK.bundle_hash, (upper,)).text()) == "damaged"
    nowhere = Home("example.org", 0, bytes(16), bytes(32))
    assert reason(Link(LINK.expires, LINK.secret, LINK.bundle_hash, (nowhere,)).text()) == "damaged"


def test_the_link_gives_one_role_of_each_log() -> None:
    assert (LINK.bundle.append, LINK.bundle.owner) == (None, None)
    assert (LINK.accept.read, LINK.accept.owner) == (None, None)
    assert LINK.bundle.read is not None
    assert LINK.accept.append is not None
    assert LINK.bundle.locator != LINK.accept.locator


def test_no_secret_is_in_what_is_printed() -> None:
    assert "ssss" not in repr(LINK)
    assert "holdfast:" not in repr(LINK)
