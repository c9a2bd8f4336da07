"""Calls on the command line, as they end before anybody talks; tests/e2e has those that do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from cli.test_commands import Person

from holdfast.cli.say import Exit
from holdfast.sound import wav
from holdfast.testing.processes import NodeProgram, Processes

PATIENCE = 30


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProgram, NodeProgram]]:
    with Processes(tmp_path_factory.mktemp("sounding")) as run:
        relay = run.relay("relay")
        yield run.node("Anna", relay.address), run.node("Boris", relay.address)


@pytest.fixture
def people(
    programs: tuple[NodeProgram, NodeProgram], capsys: pytest.CaptureFixture[str]
) -> tuple[Person, Person]:
    anna, boris = (Person(node, capsys) for node in programs)
    if not boris.json("contacts"):
        boris.one("accept", anna.text("invite"))
        anna.until(1, "contacts")
    for person in (anna, boris):
        for _ in range(PATIENCE * 20):
            if not person.json("calls"):
                break
            time.sleep(0.05)
    return anna, boris


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    path = tmp_path / "spoken.wav"
    with wav.Writer(path) as out:
        out.write(bytes(96_000 * 30))
    return path


class Command:
    """A command in a process of its own, whose words are read as they come."""

    def __init__(self, person: Person, *arguments: str | Path) -> None:
        words = [sys.executable, "-m", "holdfast.cli", *map(str, arguments), "--home", person.home]
        self.process = subprocess.Popen(words, stdout=-1, stderr=-1, text=True)
        self.said = ""
        assert self.process.stderr is not None
        self._reading = threading.Thread(target=self._read, args=(self.process.stderr,))
        self._reading.start()

    def _read(self, stderr: IO[str]) -> None:
        for line in stderr:
            self.said += line

    def until(self, words: str) -> None:
        for _ in range(PATIENCE * 50):
            if re.search(words, self.said):
                return
            time.sleep(0.02)
        raise AssertionError(f"never said {words!r}: {self.said}")

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reading.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def rings(caller: Person, called: Person, spoken: Path, out: Path) -> Command:
    command = Command(caller, "call", "Boris", "--in", spoken, "--out", out)
    called.until(1, "calls")
    return command


def test_declined(people: tuple[Person, Person], spoken: Path, tmp_path: Path) -> None:
    anna, boris = people
    command = rings(anna, boris, spoken, tmp_path / "out.wav")
    assert boris.text("decline") == "Declined."
    assert command.end() == Exit.DECLINED
    assert command.said.endswith("They declined.\n")
    assert "Calling…\n" in command.said


def test_it_rings_until_interrupted(
    people: tuple[Person, Person], spoken: Path, tmp_path: Path
) -> None:
    anna, boris = people
    command = rings(anna, boris, spoken, tmp_path / "out.wav")
    command.until("Ringing…")
    assert "from Anna: ringing" in boris.text("calls")
    assert anna.one("calls")["outgoing"] is True
    assert "going on already" in anna.fails(
        Exit.REFUSED, "call", "Boris", "--in", str(spoken), "--out", str(tmp_path / "2.wav")
    )
    os.kill(command.process.pid, signal.SIGINT)
    assert command.end() == Exit.STOPPED
    for person in people:
        for _ in range(PATIENCE * 20):
            if not person.json("calls"):
                break
            time.sleep(0.05)
        assert person.json("calls") == []


def test_muting_and_hanging_up_from_another_command(
    people: tuple[Person, Person], spoken: Path, tmp_path: Path
) -> None:
    anna, boris = people
    answering = Command(boris, "answer", "--in", spoken, "--out", tmp_path / "b.wav")
    answering.until("Waiting")
    calling = Command(anna, "call", "Boris", "--in", spoken, "--out", tmp_path / "a.wav")
    calling.until("Talking")
    answering.until("Talking")
    assert anna.text("mute") == "Muted."
    assert anna.one("calls")["muted"] is True
    assert anna.one("mute", "--undo")["muted"] is False
    assert boris.text("hangup") == "The call is over."
    assert calling.end() == Exit.OK
    answering.until("The call is over")
    assert answering.process.poll() is None  # it waits for the next
    answering.process.send_signal(signal.SIGTERM)
    assert answering.end() == Exit.STOPPED
    assert (tmp_path / "a.wav").stat().st_size > 44


def test_without_a_call_there_is_nothing_to_end(people: tuple[Person, Person]) -> None:
    anna, _ = people
    assert anna.text("calls") == ""
    for command in ("decline", "hangup", "mute"):
        assert "no call going on" in anna.fails(Exit.NOT_FOUND, command)


def test_files_are_looked_at_before_anybody_is_rung(
    people: tuple[Person, Person], spoken: Path, tmp_path: Path
) -> None:
    anna, boris = people

    def fails(code: Exit, name: str, source: Path, out: Path) -> str:
        return anna.fails(code, "call", name, "--in", str(source), "--out", str(out))

    (tmp_path / "text").write_text("text")
    assert "not a sound file" in fails(Exit.USAGE, "Boris", tmp_path / "text", tmp_path / "o")
    assert "Cannot read" in fails(Exit.USAGE, "Boris", tmp_path / "none", tmp_path / "o")
    assert "exists" in fails(Exit.USAGE, "Boris", spoken, tmp_path / "text")
    assert "no folder" in fails(Exit.USAGE, "Boris", spoken, tmp_path / "no" / "o.wav")
    fails(Exit.NOT_FOUND, "Nobody", spoken, tmp_path / "o.wav")
    assert not (tmp_path / "o.wav").exists()
    assert boris.json("calls") == []
