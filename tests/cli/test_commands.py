"""The commands as scripts use them, over a real relay and two real nodes."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import main
from holdfast.cli.say import Exit
from holdfast.testing.processes import NodeProgram, Processes, Program

PATIENCE = 30


class Person:
    """Runs commands against one node."""

    def __init__(self, node: Program, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = str(node.directory)
        self._capsys = capsys

    def fails(self, code: Exit, *arguments: str) -> str:
        """The sentence of a command that ends like this."""
        assert main([*arguments, "--home", self.home]) == code
        return self._capsys.readouterr().err

    def text(self, *arguments: str) -> str:
        assert main([*arguments, "--home", self.home]) == Exit.OK
        return self._capsys.readouterr().out.rstrip("\n")

    def json(self, *arguments: str) -> list[Any]:
        return [json.loads(line) for line in self.text(*arguments, "--json").splitlines()]

    def one(self, *arguments: str) -> Any:
        (found,) = self.json(*arguments)
        return found

    def until(self, count: int, *arguments: str) -> list[Any]:
        """Repeat until it answers with so many lines."""
        for _ in range(PATIENCE * 20):
            if len(found := self.json(*arguments)) >= count:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{arguments} never had {count} lines")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProgram, NodeProgram]]:
    with Processes(tmp_path_factory.mktemp("commands")) as run:
        relay = run.relay("relay")
        yield run.node("Anna", relay.address), run.node("Boris", relay.address)


@pytest.fixture
def people(
    programs: tuple[NodeProgram, NodeProgram], capsys: pytest.CaptureFixture[str]
) -> tuple[Person, Person]:
    """Anna and Boris, who are contacts."""
    anna, boris = (Person(node, capsys) for node in programs)
    if not boris.json("contacts"):
        boris.one("accept", anna.text("invite"))
        anna.until(1, "contacts")
    return anna, boris


def test_options_stand_before_or_after(people: tuple[Person, Person]) -> None:
    anna, _ = people
    assert main(["--home", anna.home, "--json", "status"]) == Exit.OK
    before = json.loads(anna._capsys.readouterr().out)
    assert main(["status", "--home", anna.home, "--json"]) == Exit.OK
    after = json.loads(anna._capsys.readouterr().out)
    assert before["name"] == after["name"] == "Anna"


def test_the_environment_names_the_node(
    people: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, boris = people
    monkeypatch.setenv("HOLDFAST_HOME", boris.home)
    assert main(["status"]) == Exit.OK
    assert anna._capsys.readouterr().out.startswith("Boris")
    assert main(["status", "--home", anna.home]) == Exit.OK
    assert anna._capsys.readouterr().out.startswith("Anna")


def test_a_conversation(people: tuple[Person, Person]) -> None:
    anna, boris = people
    sent = anna.one("send", "Boris", "On", "my", "way", "--wait", "delivered")
    assert (sent["text"], sent["state"] in ("delivered", "read")) == ("On my way", True)
    (hit,) = boris.until(1, "search", "way")
    got = hit["message"]["id"]
    assert boris.one("reply", got, "Good")["reply_to"]["text"] == "On my way"
    assert boris.one("react", got, "👍")["reactions"][0]["emoji"] == "👍"
    assert anna.until(1, "search", "good")
    assert anna.one("edit", sent["id"], "Nearly there")["text"] == "Nearly there"
    assert boris.until(1, "search", "nearly")
    assert [m["text"] for m in boris.json("export", "Anna") if m["kind"] == "text"] == [
        "Nearly there",
        "Good",
    ]
    assert "Good" in anna.text("read", "Boris", "--mark")
    assert anna.one("delete", sent["id"]) == {"deleted": sent["id"]}


def test_a_channel(people: tuple[Person, Person]) -> None:
    anna, boris = people
    made = anna.one("channel", "create", "Town news", "--about", "What happens")
    anna.one("send", "Town news", "bridge", "closed")
    link = anna.one("channel", "show", made["id"])["link"]
    theirs = boris.one("channel", "follow", link)["id"]
    assert boris.until(1, "search", "bridge")
    assert "bridge closed" in boris.text("read", theirs)
    assert "1 to" not in boris.text("channel", "show", theirs)
    assert anna.one("channel", "set", made["id"], "--title", "News")["title"] == "News"
    boris.fails(Exit.REFUSED, "send", theirs, "me too")
    new = anna.one("channel", "move", made["id"], "--public")["id"]
    for person, id in ((boris, theirs), (anna, made["id"]), (anna, new)):
        person.text("channel", "leave", id)


def test_an_open_group(people: tuple[Person, Person]) -> None:
    anna, boris = people
    made = anna.one("channel", "create", "Square", "--open", "Olga")
    link = anna.one("channel", "show", made["id"])["link"]
    theirs = boris.one("channel", "follow", link)["id"]
    boris.fails(Exit.REFUSED, "send", theirs, "watches for sale")
    assert boris.one("channel", "follow", link, "--name", "Bob")["open"] == "writes"
    assert "you as Bob" in boris.text("channel", "show", theirs)
    boris.one("send", theirs, "watches for sale")
    (hit,) = anna.until(1, "search", "watches")
    anna.text("channel", "silence", made["id"], hit["message"]["author"]["id"])
    assert "watches" not in anna.text("read", made["id"])
    for person, id in ((boris, theirs), (anna, made["id"])):
        person.text("channel", "leave", id)


def test_the_same_key_is_the_same_message(people: tuple[Person, Person]) -> None:
    anna, _ = people
    first = anna.one("send", "Boris", "once", "--key", "k1")
    assert anna.one("send", "Boris", "once", "--key", "k1")["id"] == first["id"]


def test_a_text_from_standard_input(
    people: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, _ = people
    monkeypatch.setattr("sys.stdin", io.StringIO("first\nsecond"))
    sent = anna.one("send", "Boris", "-")
    assert sent["text"] == "first\nsecond"
    assert "first\n    second" in anna.text("read", "Boris")


def test_contacts(people: tuple[Person, Person]) -> None:
    anna, _ = people
    assert anna.one("rename", "Boris", "Borja")["name"] == "Borja"
    assert anna.one("contact", "Borja")["own_name"] == "Boris"
    assert anna.one("timer", "Borja", "60")["timer"] == 60
    assert anna.one("timer", "Borja", "0")["timer"] == 0
    assert "Verify them first" in anna.fails(Exit.REFUSED, "direct", "Borja")
    assert anna.one("direct", "Borja", "--undo")["direct"] is False
    assert anna.one("block", "Borja")["state"] == "blocked"
    assert anna.one("block", "Borja", "--undo")["state"] == "active"
    assert anna.one("rename", "Borja", "")["name"] == "Boris"
    assert "no comparison" in anna.fails(Exit.NOT_FOUND, "verify", "Boris", "--show").lower()
    anna.text("typing", "Boris")


def test_refusals_have_codes_and_sentences(people: tuple[Person, Person]) -> None:
    anna, boris = people
    assert anna.fails(Exit.NOT_FOUND, "send", "Nobody", "hi").endswith(".\n")
    assert anna.fails(Exit.REFUSED, "accept", "holdfast:rubbish")
    assert "theme" in anna.fails(Exit.USAGE, "settings", "colour=red")
    assert anna.fails(Exit.REFUSED, "accept", anna.text("invite"))
    assert boris.fails(Exit.NOT_FOUND, "revoke", "nothing")


def test_invitations(people: tuple[Person, Person]) -> None:
    anna, boris = people
    made = anna.one("invite", "--label", "for the door", "--hours", "1")
    assert made["state"] == "open"
    assert anna.one("revoke", made["id"])["state"] == "revoked"
    states = {one["id"]: one["state"] for one in anna.json("invitations")}
    assert states[made["id"]] == "revoked"
    assert boris.fails(Exit.REFUSED, "accept", made["link"])


def test_settings_and_relays(people: tuple[Person, Person]) -> None:
    anna, _ = people
    assert anna.one("settings", "typing=false", "theme=dark")["typing"] is False
    assert "theme=dark" in anna.text("settings")
    anna.text("settings", "typing=true")
    (relay,) = anna.json("relays")
    assert relay["mine"] is True
    assert anna.fails(Exit.USAGE, "relays", "add")
    assert anna.text("open").startswith("http://127.0.0.1:")
    assert anna.one("name", "Anna")["name"] == "Anna"


def listening(person: Person, since: str, count: int) -> list[Any]:
    """The first events of `listen --since`."""
    command = [sys.executable, "-m", "holdfast.cli", "listen", "--since", since, "--json"]
    with subprocess.Popen(
        [*command, "--home", person.home], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(count)]
        process.terminate()
    return lines


def test_listening_goes_on_from_a_cursor(people: tuple[Person, Person]) -> None:
    anna, _ = people
    first, second = (anna.one("send", "Boris", text, "--wait", "delivered") for text in "12")
    for since, expected in ((0, 1), (first["cursor"], 1)):
        (event,) = listening(anna, str(since), expected)
        assert event["type"] == "message"
        assert event["message"]["cursor"] > since
    (event,) = listening(anna, str(first["cursor"]), 1)
    assert event["message"]["id"] == second["id"]


def test_a_passphrase(
    people: tuple[Person, Person], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, _ = people
    word = tmp_path / "word"
    word.write_text("long enough for a test\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("another\n")
    set_it = anna.one("passphrase", "--new-passphrase-file", str(word))
    assert set_it["passphrase"] is True
    anna.fails(Exit.LOCKED, "passphrase", "--remove", "--passphrase-file", str(wrong))
    removed = anna.one("passphrase", "--remove", "--passphrase-file", str(word))
    assert removed["passphrase"] is False
    monkeypatch.setattr("sys.stdin", io.StringIO("piped in\npiped in\n"))
    assert anna.one("passphrase")["passphrase"] is True
    monkeypatch.setattr("sys.stdin", io.StringIO("piped in\n"))
    assert anna.one("passphrase", "--remove")["passphrase"] is False
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "no passphrase" in anna.fails(Exit.USAGE, "passphrase")


def test_emoji(people: tuple[Person, Person], programs: tuple[NodeProgram, NodeProgram]) -> None:
    anna, boris = people
    command = [sys.executable, "-m", "holdfast.cli", "verify", "Boris", "--yes", "--json"]
    with subprocess.Popen(
        [*command, "--home", anna.home], stdout=subprocess.PIPE, text=True
    ) as other:
        mine = boris.json("verify", "Anna", "--yes")
        assert other.stdout is not None
        theirs = [json.loads(line) for line in other.stdout]
    assert mine[0]["emoji"] == theirs[0]["emoji"]
    assert len(mine[0]["emoji"]) == 7
    assert boris.one("contact", "Anna")["verified"] is True
    assert anna.until(1, "contacts")[0]["verified"] is True


def test_a_locked_node_is_unlocked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Processes(tmp_path) as run:
        node = run.node("Clara", run.relay("relay").address)
        clara = Person(node, capsys)
        word = tmp_path / "word"
        word.write_text("long enough for a test\n")
        clara.one("passphrase", "--new-passphrase-file", str(word))
        node.stop()
        node.start()
        assert clara.one("status")["phase"] == "locked"
        assert clara.fails(Exit.LOCKED, "contacts")
        monkeypatch.setenv("HOLDFAST_PASSPHRASE", "wrong")
        assert clara.fails(Exit.LOCKED, "unlock")
        monkeypatch.setenv("HOLDFAST_PASSPHRASE", "long enough for a test")
        assert clara.one("unlock")["phase"] == "ready"
        node.stop()
        assert clara.fails(Exit.NOT_RUNNING, "contacts")


def test_a_backup_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "ten letters or more")
    file = tmp_path / "clara.backup"
    with Processes(tmp_path) as run:
        node = run.node("Clara", run.relay("relay").address)
        clara = Person(node, capsys)
        made = clara.one("backup", str(file))
        assert made["path"] == str(file)
        assert made["size"] == file.stat().st_size
        assert clara.fails(Exit.USAGE, "backup", str(file))  # it is there already
        assert clara.fails(Exit.LOCKED, "restore", str(file))  # somebody is here already
        home = tmp_path / "fresh"
        fresh = Program("fresh", home, ["node", "--home", str(home), "--port", "0", "--no-browser"])
        run._all.append(fresh)
        fresh.start()
        again = Person(fresh, capsys)
        assert again.one("restore", str(file))["name"] == "Clara"
        assert len(again.one("status")["relays"]) == 1


def test_a_new_node_is_set_up_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Processes(tmp_path) as run:
        node = run.node("dora", run.relay("relay").address)
        assert Person(node, capsys).fails(Exit.LOCKED, "setup", "Dora")  # it has a name already


@pytest.mark.parametrize(
    "start", [["relay", "--data", "r", "--listen", "127.0.0.1:{}"], ["node", "--port", "{}"]]
)
def test_a_taken_port(
    start: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = [part.format(port) for part in start]
        assert main([*arguments, "--home", "n"]) == Exit.FAILED
    said = capsys.readouterr()
    assert str(port) in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_an_address_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "n"), "--relay", "rubbish"]
    assert main(["node", *home]) == Exit.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1
