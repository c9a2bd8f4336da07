"""Questions for names, read and answered."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.lab import associate, dns
from holdfast.lab.names import answer

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)
FOUR = st.binary(min_size=4, max_size=4)


@settings(deadline=None)
@given(st.integers(0, 65_535), NAME, st.sampled_from((dns.A, dns.AAAA)))
def test_a_question_is_read_as_it_was_asked(id: int, name: str, kind: int) -> None:
    found = dns.read(dns.ask(id, name, kind))
    assert (found.id, found.name, found.kind) == (id, name, kind)


@settings(deadline=None)
@given(NAME, st.lists(FOUR, max_size=4))
def test_the_server_answers_with_what_it_was_given(name: str, addresses: list[bytes]) -> None:
    names = {name: [*addresses, bytes(16)]}
    assert dns.found(answer(names, dns.ask(3, name))) == (0, addresses)
    assert dns.found(answer(names, dns.ask(3, name, dns.AAAA))) == (0, [bytes(16)])
    assert dns.found(answer({}, dns.ask(3, name))) == (dns.NXDOMAIN, [])


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_anything_is_read_or_refused(data: bytes) -> None:
    for one in (data, bytes(5) + b"\1" + bytes(6) + data, bytes(2) + b"\x80\0\0\1\0\1" + data):
        assert answer({}, one) == b"" or len(one) >= 17
        try:
            dns.found(one)
        except dns.NotQuestion:
            continue


def test_a_name_that_is_none_is_not_asked_for() -> None:
    with pytest.raises(ValueError, match="label"):
        dns.ask(1, "a..b")


@settings(deadline=None)
@given(st.one_of(NAME, FOUR.map(socket.inet_ntoa)), st.integers(0, 65_535), st.binary(max_size=99))
def test_datagrams_for_the_box_are_unwrapped_as_they_were_wrapped(
    host: str, port: int, data: bytes
) -> None:
    place, said = associate.unwrap(associate.wrap((host, port), data))
    assert (place, said) == ((host, port), data)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_anything_is_unwrapped_or_refused(data: bytes) -> None:
    for one in (data, bytes(3) + data, bytes(3) + b"\3" + data):
        try:
            associate.unwrap(one)
        except associate.NotDatagram:
            continue
