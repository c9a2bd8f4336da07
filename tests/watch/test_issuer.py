"""Keys are made before they are asked for, and go when their time is over."""

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast.core import report
from holdfast.watch.issuer import Issuer

NOW = 1_790_000_000
pytestmark = [pytest.mark.usefixtures("ready_keys"), pytest.mark.timeout(120)]


@pytest.fixture
def issuer(tmp_path):
    made = Issuer(tmp_path / "issuer.db", "w", False)
    yield made
    made.close()


def never(*about):
    raise AssertionError("a key was made when it was asked for")


def test_what_is_asked_for_was_made_before(issuer, monkeypatch):
    issuer.prepare(NOW)
    monkeypatch.setattr(rsa, "generate_private_key", never)
    first = issuer.keys(NOW)
    assert issuer.keys(NOW) == first
    assert len({key.spki for key in first.keys}) == len(first.keys)
    later = issuer.keys(NOW + 3600)  # the hour that came into reach
    kept = {(key.kind, key.window): key.spki for key in first.keys}
    assert all(key.spki == kept.get((key.kind, key.window), key.spki) for key in later.keys)


def test_who_needs_a_key_that_is_there_does_not_wait_for_one_that_is_made(issuer, monkeypatch):
    issuer.keys(NOW)
    made = rsa.generate_private_key(65_537, 2048)
    begun, go = threading.Event(), threading.Event()

    def slow(*about):
        begun.set()
        assert go.wait(60)
        return made

    monkeypatch.setattr(rsa, "generate_private_key", slow)
    thread = threading.Thread(target=issuer.prepare, args=(NOW,))
    thread.start()
    assert begun.wait(60)
    assert issuer.keys(NOW).keys
    assert issuer.verifier("calls", report.window("calls", NOW), NOW) is not None
    assert thread.is_alive()  # neither has waited for the new key
    issuer.stop_making()
    go.set()
    thread.join(60)
    assert not thread.is_alive()


def test_each_month_has_another_key_and_old_ones_are_deleted(issuer):
    month = report.window("alive", NOW)
    old = issuer.verifier("alive", month, NOW)
    later = NOW + 70 * 86_400
    issuer.forget(later)
    assert issuer.verifier("alive", month, later) is None
    new = issuer.verifier("alive", report.window("alive", later), later)
    assert old is not None and new is not None and old.spki != new.spki
    kept = issuer._database.execute("select count(*) from keys where window = ?", (month,))
    assert kept.fetchone() == (0,)
