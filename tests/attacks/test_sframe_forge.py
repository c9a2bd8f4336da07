"""sframe-forge (SFrame's first drafts, 2021; ReVoLTE, 2020): between two people nobody else
makes a frame, none is played twice, and no nonce is used twice under one key."""

from __future__ import annotations

import os

import pytest

from holdfast.core.caps import Home
from holdfast.core.seal import frame
from holdfast.core.seal.frame import FrameError, Opener, Sealer
from holdfast.node.ringing import Terms

HOME = Home("relay.example", 443, b"p" * 16, b"k" * 32)


def terms() -> Terms:
    return Terms(
        os.urandom(16),
        os.urandom(32),
        (HOME,),
        os.urandom(32),
        os.urandom(16),
        (os.urandom(32), os.urandom(32)),
        os.urandom(16),
    )


def accepted(offer: Terms, random: bytes, nonce: bytes) -> tuple[Sealer, Opener, Sealer, Opener]:
    """The caller's sealer, the callee's opener for it, and the other way."""
    caller, callee = offer.key("caller", random, nonce), offer.key("callee", random, nonce)
    return Sealer(*caller), Opener(*caller), Sealer(*callee), Opener(*callee)


def test_a_frame_is_not_taken_from_anybody_else() -> None:
    offer, random, nonce = terms(), os.urandom(32), os.urandom(16)
    caller, at_callee, callee, at_caller = accepted(offer, random, nonce)
    said = caller.seal(b"hello")
    with pytest.raises(FrameError):
        at_caller.open(said)  # sent back to who said it
    assert at_callee.open(said) == (0, b"hello")
    with pytest.raises(FrameError):
        at_callee.open(said)  # played again
    earlier, _, _, _ = accepted(terms(), random, nonce)
    with pytest.raises(FrameError):
        at_callee.open(earlier.seal(b"from another call"))
    # Who knows the offer but not the callee's half, as an eavesdropper of one side would.
    half, _, _, _ = accepted(offer, bytes(32), nonce)
    with pytest.raises(FrameError):
        at_callee.open(half.seal(b"guess"))
    assert at_caller.open(callee.seal(b"hi")) == (0, b"hi")


def test_a_frame_is_not_changed_on_the_way() -> None:
    caller, at_callee, _, _ = accepted(terms(), os.urandom(32), os.urandom(16))
    said = caller.seal(b"x" * 48)
    for place in range(len(said)):
        changed = bytearray(said)
        changed[place] ^= 0x40
        with pytest.raises(FrameError):
            at_callee.open(bytes(changed))
    assert at_callee.open(said) == (0, b"x" * 48)


def test_joining_again_uses_no_nonce_again() -> None:
    offer, random = terms(), os.urandom(32)
    nonces = [os.urandom(16) for _ in range(3)]
    keys = {offer.key("callee", random, nonce)[0] for nonce in nonces}
    assert len(keys) == 3
    sealers = [Sealer(*offer.key("callee", random, nonce)) for nonce in nonces]
    assert len({one.seal(b"the same") for one in sealers}) == 3


def test_twin_with_one_key_for_both_sides_an_echo_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.node.ringing.sender_key", lambda base, *_: base)
    offer, random = terms(), os.urandom(32)
    nonce = offer.nonce  # the key id tells sides apart otherwise
    caller, _, _, at_caller = accepted(offer, random, nonce)
    assert at_caller.open(caller.seal(b"echo")) == (0, b"echo")


def test_twin_without_the_window_a_frame_is_played_twice() -> None:
    caller, at_callee, _, _ = accepted(terms(), os.urandom(32), os.urandom(16))
    said = caller.seal(b"hello")
    at_callee.open(said)
    at_callee._highest, at_callee._seen = -1, 0
    assert at_callee.open(said) == (0, b"hello")


def test_twin_that_joins_with_an_old_nonce_repeats_itself() -> None:
    offer, random, nonce = terms(), os.urandom(32), os.urandom(16)
    key = offer.key("callee", random, nonce)
    one, two = Sealer(*key).seal(b"attack"), Sealer(*key).seal(b"defend")
    start = frame.decode_header(one)[2]
    stream = bytes(a ^ b for a, b in zip(one[start:], b"attack", strict=False))
    told = bytes(a ^ b for a, b in zip(two[start:], stream, strict=False))
    assert told == b"defend"  # whoever knows one frame reads the other
