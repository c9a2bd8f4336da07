"""Webhooks, to a real receiver: what it can check, and that it is tried again."""

import hashlib
import http.server
import json
import queue
import threading

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from holdfast.watch import hooks
from holdfast.watch.event import Event, Hurt
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE
from holdfast.watch.station import Station

NOW = 1_790_000_000
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
pytestmark = pytest.mark.timeout(120)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Fails as often as it is told to."""

    @property
    def of(self):
        assert isinstance(self.server, Server)
        return self.server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.of.came.put((self.path, dict(self.headers), body))
        self.of.failures -= 1
        self.send_response(200 if self.of.failures < 0 else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *about):
        pass


class Server(http.server.ThreadingHTTPServer):
    failures = 0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.came: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue()


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def station(tmp_path):
    made = Station(tmp_path, parse(SAMPLE.read_bytes()), "w", KEY, frozenset(), lambda call: call())
    yield made
    made.close()


def changed(station, published=NOW):
    event = Event(
        "20260921-1300-VEL", "VEL", "call-blocking", NOW - 600, NOW, published,
        hurt=(Hurt("calls", NOW - 600, 0, ("veltel",)),), operators=("veltel",),
    )  # fmt: skip
    for call in station.changed:
        call(event)


def check(headers, body, public):
    """As docs/run-a-watch.md tells a receiver to."""
    headers = {name.lower(): value for name, value in headers.items()}
    message = b"holdfast/hook/1" + headers["holdfast-time"].encode() + hashlib.sha256(body).digest()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    key.verify(bytes.fromhex(headers["holdfast-signature"]), message)


def test_a_change_is_told_signed_and_tried_again(server, station, monkeypatch):
    monkeypatch.setattr(hooks, "PAUSES", (0.01, 0.01))
    server.failures = 2
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    sender = hooks.Sender(station, ("http://127.0.0.1:9/nobody", url), lambda: NOW)
    changed(station)
    came = [server.came.get(timeout=60) for _ in range(3)]
    assert {path for path, _, _ in came} == {"/hook"} and len({body for *_, body in came}) == 1
    _, headers, body = came[-1]
    check(headers, body, station.public.hex())
    told = json.loads(body)
    assert told["id"] == "20260921-1300-VEL" and "Calls blocked in Velin" in told["title"]
    for wrong_body, wrong in (
        (body + b" ", headers), (body, {**headers, "holdfast-time": "0"}),
        (body, {**headers, "holdfast-signature": "00" * 64}),
    ):  # fmt: skip
        with pytest.raises(InvalidSignature):
            check({name.lower(): value for name, value in wrong.items()}, wrong_body,
                  station.public.hex())  # fmt: skip
    changed(station, NOW + 300)
    server.came.get(timeout=60)
    sender.close()
    sender.join()
    assert server.came.empty()


def test_who_never_answers_delays_nobody_for_long(server, station, monkeypatch):
    monkeypatch.setattr(hooks, "PAUSES", (0.01, 0.01))
    server.failures = 3
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    sender = hooks.Sender(station, (url,), lambda: NOW)
    changed(station)
    changed(station, NOW + 300)
    assert len([server.came.get(timeout=60) for _ in range(4)]) == 4  # three tries, then the next
    sender.close()
    sender.join()
