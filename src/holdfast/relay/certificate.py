"""The relay's TLS certificate: given by its operator, issued by an authority, or made here.

A certificate made here is as safe as a public one, since the address carries the
relay's own key, which signs whatever TLS key is in use. It is only less common to
see on a website. Source: RFC 5280.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL

from holdfast.paths import tls
from holdfast.store import whole

DAYS: Final = 397
"""As long as public certificates were issued for; a new one is made in the last month."""


LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"


class BadCertificate(Exception):
    """The certificate or key cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True)
class Certificate:
    """A TLS context, the SHA-256 of the key it runs on, and what it was made of."""

    context: SSL.Context
    key_hash: bytes
    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes = field(repr=False)


@dataclass(frozen=True)
class Shown:
    """What an authority is answered that looks whether the name leads here (RFC 8737)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def context(self) -> SSL.Context:
        """That answers with it."""
        return tls.challenge_context(self.certificate, self.key)

    def dump(self) -> tuple[bytes, bytes]:
        """For `load`: PEM."""
        return self.certificate.public_bytes(Encoding.PEM), pem(self.key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Shown:
        """What `dump` gave."""
        secret = serialization.load_pem_private_key(key, None)
        assert isinstance(secret, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate(certificate), secret)


@dataclass(frozen=True)
class Authority:
    """Whom to ask, for whom: `directory` is its URL; `email` may be empty."""

    email: str = ""
    directory: str = LETS_ENCRYPT


def load(certificate: Path, key: Path) -> Certificate:
    """The operator's PEM files. Raises `BadCertificate`."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        context = tls.server_context(certificate, key)
        secret = serialization.load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise BadCertificate(
            f"{error.filename or certificate} cannot be read: {error.strerror}"
        ) from None
    except (SSL.Error, ValueError, TypeError):
        raise BadCertificate(
            f"{certificate} and {key} must be a PEM certificate chain, its own certificate"
            " first, and the unencrypted private key that belongs to it"
        ) from None
    return Certificate(context, key_hash(chain[0]), tuple(chain), secret)


def load_or_make(data: Path, name: str, now: int) -> Certificate:
    """The certificate in the relay's data directory, made for `name` if there is none or it
    ends within a month (`now` in ms); its key stays. Raises `BadCertificate`."""
    certificate, key = data / "tls.crt", data / "tls.key"
    moment = datetime.datetime.fromtimestamp(now / 1000, datetime.UTC)
    try:
        if not key.exists():
            whole.write(key, pem(ec.generate_private_key(ec.SECP256R1())))
        if not certificate.exists() or _ends(certificate) < moment + datetime.timedelta(days=30):
            secret = serialization.load_pem_private_key(key.read_bytes(), None)
            assert isinstance(secret, ec.EllipticCurvePrivateKey)
            whole.write(certificate, make(secret, name, moment).public_bytes(Encoding.PEM))
    except OSError as error:
        raise BadCertificate(f"{data} cannot be written: {error.strerror}") from None
    except (ValueError, TypeError, AssertionError):
        raise BadCertificate(
            f"{certificate} or {key} is damaged; delete both and start again: they are made"
            " anew, and the relay's address stays the same"
        ) from None
    return load(certificate, key)


def held(data: Path, name: str, now: int) -> Certificate | None:
    """The certificate that was issued, if it is for this name and the relay's TLS key, and not
    over (`now` in ms)."""
    moment = datetime.datetime.fromtimestamp(now / 1000, datetime.UTC)
    try:
        first = x509.load_pem_x509_certificate((data / "acme.crt").read_bytes())
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if name not in names.get_values_for_type(x509.DNSName):
            return None
        if moment >= first.not_valid_after_utc:  # whether it has begun, a visitor's clock says
            return None
        return load(data / "acme.crt", data / "tls.key")
    except (OSError, ValueError, x509.ExtensionNotFound, BadCertificate):
        return None


def chosen(
    data: Path, cert: Path | None, key: Path | None, name: str, acme: Authority | None, now: int
) -> Certificate:
    """What a relay shows: the operator's, an authority's, or its own. Raises `BadCertificate`."""
    if acme is not None and (cert is not None or key is not None):
        raise BadCertificate("--acme gets a certificate, --cert gives one: choose")
    if cert is not None and key is not None:
        return load(cert, key)
    if cert is not None or key is not None:
        raise BadCertificate("--cert and --key belong together: give both or none")
    own = load_or_make(data, name, now)
    return own if acme is None else held(data, check_name(name), now) or own


def due(found: x509.Certificate) -> datetime.datetime:
    """When to renew: in the last third of a certificate's life, of a short one in the last half."""
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return found.not_valid_after_utc - life / (3 if life > datetime.timedelta(days=10) else 2)


def check_name(name: str) -> str:
    """A name that a certificate can be had for. Raises `BadCertificate`."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        raise BadCertificate(
            f"an authority certifies names, and {name} is an address: give the relay's name with"
            " --advertise"
        )
    try:
        found = name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        found = ""
    if not re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", found):
        raise BadCertificate(
            "give the name for which the authority is to certify the relay with --advertise, for"
            " example --advertise relay.example.org"
        )
    return found


def make(key: ec.EllipticCurvePrivateKey, name: str, now: datetime.datetime) -> x509.Certificate:
    """A self-signed certificate for a host name or address."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64] or "localhost")])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name or "localhost")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-256 of a certificate's SubjectPublicKeyInfo in DER, 32 bytes."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def _ends(path: Path) -> datetime.datetime:
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key, not encrypted."""
    return key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
