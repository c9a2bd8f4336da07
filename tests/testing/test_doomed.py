"""Points kill where they say, and a trace tells reuse from repetition."""

import signal
import subprocess
import sys
from unittest import mock

import pytest

from holdfast.core.seal.pairwise import Pairwise
from holdfast.drive.logs import Logs
from holdfast.testing.doomed import install, reused, trace
from holdfast.testing.entropy import seeded
from holdfast.testing.pairs import NOW, meet

RUN = """
import sys
from holdfast.testing import doomed
doomed.install(sys.argv[1])
import base64
for n in range(5):
    print(n, flush=True)
    base64.b64encode(b"x")
print("end")
"""


def run(point: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, point], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.split()


def test_a_point_kills_before_or_after_its_nth_call() -> None:
    assert run("base64:b64encode:before:3") == (-signal.SIGKILL, ["0", "1", "2"])
    assert run("base64:b64encode:after:1") == (-signal.SIGKILL, ["0"])
    assert run("base64:b64encode:after:9") == (0, ["0", "1", "2", "3", "4", "end"])


@pytest.mark.parametrize(
    "point", ["base64:nothing:before:1", "base64:b64encode:now:1", "nowhere", "os:getpid:after:1"]
)
def test_a_point_that_does_not_exist_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="point"):
        install(point)


def traced(*steps: tuple[Pairwise, bytes, bool]) -> list[dict[str, object]]:
    """Seal contents one after another; those marked leave the node."""
    lines: list[dict[str, object]] = []
    entropy = seeded("trace")
    with mock.patch.object(Logs, "append"):
        end = trace(lines.append)
        for pairwise, content, leaves in steps:
            blob = pairwise.seal(content, NOW, entropy).blob
            if leaves:
                for _ in range(2):  # to two homes, or again after a reconnection
                    Logs.append(None, None, None, blob[:16], blob, 60)  # type: ignore[arg-type]
        end()
    return lines


def test_a_state_that_is_used_again_is_caught() -> None:
    pairwise = meet().at_anna.pairwise
    first = traced((pairwise, b"one", True))
    state = pairwise.dump(seeded("dump"))
    honest = first + traced((pairwise, b"two", True))
    assert reused(honest) == []
    rolled_back = traced((Pairwise.load(state), b"three", True))
    found = reused(honest + rolled_back)
    assert len(found) == 2
    assert any("sequence number 2" in each for each in found)
    assert any("ratchet key and index" in each for each in found)


def test_a_state_that_never_left_may_be_used_again() -> None:
    pairwise = meet().at_anna.pairwise
    state = pairwise.dump(seeded("dump"))
    lost = traced((pairwise, b"one", False))
    after = traced((Pairwise.load(state), b"two", True))
    assert reused(lost + after) == []
