"""What is read of a ClientHello."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from holdfast.paths import hello, tls
from holdfast.paths.hello import Incomplete, NotHello


def first_bytes(*, classic: bool) -> bytes:
    """What our own client says first."""
    connection = SSL.Connection(tls.client_context(classic=classic), None)
    connection.set_tlsext_host_name(b"relay.example")
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(65_536)


def test_our_own_two_are_what_they_claim_and_differ() -> None:
    usual, classic = (hello.read(first_bytes(classic=one)) for one in (False, True))
    assert usual.server_name == classic.server_name == "relay.example"
    assert usual.post_quantum
    assert not classic.post_quantum
    assert usual.alpn == (b"http/1.1",)
    assert usual.ja4.startswith("t13d03")
    assert classic.ja4.startswith("t13d02")
    assert usual.ja4.split("_")[1:] != classic.ja4.split("_")[1:]


# Extensions in the order in which they are sent, and the fingerprint computed by hand from FoxIO's
# description: ciphers and extensions sorted, GREASE, SNI and ALPN left out of the second hash.
def test_the_fingerprint_is_that_of_the_published_description() -> None:
    example = hello.Hello(
        server_name="a.example",
        alpn=(b"h2",),
        ciphers=(0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013,
                 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
        extensions=(0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D, 0x0005, 0x0023,
                    0x0012, 0x002B, 0xFF01, 0x000B, 0x000A, 0x0015),
        groups=(),
        signatures=(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
        versions=(0x0304, 0x0303),
        size=0,
    )  # fmt: skip
    assert example.ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize("classic", [False, True])
def test_it_waits_for_the_whole_of_it(classic: bool) -> None:
    data = first_bytes(classic=classic)
    for size in range(len(data)):
        with pytest.raises(Incomplete):
            hello.read(data[:size])
    assert hello.read(data + b"more").size == len(data)


@given(st.binary(max_size=300), st.integers(0, 259), st.integers(0, 255))
def test_anything_is_read_or_refused(data: bytes, place: int, byte: int) -> None:
    changed = bytearray(first_bytes(classic=True))
    changed[min(place, len(changed) - 1)] = byte
    for one in (data, b"\x16\x03\x01" + data, bytes(changed)):
        try:
            hello.read(one)
        except (NotHello, Incomplete):
            continue


def dtls_hello(side: int, ciphers: bytes, extensions: bytes) -> bytes:
    chosen = len(ciphers).to_bytes(2, "big") + ciphers + b"\1\0" if side == 1 else ciphers + b"\0"
    body = b"\xfe\xfd" + bytes(32) + (b"\0\0" if side == 1 else b"\0") + chosen
    body += len(extensions).to_bytes(2, "big") + extensions
    message = bytes((side,)) + len(body).to_bytes(3, "big") + bytes(5)
    message += len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xff" + bytes(8) + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("side", [1, 2])
def test_hellos_of_dtls_are_told_apart_by_what_libraries_have_habits_in(side: int) -> None:
    one, other = b"\0\x17\0\0", b"\xff\x01\0\1\0"
    found = hello.dtls(dtls_hello(side, b"\xc0\x2b", one + other))
    assert found == hello.dtls(dtls_hello(side, b"\xc0\x2b", one + other) + b"next record")
    assert found.startswith("cs"[side - 1] + "fefd_")
    assert found != hello.dtls(dtls_hello(side, b"\xc0\x2b", other + one))
    assert found != hello.dtls(dtls_hello(side, b"\xc0\x2f", one + other))


@given(st.binary(max_size=120), st.integers(0, 200), st.integers(0, 255))
def test_any_datagram_is_read_or_refused(data: bytes, place: int, byte: int) -> None:
    changed = bytearray(dtls_hello(1, b"\xc0\x2b\xc0\x2f", b"\0\x17\0\0"))
    changed[place % len(changed)] = byte
    for one in (data, b"\x16\xfe\xfd" + data, bytes(changed)):
        try:
            hello.dtls(one)
        except NotHello:
            continue
