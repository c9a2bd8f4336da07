"""SFrame, suite 0x0005 (RFC 9605)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal.frame import (
    WINDOW,
    FrameError,
    Opener,
    Sealer,
    call_keys,
    decode_header,
    encode_header,
    sender_key,
)

KEY = bytes(range(32))


def test_the_vector_of_rfc_9605_appendix_c3() -> None:
    base = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    plain, metadata = b"draft-ietf-sframe-enc", b"IETF SFrame WG"
    sealer = Sealer(base, 0x123)
    sealer.counter = 0x4567
    sealed = sealer.seal(plain, metadata)
    assert sealed.hex() == (
        "990123456794f509d36e9beacb0e261d99c7d1e972f1fed787d4049f17ca21353c1cc24d56ceabced279"
    )
    assert Opener(base, 0x123).open(sealed, metadata) == (0x4567, plain)


@pytest.mark.parametrize(
    ("kid", "counter", "header"),
    [
        (0, 0, "00"),
        (0, 255, "08ff"),
        (1, 7, "17"),
        (7, 8, "7808"),
        (8, 7, "8708"),
        (0x123, 0x4567, "9901234567"),
        (256, 256, "9901000100"),
        (2**64 - 1, 2**64 - 1, "ff" + "ff" * 16),
    ],
)
def test_headers_are_those_of_the_rfc(kid: int, counter: int, header: str) -> None:
    assert encode_header(kid, counter).hex() == header
    assert decode_header(bytes.fromhex(header)) == (kid, counter, len(header) // 2)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=8))
def test_a_header_comes_back(kid: int, counter: int, rest: bytes) -> None:
    header = encode_header(kid, counter)
    assert decode_header(header + rest) == (kid, counter, len(header))


@pytest.mark.parametrize("header", ["", "08", "99012345", "8007", "090001", "90000a", "0807"])
def test_a_header_has_one_form(header: str) -> None:
    with pytest.raises(FrameError):
        decode_header(bytes.fromhex(header))


@given(st.lists(st.binary(max_size=100), max_size=20), st.binary(max_size=20))
def test_frames_come_back_in_any_order_once(plains: list[bytes], metadata: bytes) -> None:
    sealer, opener = Sealer(KEY, 9), Opener(KEY, 9)
    sealed = [sealer.seal(plain, metadata) for plain in plains]
    for number in reversed(range(len(sealed))):
        assert opener.open(sealed[number], metadata) == (number, plains[number])
    for one in sealed:
        with pytest.raises(FrameError):
            opener.open(one, metadata)


@given(st.binary(max_size=100))
def test_garbage_is_no_frame(data: bytes) -> None:
    with pytest.raises(FrameError):
        Opener(KEY, 9).open(data)


def test_any_changed_bit_and_other_metadata_are_refused() -> None:
    sealed = Sealer(KEY, 0x1234).seal(b"hello", b"m")
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            with pytest.raises(FrameError):
                Opener(KEY, 0x1234).open(bytes(changed), b"m")
    with pytest.raises(FrameError):
        Opener(KEY, 0x1234).open(sealed, b"n")
    with pytest.raises(FrameError):
        Opener(KEY, 0x1235).open(sealed, b"m")


def test_the_window_moves_only_with_what_is_genuine() -> None:
    sealer, opener = Sealer(KEY, 1), Opener(KEY, 1)
    early = sealer.seal(b"early")
    sealer.counter = WINDOW - 1
    last_that_leaves_it = sealer.seal(b"edge")
    forged = bytearray(last_that_leaves_it)
    forged[-1] ^= 1
    with pytest.raises(FrameError):
        opener.open(bytes(forged))
    assert opener.open(last_that_leaves_it) == (WINDOW - 1, b"edge")
    assert opener.open(early) == (0, b"early")
    sealer.counter = WINDOW + 10
    opener.open(sealer.seal(b"on"))
    sealer.counter = 5
    with pytest.raises(FrameError):
        opener.open(sealer.seal(b"too old"))


def test_keys_differ_by_side_call_conversation_and_joining() -> None:
    def base(**other: object) -> bytes:
        given = {
            "rand_caller": b"a" * 32,
            "rand_callee": b"b" * 32,
            "call_id": b"c" * 16,
            "devices": (b"d", b"e"),
            "conv_id": b"f" * 16,
        } | other
        return call_keys(**given)  # type: ignore[arg-type]

    bases = [
        base(),
        base(rand_caller=b"x" * 32),
        base(rand_callee=b"x" * 32),
        base(call_id=b"x" * 16),
        base(devices=(b"e", b"d")),
        base(conv_id=b"x" * 16),
    ]
    assert len(set(bases)) == len(bases)
    keys = {
        sender_key(bases[0], generation, device, nonce)
        for generation in (0, 1)
        for device in (b"d", b"e")
        for nonce in (b"n" * 16, b"m" * 16)
    }
    assert len(keys) == 8
