"""crowd-alarm: somebody has a tenth of a region's credentials and lets an observatory raise an
alarm where nothing is wrong.

Elsewhere: Sybil attacks (Douceur 2002); measurements that were made up (Nobori and Shinjo 2014,
VPN Gate, section 4).
"""

import pytest
from attacks.hostile import creep, trial

from holdfast.watch import creeping, judging

SEED = 24
"""Of a plan that succeeds where nothing is against it."""


@pytest.mark.parametrize("watches", [1, 2])
def test_a_tenth_of_the_credentials_raises_nothing(watches):
    assert not trial(SEED, 0.1, watches)


def test_twin_more_than_the_quorum_does():
    assert trial(SEED, 0.4, 1)


def test_twin_without_the_quorum_a_tenth_does(monkeypatch):
    monkeypatch.setattr(judging, "QUORUM", 0.0)
    assert trial(SEED, 0.1, 1)


def test_measurements_that_get_slower_raise_nothing_and_twin(monkeypatch):
    assert not creep(1, 0.1)
    monkeypatch.setattr(creeping, "HOURS", 0.001)
    assert creep(1, 0.1)
