"""A certificate that browsers believe, from an authority that speaks ACME, renewed in time.

The authority looks at the relay's own port 443 whether the name leads here (tls-alpn-01), so no
other port is needed. The certificate is for the relay's TLS key, which stays: to nodes a renewal is
nothing. The protocol is the `acme` package's. Source: RFC 8555, RFC 8737, RFC 9773.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from josepy.util import ComparableECKey

from holdfast.relay import certificate
from holdfast.relay.certificate import Authority, Certificate, Shown, check_name, due, held
from holdfast.store import whole

ANSWER_SECONDS: Final = 20
"""For one answer of the authority."""
ORDER_SECONDS: Final = 180.0
"""For a whole order."""
NONCES: Final = 4
ASK_SECONDS: Final = 1.0
"""Between two questions how far it is."""
LOOK_SECONDS: Final = 6 * 3600.0
"""At least so often it is asked whether to renew."""
RETRY_SECONDS: Final = 3600.0
"""After the first failure, doubled up to `LOOK_SECONDS`: authorities count failures."""
_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")

_log = logging.getLogger(__name__)


class NotIssued(Exception):
    """There is no certificate; the sentence says why."""


class _TlsAlpnResponse(challenges.KeyAuthorizationChallengeResponse):
    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn(challenges.KeyAuthorizationChallenge):
    """The challenge of RFC 8737, which the package left out when its own client did."""

    response_cls = _TlsAlpnResponse
    typ = _TlsAlpnResponse.typ

    def validation(self, account_key: JWK, **_: Any) -> bytes:
        """What the certificate has to contain, 32 bytes."""
        return hashlib.sha256(self.key_authorization(account_key).encode()).digest()


class _Network(client.ClientNetwork):
    """Asks again, more than once, when the authority wants a newer nonce (RFC 8555 section 6.5)."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the package's."""
        for _ in range(NONCES):
            with contextlib.suppress(_StaleNonce):
                return self._asked(*args, **kwargs)
        raise NotIssued("the authority takes none of its own nonces")

    def _asked(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            return super().post(*args, **kwargs)
        except messages.Error as error:
            if error.code == "badNonce":
                raise _StaleNonce from None
            raise


class _StaleNonce(Exception):
    """One of them."""


class Renewer:
    """Keeps one relay's certificate.

    `data` holds the TLS key (`tls.key`), the account's (`acme.key`) and the chain (`acme.crt`);
    `challenge` makes the port answer the authority, `use` shows a new certificate, `now` gives
    milliseconds since 1970, `tell` takes sentences for the operator.
    """

    def __init__(
        self,
        data: Path,
        name: str,
        authority: Authority,
        *,
        challenge: Callable[[Shown | None], None],
        use: Callable[[Certificate], None],
        now: Callable[[], int],
        tell: Callable[[str], object] = _log.warning,
    ) -> None:
        self._data, self._name, self._authority = data, check_name(name), authority
        self._challenge, self._use, self._now, self._tell = challenge, use, now, tell

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            wait = LOOK_SECONDS
            try:
                if await self._is_due():
                    self._use(await self.renew())
                    until = _load(self._data).not_valid_after_utc
                    self._tell(f"there is a new certificate for {self._name}, until {until:%x}")
                failures = 0
            except Exception as error:  # noqa: BLE001  whatever it is, the relay goes on
                wait = min(LOOK_SECONDS, RETRY_SECONDS * 2**failures)
                failures += 1
                why = str(error) if isinstance(error, NotIssued) else repr(error)
                self._tell(
                    f"there is no new certificate for {self._name}: {why}. The relay goes on with"
                    f" the one it has, and tries again in {wait / 3600:.0f} h"
                )
            await asyncio.sleep(wait)

    async def renew(self) -> Certificate:
        """A new certificate, on the disk. Raises `NotIssued`."""
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                chain = await self._order()
            whole.write(self._data / "acme.crt", chain.encode("ascii"))
            found = held(self._data, self._name, self._now())
        except TimeoutError:
            raise NotIssued("the authority took too long") from None
        except errors.ValidationError as error:
            raise NotIssued(_why(error)) from None
        except messages.Error as error:
            raise NotIssued(f"the authority says: {_plain(error.detail or error.typ)}") from None
        except requests.exceptions.SSLError:
            raise NotIssued("the authority's own certificate is not to be believed") from None
        except requests.exceptions.RequestException:
            raise NotIssued("the authority cannot be reached") from None
        except (errors.Error, JoseError, ValueError, KeyError, TypeError) as error:
            raise NotIssued(f"the authority did not keep to its protocol ({error!r:.80})") from None
        except OSError as error:
            raise NotIssued(f"{self._data} cannot be written: {error.strerror}") from None
        finally:
            self._challenge(None)
        if found is None:
            raise NotIssued("what the authority gave does not fit the key, the name or the time")
        return found

    async def _is_due(self) -> bool:
        """Whether it is time for another certificate."""
        now = datetime.datetime.fromtimestamp(self._now() / 1000, datetime.UTC)
        if held(self._data, self._name, self._now()) is None:
            return True
        chain = (self._data / "acme.crt").read_bytes()
        if now >= due(x509.load_pem_x509_certificate(chain)):
            return True
        # An authority may want it earlier, because it has to revoke (RFC 9773).
        with contextlib.suppress(errors.Error, requests.exceptions.RequestException, ValueError):
            acme = await asyncio.to_thread(self._client)
            wanted, _ = await asyncio.to_thread(acme.renewal_time, chain)
            return wanted is not None and now >= wanted
        return False

    async def _order(self) -> str:
        """The chain in PEM."""
        acme = await asyncio.to_thread(self._client)
        await asyncio.to_thread(self._sign_in, acme)
        key = (self._data / "tls.key").read_bytes()
        order = await asyncio.to_thread(acme.new_order, crypto_util.make_csr(key, [self._name]))
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_PENDING:
                await self._prove(acme, authorization)
        order = await asyncio.to_thread(acme.begin_finalization, order)
        while True:
            soon = datetime.datetime.now() + datetime.timedelta(seconds=ASK_SECONDS)  # noqa: DTZ005
            try:
                order = await asyncio.to_thread(acme.poll_finalization, order, soon)
            except errors.TimeoutError:
                continue
            return order.fullchain_pem

    async def _prove(
        self, acme: client.ClientV2, authorization: messages.AuthorizationResource
    ) -> None:
        """Show that the name leads here."""
        found = [one for one in authorization.body.challenges if isinstance(one.chall, _TlsAlpn)]
        if not found:
            raise NotIssued("the authority does not look at port 443 (tls-alpn-01)")
        assert acme.net.key is not None
        response, digest = found[0].chall.response_and_validation(acme.net.key)
        self._challenge(_answer(self._name, digest))
        await asyncio.to_thread(acme.answer_challenge, found[0], response)
        while authorization.body.status == messages.STATUS_PENDING:
            await asyncio.sleep(ASK_SECONDS)
            authorization, _ = await asyncio.to_thread(acme.poll, authorization)
        if authorization.body.status != messages.STATUS_VALID:
            raise errors.ValidationError([authorization])

    def _client(self) -> client.ClientV2:
        path = self._data / "acme.key"
        if not path.exists():
            whole.write(path, certificate.pem(ec.generate_private_key(ec.SECP256R1())))
        secret = serialization.load_pem_private_key(path.read_bytes(), None)
        key = JWKEC(key=ComparableECKey(cast(Any, secret)))
        net = _Network(key, alg=ES256, user_agent="acme-python", timeout=ANSWER_SECONDS)
        return client.ClientV2(client.ClientV2.get_directory(self._authority.directory, net), net)

    def _sign_in(self, acme: client.ClientV2) -> None:
        wanted = messages.NewRegistration.from_data(
            email=self._authority.email or None, terms_of_service_agreed=True
        )
        try:
            acme.new_account(wanted)
        except errors.ConflictError as error:  # it is there already
            acme.query_registration(
                messages.RegistrationResource(uri=error.location, body=messages.Registration())
            )


def _load(data: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((data / "acme.crt").read_bytes())


def _answer(name: str, digest: bytes) -> Shown:
    """RFC 8737 section 3: a certificate for the name alone, with the digest as what it is for."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    title = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    shown = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(title)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_IDENTIFIER, b"\x04\x20" + digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Shown(shown, key)


def _why(failed: errors.ValidationError) -> str:
    """What the authority saw when it looked."""
    for authorization in failed.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                return f"the authority looked and says: {_plain(challenge.error.detail or '')}"
    return "the authority did not find this relay under its name at port 443"


def _plain(text: str) -> str:
    """Somebody else's words, as a part of a sentence."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:300].strip(" .")
