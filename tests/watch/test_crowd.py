"""Newcomers from one network: the first are free, then the price doubles with their number; who was
here before pays nothing; a node does the work by itself."""

import asyncio
import secrets
from typing import Any

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from watches import Clock

from holdfast.core import issuance, report
from holdfast.core.finding import Finding
from holdfast.core.issuance import Wish
from holdfast.core.log.admission import MOST_BITS, is_work
from holdfast.core.report import DAY
from holdfast.core.tokens import REQUEST
from holdfast.drive.http import Request
from holdfast.node import reporting
from holdfast.node.reporting import Reporter
from holdfast.watch import crowd, document, site
from holdfast.watch.crowd import FIRST, FREE, Crowd
from holdfast.watch.desk import Desk, network
from holdfast.watch.issuer import Issuer
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE
from holdfast.watch.site import Site

NOW = 1_790_000_000
CARRIER, OTHER = "100.64.7.9", "198.51.100.3"
PLACES = parse(SAMPLE.read_bytes())
pytestmark = [pytest.mark.usefixtures("ready_keys"), pytest.mark.timeout(120)]


def test_the_price_doubles_with_the_number():
    came = Crowd(secrets.token_bytes)
    here, prices = network(CARRIER), []
    for _ in range(FREE * 1024):
        prices.append(came.price(here, NOW))
        came.came(here, NOW)
    assert prices[:FREE] == [0] * FREE and prices[FREE] == FIRST
    assert prices[2 * FREE - 1] == FIRST and prices[2 * FREE] == FIRST + 1
    assert prices[-1] == MOST_BITS and None not in prices
    assert came.price(here, NOW) is None  # a carrier's last ones have to wait
    assert came.price(network(OTHER), NOW) == 0
    assert came.price(here, NOW + DAY) == 0


def test_a_table_that_is_full_makes_others_pay(monkeypatch):
    monkeypatch.setattr(crowd, "NETWORKS", 2)
    came = Crowd(secrets.token_bytes)
    for number in range(4):
        came.came(network(f"192.0.2.{number}"), NOW)
    assert came.price(network("192.0.2.0"), NOW) == 0
    assert came.price(network("192.0.2.3"), NOW) == FIRST


class Place:
    """The part of a station that asking for tokens needs."""

    places = PLACES
    behind = False


class Asked:
    """An observatory that is asked for tokens by somebody at an address."""

    def __init__(self, folder):
        self.clock = Clock(NOW)
        self.issuer = Issuer(folder / "issuer.db", "w", True, Ed25519PrivateKey.generate())
        desk = Desk(self.issuer, PLACES, secrets.token_bytes, set())
        station: Any = Place()
        self.site = Site(station, self.issuer, desk, self.clock, "")

    async def post(self, body, peer):
        answer: Any = self.site.respond(Request("POST", "/api/tokens", (), body, peer))
        answer = await answer
        return answer.status, answer.body

    async def __call__(self, key, peer, work=b""):
        window = report.window("calls", self.clock())
        one = issuance.ask(key, "w", (Wish("calls", window, bytes(REQUEST)),), work)
        return await self.post(issuance.encode(one), peer)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Work is a few hashes, and there is one key of each kind."""
    monkeypatch.setattr(crowd, "FIRST", 6)
    monkeypatch.setattr(document, "style", lambda places: "")
    now = {kind: report.window(kind, NOW) for kind in report.KINDS}
    monkeypatch.setattr(report, "ahead", lambda kind, _: range(now[kind], now[kind] + 1))
    made = Asked(tmp_path)
    yield made
    made.issuer.close()


async def given(asked, key, peer, work=b""):
    status, body = await asked(key, peer, work)
    assert status == 200, body
    return issuance.decode_given(body)


async def test_a_crowd_at_one_address_works_for_it_and_who_was_here_does_not(asked):
    old = Ed25519PrivateKey.generate()
    assert (await given(asked, old, CARRIER)).bits == 0
    for _ in range(FREE - 1):
        assert (await given(asked, Ed25519PrivateKey.generate(), CARRIER)).bits == 0
    new = Ed25519PrivateKey.generate()
    refused = await given(asked, new, CARRIER)
    assert refused.bits == 6 and not any(refused.answers) and "work" in refused.why
    public = new.public_key().public_bytes_raw()
    assert not asked.issuer.knows(public)
    over = issuance.newcomer("w", public, NOW // DAY)
    tried = (number.to_bytes(8, "big") for number in range(9999))
    done = next(each for each in tried if is_work(over, each, 6))
    other = Ed25519PrivateKey.generate()
    assert (await given(asked, other, CARRIER, done)).bits == 6  # it is for one credential
    assert "tomorrow" in (await given(asked, new, CARRIER, done)).why
    assert asked.issuer.knows(public)
    assert (await given(asked, Ed25519PrivateKey.generate(), OTHER)).bits == 0
    asked.clock.now += DAY
    for _ in range(FREE):
        await given(asked, Ed25519PrivateKey.generate(), CARRIER)
    for key in (old, new):  # no work, whatever crowd there is
        assert "tomorrow" not in (await given(asked, key, CARRIER)).why


async def test_one_credential_asks_so_often_an_hour(asked):
    key = Ed25519PrivateKey.generate()
    for _ in range(site.ASKS + 1):
        assert (await asked(key, OTHER))[0] == 200
    assert (await asked(key, OTHER))[0] == 429
    asked.clock.now += 3600
    assert (await asked(key, OTHER))[0] == 200


@pytest.mark.parametrize("quick", [6, 0])
async def test_a_node_does_the_work(asked, monkeypatch, quick):
    """At once if it is little, else while everything else goes on."""
    monkeypatch.setattr(reporting, "QUICK", quick)
    monkeypatch.setattr(reporting, "TICK", 0)
    for _ in range(FREE):
        await given(asked, Ed25519PrivateKey.generate(), CARRIER)

    async def fetch(url, body):
        path = url.removeprefix("https://w.example")
        if path == "/places.json":
            return b'{"regions": [{"code": "A"}], "operators": [{"code": "b"}]}'
        if path == "/api/keys":
            return issuance.encode(asked.issuer.keys(NOW))
        return (await asked.post(body, CARRIER))[1]

    async def nothing(*about):
        return []

    node = Reporter(
        reporting.Chosen(), nothing, fetch, lambda: asked.clock() * 1000, lambda: Finding("clear"),
        lambda: True, nothing, nothing,
    )  # fmt: skip
    await node.choose("https://w.example", "A", "b", False, [])
    if not quick:
        assert "work" in node.chosen.trouble
        node.start()
        while "tomorrow" not in node.chosen.trouble:
            await asyncio.sleep(0.01)
        await node.stop()
    assert "tomorrow" in node.chosen.trouble


async def test_a_full_disk_is_said(asked, monkeypatch):
    def full(*about):
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(asked.issuer, "_enter", full)
    status, body = await asked(Ed25519PrivateKey.generate(), OTHER)
    assert status == 503 and b"disk is full" in body
