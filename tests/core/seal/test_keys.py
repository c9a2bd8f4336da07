import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal import keys
from holdfast.core.seal.keys import LOW_CURVE25519, LOW_ED25519, BadKey, P


def square_root(number: int) -> int | None:
    """A square root modulo P, for the independent check of the tables."""
    root = pow(number, (P + 3) // 8, P)
    if root * root % P != number % P:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == number % P else None


def ladder(u: int, times: int) -> tuple[int, int]:
    """times * (u) by the Montgomery ladder, projective (RFC 7748 section 5)."""
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in bin(times)[2:]:
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        e = (a * a - b * b) % P
        x2, z2 = a * a * b * b % P, e * (a * a + 121665 * e) % P
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
    return x2, z2


@pytest.mark.parametrize("u", sorted(LOW_CURVE25519))
def test_eight_times_every_listed_curve25519_point_is_the_neutral_one(u: int) -> None:
    _, z = ladder(u, 8)
    assert z == 0


def test_every_listed_edwards_point_is_on_the_curve_and_of_small_order() -> None:
    d = -121665 * pow(121666, -1, P) % P
    on_curve = 0
    for y in LOW_ED25519:
        x2 = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        x = square_root(x2)
        if x is None:
            continue
        point = (x, y)
        for _ in range(3):
            (a, b) = point
            k = d * a * a % P * b * b % P
            point = (
                2 * a * b * pow(1 + k, -1, P) % P,
                (b * b + a * a) * pow(1 - k, -1, P) % P,
            )
        assert point == (0, 1)
        on_curve += 1 if x == 0 else 2
    assert on_curve == 8


@given(st.binary(min_size=32, max_size=32))
def test_honest_keys_pass(seed: bytes) -> None:
    ed25519 = keys.public_bytes(Ed25519PrivateKey.from_private_bytes(seed))
    assert keys.require_ed25519(ed25519) == ed25519
    curve = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert keys.require_curve25519(curve) == curve


@given(st.binary(max_size=64).filter(lambda key: len(key) != 32))
def test_other_lengths_are_refused(key: bytes) -> None:
    for require in (keys.require_ed25519, keys.require_curve25519):
        with pytest.raises(BadKey):
            require(key)


def test_a_second_encoding_of_a_key_is_refused() -> None:
    for number in (9 + P, P, 2**255 - 1):
        with pytest.raises(BadKey):
            keys.require_curve25519(number.to_bytes(32, "little"))
    with pytest.raises(BadKey):
        keys.require_curve25519((9 | 1 << 255).to_bytes(32, "little"))
    with pytest.raises(BadKey):
        keys.require_ed25519((3 + P).to_bytes(32, "little"))


def test_a_signature_serves_one_purpose_and_one_body() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = keys.public_bytes(key)
    signature = keys.sign(key, "devices/1", b"body")
    keys.verify(public, "devices/1", b"body", signature)
    for purpose, body in (("invite/1", b"body"), ("devices/1", b"bodies"), ("devices/", b"1body")):
        with pytest.raises(BadKey):
            keys.verify(public, purpose, body, signature)
