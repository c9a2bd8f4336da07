"""Certificates that are made, kept, renewed and given."""

import stat
from pathlib import Path

import pytest
from cryptography import x509

from holdfast.relay import certificate
from holdfast.relay.certificate import BadCertificate

NOW = 1_700_000_000_000
DAY = 86_400_000


def test_made_once_and_kept(tmp_path: Path) -> None:
    first = certificate.load_or_make(tmp_path, "relay.example", NOW)
    before = (tmp_path / "tls.crt").read_bytes()
    again = certificate.load_or_make(tmp_path, "relay.example", NOW + DAY)
    assert again.key_hash == first.key_hash
    assert (tmp_path / "tls.crt").read_bytes() == before
    assert stat.S_IMODE((tmp_path / "tls.key").stat().st_mode) == 0o600


def test_renewed_in_its_last_month_on_the_same_key(tmp_path: Path) -> None:
    first = certificate.load_or_make(tmp_path, "relay.example", NOW)
    before = (tmp_path / "tls.crt").read_bytes()
    again = certificate.load_or_make(tmp_path, "relay.example", NOW + (certificate.DAYS - 29) * DAY)
    assert (tmp_path / "tls.crt").read_bytes() != before
    assert again.key_hash == first.key_hash


@pytest.mark.parametrize("name", ["relay.example", "192.0.2.1", "2001:db8::1"])
def test_names_the_host_and_nothing_of_the_product(tmp_path: Path, name: str) -> None:
    certificate.load_or_make(tmp_path, name, NOW)
    made = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(item.value) for item in names] == [name]
    assert b"holdfast" not in (tmp_path / "tls.crt").read_bytes().lower()
    assert "holdfast" not in made.subject.rfc4514_string().lower()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="cannot be read"):
        certificate.load(tmp_path / "no.crt", tmp_path / "no.key")
    for other in ("one", "two"):
        (tmp_path / other).mkdir()
        certificate.load_or_make(tmp_path / other, "a", NOW)
    with pytest.raises(BadCertificate, match="belongs to it"):
        certificate.load(tmp_path / "one" / "tls.crt", tmp_path / "two" / "tls.key")
    (tmp_path / "one" / "tls.crt").write_text("damaged")
    with pytest.raises(BadCertificate, match="delete both"):
        certificate.load_or_make(tmp_path / "one", "a", NOW)
