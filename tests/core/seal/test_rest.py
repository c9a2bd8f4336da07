import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.seal import rest
from holdfast.core.seal.rest import Damaged, Rows, WrongPassphrase
from holdfast.testing.pairs import seeded

KEY = bytes(range(32))


def test_a_key_comes_back_with_its_passphrase_only() -> None:
    wrapped = rest.wrap_key(KEY, "horse ☂ battery", seeded("wrap"))
    assert KEY not in wrapped
    assert rest.unwrap_key(wrapped, "horse ☂ battery") == KEY
    with pytest.raises(WrongPassphrase, match="not right"):
        rest.unwrap_key(wrapped, "horse ☂ Battery")


def test_wrapping_costs_at_least_64_mebibytes() -> None:
    assert rest.MEMORY_KIB >= 64 * 1024
    fields = msgspec.msgpack.decode(rest.wrap_key(KEY, "p", seeded("cost")))
    assert fields[2] == rest.MEMORY_KIB


@pytest.mark.parametrize("memory", [8, 65_535, (1 << 20) + 1])
def test_cheap_or_enormous_parameters_are_refused_before_any_work(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = msgspec.msgpack.decode(rest.wrap_key(KEY, "p", seeded("cost")))
    fields[2] = memory
    monkeypatch.setattr(rest, "_stretch", None)
    with pytest.raises(WrongPassphrase, match="damaged"):
        rest.unwrap_key(msgspec.msgpack.encode(fields), "p")


@given(st.binary(max_size=200))
def test_garbage_is_no_wrapped_key(data: bytes) -> None:
    with pytest.raises(WrongPassphrase):
        rest.unwrap_key(data, "p")


@settings(max_examples=50)
@given(st.text(max_size=20), st.binary(max_size=20), st.integers(0, 2**64 - 1), st.binary())
def test_a_row_comes_back_from_its_own_place_only(
    table: str, row: bytes, counter: int, plain: bytes
) -> None:
    rows = Rows(KEY)
    stored = rows.wrap(table, row, counter, plain, seeded("row"))
    assert rows.unwrap(table, row, counter, stored) == plain
    for other in (
        (table + "x", row, counter),
        (table, row + b"x", counter),
        (table, row, counter ^ 1),
    ):
        with pytest.raises(Damaged, match="set back"):
            rows.unwrap(*other, stored)
    with pytest.raises(Damaged):
        Rows(KEY[::-1]).unwrap(table, row, counter, stored)


@given(st.binary(max_size=100))
def test_garbage_is_no_row(data: bytes) -> None:
    with pytest.raises(Damaged):
        Rows(KEY).unwrap("sessions", b"1", 1, data)
