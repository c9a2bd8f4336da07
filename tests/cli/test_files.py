"""Files and voice notes on the command line, over a real relay and two real nodes."""

from __future__ import annotations

import io
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.test_commands import Person

from holdfast.cli import files
from holdfast.cli.say import Exit, Trouble, size_text
from holdfast.sound import wav
from holdfast.testing.listening import speech
from holdfast.testing.processes import NodeProgram, Processes


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProgram, NodeProgram]]:
    with Processes(tmp_path_factory.mktemp("files")) as run:
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
    return anna, boris


def carried(person: Person, name: str) -> str:
    """The id of the message with a file of that name."""
    for _ in range(600):
        for one in person.json("read", "Anna", "--limit", "100"):
            if one["kind"] == "file" and one["file"]["name"] == name:
                return str(one["id"])
    raise AssertionError(f"{name} never came")


def test_a_file_goes_over_and_is_written_whole(
    people: tuple[Person, Person], tmp_path: Path
) -> None:
    anna, boris = people
    data = secrets.token_bytes(3_000_000)
    (tmp_path / "plan.bin").write_bytes(data)
    file, text = anna.json(
        "send", "Boris", "Here it is", "--file", str(tmp_path / "plan.bin"), "--wait", "sent"
    )
    assert file["file"]["state"] in ("sent", "whole")
    assert text["text"] == "Here it is"
    id = carried(boris, "plan.bin")
    folder = tmp_path / "got"
    folder.mkdir()
    done = boris.one("fetch", id, "--to", str(folder))
    assert done["file"] == str(folder / "plan.bin")
    assert (folder / "plan.bin").read_bytes() == data
    assert [path.name for path in folder.iterdir()] == ["plan.bin"]
    assert "exists" in boris.fails(Exit.USAGE, "fetch", id, "--to", str(folder))
    (folder / "plan.bin").write_text("other")
    assert boris.text("fetch", id, "--to", str(folder), "--force").endswith("plan.bin.")
    assert (folder / "plan.bin").read_bytes() == data
    assert "plan.bin, 3.0 MB, whole" in boris.text("read", "Anna")


def test_a_voice_note_can_be_played(people: tuple[Person, Person], tmp_path: Path) -> None:
    anna, boris = people
    spoken = tmp_path / "hello.wav"
    with wav.Writer(spoken) as out:
        for pcm in wav.read(speech()[0], format="g722"):
            out.write(pcm)
    sent = anna.one("send", "Boris", "--voice", str(spoken), "--wait", "delivered")
    assert sent["file"]["kind"] == "voice"
    assert sent["file"]["state"] == "whole"
    assert len(sent["file"]["wave"]) == 64
    got = tmp_path / "got.ogg"
    boris.one("fetch", carried(boris, "hello.ogg"), "--to", str(got))
    seconds = sum(map(len, wav.read(got))) / 96_000
    assert abs(seconds * 1000 - sent["file"]["duration"]) <= 20


def test_a_file_of_ones_own_is_taken_back(people: tuple[Person, Person], tmp_path: Path) -> None:
    anna, _ = people
    (tmp_path / "wrong.bin").write_bytes(b"x" * 1000)
    sent = anna.one("send", "Boris", "--file", str(tmp_path / "wrong.bin"))
    assert anna.one("cancel", sent["id"]) == {"deleted": sent["id"]}
    assert anna.fails(Exit.NOT_FOUND, "fetch", sent["id"], "--to", str(tmp_path))


def test_what_cannot_be_sent_is_said(people: tuple[Person, Person], tmp_path: Path) -> None:
    anna, _ = people
    assert "what to send" in anna.fails(Exit.USAGE, "send", "Boris")
    missing = str(tmp_path / "missing")
    assert "Cannot read" in anna.fails(Exit.USAGE, "send", "Boris", "--file", missing)
    assert "Cannot read" in anna.fails(Exit.USAGE, "send", "Boris", "--voice", missing)
    (tmp_path / "text").write_text("text")
    text = str(tmp_path / "text")
    assert "not a sound file" in anna.fails(Exit.USAGE, "send", "Boris", "--voice", text)
    anna.fails(Exit.NOT_FOUND, "send", "Nobody", "--file", text)


def test_what_cannot_be_fetched_is_said(people: tuple[Person, Person], tmp_path: Path) -> None:
    anna, _ = people
    text = anna.one("send", "Boris", "only words")["id"]
    assert "no file" in anna.fails(Exit.NOT_FOUND, "fetch", text, "--to", str(tmp_path / "x"))
    anna.fails(Exit.NOT_FOUND, "fetch", "ffff", "--to", str(tmp_path / "x"))


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc/passwd"])
def test_a_name_never_chooses_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(Trouble):
        files._target(tmp_path, name, False)
    assert files._target(tmp_path / "mine", name, False) == tmp_path / "mine"


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    files.Progress("Sent", 10_000_000).show(1_000_000, 100_000)
    assert said.getvalue() == ""
    monkeypatch.setattr(said, "isatty", lambda: True)
    progress = files.Progress("Sent", 10_000_000)
    progress.show(1_000_000, 100_000)
    assert "Sent 1.0 MB of 10.0 MB, 100 KB/s, 1:30 left" in said.getvalue()
    progress.end()
    assert said.getvalue().endswith("\r\x1b[K")


def test_bytes_for_people() -> None:
    sizes = (0, 999, 1000, 99_960, 999_600, 123_456_789, 5 * 10**15)
    said = ["0 bytes", "999 bytes", "1.0 KB", "100 KB", "1.0 MB", "123 MB", "5000 TB"]
    assert [size_text(size) for size in sizes] == said


def test_commands_without_sound_load_no_codec(people: tuple[Person, Person]) -> None:
    anna, _ = people
    code = (
        "import sys; from holdfast.cli import main;"
        f"main(['read', 'Boris', '--home', {anna.home!r}]); sys.exit('av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=-1, check=False).returncode == 0
