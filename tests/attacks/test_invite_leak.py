"""invite-leak: an invitation is indexed, logged or used up by whoever fetches its address.

Elsewhere: WhatsApp links indexed 2020. The relay's side (a bot's GET consumes nothing) is
tested with the relay; here: what an address can give away at all.
"""

import pytest
import segno

from holdfast.core import caps
from holdfast.core.seal import link as links
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.core.seal.link import BadLink, Link
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded

DRAW = seeded("invite-leak")


def requested(address: str) -> str:
    """What a client sends to the server of an address: everything before the fragment
    (RFC 9110 section 7.1)."""
    return address.split("#", 1)[0]


def server_learns() -> bool:
    """Whether the landing page's server, or a bot's fetch of the address, has the secret."""
    met = meet("invite-leak")
    address = met.invitation.link.text("landing.example.org")
    payload = met.invitation.link.text()[len(links.SCHEME) :]
    return any(payload[at : at + 12] in requested(address) for at in range(len(payload) - 12))


def test_the_secret_is_only_in_the_fragment() -> None:
    assert not server_learns()
    address = meet("invite-leak").invitation.link.text("landing.example.org")
    assert requested(address) == "https://landing.example.org/"


def test_twin_with_the_payload_in_the_query_the_server_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        links, "landing_address", lambda landing, payload: f"https://{landing}/?{payload}"
    )
    assert server_learns()


def test_an_address_with_the_secret_elsewhere_is_not_taken() -> None:
    link = meet("invite-leak").invitation.link
    payload = link.text()[len(links.SCHEME) :]
    for address in (
        f"https://landing.example.org/?{payload}",
        f"https://landing.example.org/{payload}",
        f"https://landing.example.org/{payload}#{payload}",
        f"http://landing.example.org/#{payload}",
        f"https://user:{payload[:20]}@landing.example.org/#{payload}",
    ):
        with pytest.raises(BadLink):
            Link.parse(address, NOW)


def test_a_link_expires() -> None:
    link = meet("invite-leak").invitation.link
    assert Link.parse(link.text(), NOW) == link
    with pytest.raises(BadLink) as caught:
        Link.parse(link.text(), NOW + DAY)
    assert caught.value.reason == "expired"


def test_reading_the_bundle_consumes_nothing() -> None:
    """Whoever opens it first, a bot included, leaves it as it was for the person."""
    met = meet("invite-leak")
    invitation = Invitation.create(met.anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    before = invitation.dump()
    for _ in range(3):
        accept(invitation.link, invitation.record, met.boris, (home(),), b"", NOW, DRAW)
    assert invitation.dump() == before
    _, record = accept(invitation.link, invitation.record, met.boris, (home(),), b"", NOW, DRAW)
    assert isinstance(invitation.open_accept(record, met.anna, NOW, DRAW), Contact)


def test_what_the_relay_sees_of_the_logs_says_nothing_of_the_secret() -> None:
    link = meet("invite-leak").invitation.link
    relay_id = link.homes[0].pin
    token = link.bundle.token("read", relay_id)
    assert token is not None
    shown = link.bundle.log_id(relay_id) + token + link.accept.log_id(relay_id)
    assert link.secret not in shown
    assert caps.hkdf(link.secret, "bundle-key/1") not in shown


def test_the_qr_code_is_small_enough_to_scan() -> None:
    link = Link(2**32 - 1, bytes(16), bytes(32), (home("a" * 29),))
    code = segno.make(link.text(), error="l", boost_error=False)
    assert isinstance(code.version, int)
    assert code.version <= 8
