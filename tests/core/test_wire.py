"""Frames: round trips, garbage, and the specification's tables and vectors."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import wire

SPEC = Path(__file__).parents[2] / "spec"


def vectors() -> Any:
    spec = importlib.util.spec_from_file_location("log_vectors", SPEC / "vectors" / "log.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


u32 = st.integers(0, 2**32 - 1)
u53 = st.integers(0, 2**53 - 1)
b16, b32, b64 = (st.binary(min_size=n, max_size=n) for n in (16, 32, 64))
token = st.none() | b32
body = st.binary(max_size=300)
text = st.text(max_size=256)
clients = st.one_of(
    st.builds(wire.Hello, u32),
    st.builds(wire.Create, u32, b16, b32, b32, b32, u32),
    st.builds(wire.Attach, u32, b16, token, token, token, st.none() | u53, st.booleans()),
    st.builds(wire.Append, u32, u53, st.integers(1, wire.MAX_LIFETIME), body),
    st.builds(wire.Trim, u32, u53),
    st.builds(wire.Drop, u32),
    st.builds(wire.Detach, u32),
    st.builds(wire.Onward, st.text(max_size=wire.MAX_ADDRESS)),
    st.builds(wire.Carry, body, body),
    st.builds(wire.Live, u32, body),
    st.builds(wire.Beside, b16),
)
relays = st.one_of(
    st.builds(wire.Welcome, u32, b32, b64, u32, u32),
    st.builds(wire.Attached, u32, u53, u53),
    st.builds(wire.Acked, u53),
    st.builds(wire.Records, u32, st.lists(st.tuples(u53, body), max_size=4).map(tuple)),
    st.builds(
        wire.Done, u32, st.sampled_from(["create", "read", "trim", "drop", "detach", "beside"])
    ),
    st.builds(wire.Refused, u32, text, text, u53),
    st.builds(wire.Bye, text, text),
    st.builds(wire.Took, u53),
    st.builds(wire.Carry, body, body),
)


@given(clients)
def test_what_a_node_says_comes_out_as_it_went_in(frame: wire.ClientFrame) -> None:
    assert wire.decode_client(wire.encode(frame)) == frame


@given(relays)
def test_what_a_relay_says_comes_out_as_it_went_in(frame: wire.RelayFrame) -> None:
    assert wire.decode_relay(wire.encode(frame)) == frame


@given(st.binary(max_size=400))
def test_garbage_is_malformed_or_a_frame(data: bytes) -> None:
    for decode in (wire.decode_client, wire.decode_relay):
        try:
            frame = decode(data)
        except wire.Malformed:
            continue
        assert decode(wire.encode(frame)) == frame


@given(clients, st.data())
def test_a_damaged_frame_never_raises_anything_else(
    frame: wire.ClientFrame, data: st.DataObject
) -> None:
    raw = bytearray(wire.encode(frame))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        wire.decode_client(bytes(raw))
    except wire.Malformed as error:
        assert "frame" in str(error)


@pytest.mark.parametrize(
    "fields",
    [
        [4, 1, 1, wire.MAX_LIFETIME + 1, b"x"],
        [4, 1, 1, 60, b"x" * (wire.MAX_BODY + 1)],
        [4, 2**32, 1, 60, b"x"],
        [4, 1, 2**53, 60, b"x"],
        [4, 1, 1, 60, "text"],
        [4, 1, 1, 60, b"x", 1],
        [4, 1, 1, 60],
        [2, 1, b"i" * 15, b"a" * 32, b"r" * 32, b"o" * 32],
        [3, 1, b"i" * 16, b"a" * 31],
        [3, 1.5, b"i" * 16],
        [[[[[]]]]],
        {"1": 1},
    ],
)
def test_fields_out_of_bounds_are_refused(fields: object) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode_client(msgspec.msgpack.encode(fields))


def test_deep_nesting_and_large_frames_are_refused() -> None:
    for data in (b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\x00" * (wire.MAX_FRAME + 1)):
        with pytest.raises(wire.Malformed):
            wire.decode_client(data)


def test_neither_side_takes_what_the_other_says() -> None:
    with pytest.raises(wire.Malformed):
        wire.decode_relay(wire.encode(wire.Hello(1)))
    with pytest.raises(wire.Malformed):
        wire.decode_client(wire.encode(wire.Acked(1)))


def test_the_error_holds_no_content() -> None:
    with pytest.raises(wire.Malformed) as caught:
        wire.decode_client(msgspec.msgpack.encode([1, "a secret"]))
    assert "secret" not in str(caught.value)


def test_the_specification_has_this_version_and_these_tables() -> None:
    page = (SPEC / "log.md").read_text()
    assert f"\nVersion: {wire.VERSION}\n" in page
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    told = {
        (int(tag), name, tuple(field.split("=")[0] for field in fields.split(", ")))
        for tag, name, fields in rows
    }
    frames = [*get_args(wire.ClientFrame), *get_args(wire.RelayFrame)]
    assert told == {
        (kind.__struct_config__.tag, kind.__name__, kind.__struct_fields__) for kind in frames
    }
    for number in (wire.MAX_BODY, wire.MAX_LIFETIME, wire.MAX_FRAME):
        assert f"{number:,}" in page


def test_vectors_are_what_the_code_makes_and_reads() -> None:
    made = vectors()
    kept = json.loads((SPEC / "vectors" / "log.json").read_text())
    assert kept == made.log_vectors()
    for name, data in kept["frames"].items():
        frame = made.FRAMES[name]
        client = isinstance(frame, get_args(wire.ClientFrame))
        decode = wire.decode_client if client else wire.decode_relay
        assert decode(bytes.fromhex(data)) == frame
    for data in kept["malformed"].values():
        with pytest.raises(wire.Malformed):
            wire.decode_client(bytes.fromhex(data))
    assert json.loads((SPEC / "vectors" / "caps.json").read_text()) == made.caps_vectors()
