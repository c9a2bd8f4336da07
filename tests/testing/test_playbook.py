"""A script passes when it is followed and says where it was not."""

from dataclasses import dataclass

import pytest

from holdfast.testing.playbook import Playbook, Some, do


@dataclass(frozen=True)
class Said:
    word: str


class Parrot:
    def __init__(self) -> None:
        self._later: list[Said] = []

    def hear(self, word: str, times: int = 1) -> list[Said]:
        return [Said(word)] * times

    def note(self, word: str) -> None:
        self._later.append(Said(word))

    def take(self) -> list[Said]:
        later, self._later = self._later, []
        return later


def test_a_script_that_is_followed() -> None:
    assert (
        Playbook(Parrot())
        >> do.hear("hello", times=2)
        << Said("hello")
        << Some(Said, lambda said: said.word.startswith("h"))
        >> do.hear("", times=0)
    )
    assert Playbook(Parrot(), take="take") >> do.note("a") << Said("a")


def test_what_is_wrong_is_told_with_the_script() -> None:
    with pytest.raises(AssertionError, match=r">> hear\('a'\)\n<< Said\(word='b'\)\nbut this"):
        Playbook(Parrot()) >> do.hear("a") << Said("b")
    with pytest.raises(AssertionError, match="nothing came"):
        Playbook(Parrot()) >> do.hear("a") << Said("a") << Said("a")
    with pytest.raises(AssertionError, match="came too"):
        Playbook(Parrot()) >> do.hear("a") >> do.hear("b")
    with pytest.raises(AssertionError, match="came too"):
        assert Playbook(Parrot()) >> do.hear("a")
