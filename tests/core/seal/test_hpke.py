import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.seal import hpke
from holdfast.core.seal.hpke import HpkeKey, SelfTestFailed, Unopenable
from holdfast.core.seal.keys import BadKey

KEY = HpkeKey.make(bytes(range(96)))


@settings(max_examples=25)
@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_was_sealed_opens_for_the_same_purpose_only(plain: bytes, info: bytes) -> None:
    sealed = hpke.seal(KEY.public, info, plain)
    assert len(sealed) == len(plain) + hpke.OVERHEAD
    assert KEY.open(sealed, info) == plain
    with pytest.raises(Unopenable):
        KEY.open(sealed, info + b"!")


@settings(max_examples=25)
@given(st.binary(max_size=1300))
def test_garbage_is_refused(sealed: bytes) -> None:
    with pytest.raises(Unopenable):
        KEY.open(sealed, b"")


@pytest.mark.parametrize("at", [0, 1087, 1088, 1119, 1120, -1])
def test_any_changed_byte_is_refused(at: int) -> None:
    sealed = bytearray(hpke.seal(KEY.public, b"info", b"plain"))
    sealed[at] ^= 1
    with pytest.raises(Unopenable):
        KEY.open(bytes(sealed), b"info")


def test_a_key_of_the_wrong_length_or_with_numbers_too_large_is_refused() -> None:
    for key in (b"", KEY.public[:-1], KEY.public + b"\0", bytes(hpke.PUBLIC)):
        with pytest.raises(BadKey):
            hpke.require_public(key)
    too_large = b"\xff" * 1152 + KEY.public[1152:]
    with pytest.raises(BadKey):
        hpke.require_public(too_large)
    with pytest.raises(ValueError, match="96"):
        HpkeKey.make(bytes(95))


def test_info_names_the_purpose_the_recipient_and_the_conversation() -> None:
    fields = ("message", b"r" * 32, b"d" * 32, KEY.public, b"c" * 16)
    seen = {hpke.info(*fields)}
    changed = ("accept", b"R" * 32, b"D" * 32, KEY.public[::-1], b"C" * 16)
    for at, other in enumerate(changed):
        seen.add(hpke.info(*(other if n == at else field for n, field in enumerate(fields))))  # type: ignore[arg-type]
    assert len(seen) == 6


def test_start_up_is_refused_when_the_library_cannot_do_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hpke.self_test()

    def broken() -> None:
        raise RuntimeError("unsupported")

    monkeypatch.setattr(hpke, "_suite", broken)
    with pytest.raises(SelfTestFailed, match="install cryptography 48"):
        hpke.self_test()
