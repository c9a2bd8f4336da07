"""Capabilities, addresses and the outer envelope."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import caps
from holdfast.core.caps import OVERHEAD, BadAddress, BadRecord, Caps, Envelope, Home

HELD = Caps.make(bytes(range(128)))
A, B = b"a" * 32, b"b" * 32
NONCE, RID = b"n" * 12, b"r" * 16

hosts = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True),
    st.ip_addresses(v=6).map(str),
)
homes = st.builds(
    Home,
    hosts,
    st.integers(1, 65_535),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
)


@given(homes)
def test_an_address_comes_out_as_it_went_in(home: Home) -> None:
    assert Home.parse(str(home)) == home
    assert Home.parse(f"  {home}\n") == home


def changed(home: Home, at: int, to: str) -> str:
    text = str(home)
    return text[:at] + to + text[at + 1 :]


@given(st.text(max_size=120) | st.builds(changed, homes, st.integers(0, 80), st.characters()))
def test_garbage_is_a_bad_address_or_has_one_form(text: str) -> None:
    try:
        home = Home.parse(text)
    except BadAddress:
        return
    assert Home.parse(str(home)) == home


@pytest.mark.parametrize("port", ["0", "65536", "x", ""])
def test_ports_that_do_not_exist(port: str) -> None:
    tail = f"/{'A' * 22}.{'A' * 43}"
    assert Home.parse("host:1" + tail)
    with pytest.raises(BadAddress):
        Home.parse(f"host:{port}{tail}")


def test_a_relay_is_shown_nothing_that_another_one_is_shown() -> None:
    shown = [
        {HELD.log_id(pin), *(HELD.token(r, pin) for r in ("append", "read", "owner"))}
        | {HELD.verifier(r, pin) for r in ("append", "read", "owner")}
        for pin in (A, B)
    ]
    assert not shown[0] & shown[1]
    assert len(shown[0]) == 7
    token = HELD.token("read", A)
    assert token is not None
    assert HELD.verifier("read", A) == hashlib.sha256(token).digest()


def test_a_role_that_is_not_held_gives_no_token() -> None:
    writer = HELD.only("append")
    assert writer.token("append", A) == HELD.token("append", A)
    assert writer.token("read", A) is None
    with pytest.raises(ValueError, match="owner role"):
        writer.verifier("owner", A)


def test_what_is_printed_by_accident_holds_no_secret() -> None:
    home = Home("relay.example", 443, b"p" * 16, A)
    assert repr(home) == "Home(relay.example:443)"
    assert repr(HELD.only("append")) == "Caps(append)"


@given(st.binary(max_size=2_000))
def test_a_record_comes_out_as_it_went_in(body: bytes) -> None:
    stored = Envelope(HELD.locator, A).seal(RID, body, NONCE)
    assert len(stored) == len(body) + OVERHEAD
    assert Envelope(HELD.locator, A).open(stored) == (RID, body)


@given(st.binary(max_size=200))
def test_garbage_is_a_bad_record(data: bytes) -> None:
    with pytest.raises(BadRecord):
        Envelope(HELD.locator, A).open(data)


def test_a_record_opens_at_its_own_home_and_log_alone() -> None:
    stored = Envelope(HELD.locator, A).seal(RID, b"body", NONCE)
    for other in (Envelope(HELD.locator, B), Envelope(bytes(32), A)):
        with pytest.raises(BadRecord):
            other.open(stored)
    with pytest.raises(BadRecord):
        Envelope(HELD.locator, A).open(stored[:-1] + bytes([stored[-1] ^ 1]))


def test_the_request_path_is_bound_to_the_tls_key() -> None:
    home = Home("relay.example", 443, b"p" * 16, A)
    assert caps.request_path(home, A) != caps.request_path(home, B)
    assert len(caps.request_path(home, A)) == 25


def test_joined_fields_cannot_be_shifted() -> None:
    assert caps.join(b"ab", b"c") != caps.join(b"a", b"bc")
    assert caps.join(b"") != caps.join()
