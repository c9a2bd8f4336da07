"""The lab from the command line."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.say import Exit
from holdfast.lab import hosts
from holdfast.lab.scenarios import ALL

CODE = "import sys; from holdfast.cli import main; sys.exit(main())"
LAB = [sys.executable, "-c", CODE, "lab"]


def test_what_can_be_played_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "list", "--json"]) == Exit.OK
    told = capsys.readouterr()
    found = [json.loads(line) for line in told.out.splitlines()]
    assert [one["id"] for one in found] == list(ALL)
    assert all(set(one["ranges"]) == set(one["parameters"]) for one in found)
    assert told.err == ""


def test_without_rights_one_sentence_says_what_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "lacks", lambda: "It needs root.")
    assert main(["lab", "list"]) == Exit.OK
    said = capsys.readouterr().err
    assert said.count(".") == said.count("\n") == 1
    assert all(one.id in said for one in ALL.values() if one.needs_packets)
    assert "tcp16-20" not in said


def test_the_page_lists_what_there_is(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "lab.md"
    copy = tmp_path / "lab.md"
    copy.write_text(page.read_text())
    assert main(["lab", "list", "--page", str(copy)]) == Exit.OK
    assert copy.read_text() == page.read_text(), "run: holdfast lab list --page docs/lab.md"


@pytest.mark.parametrize(
    "wrong",
    [
        ["play", "nothing"],
        ["play", "open", "--set", "x=1"],
        ["play", "tcp16-20", "--set", "share=much"],
        ["play", "open", "--box", "--place", "here"],
        ["list", "--page", __file__],
        ["run"],
        ["run", "open+open"],
    ],
)
def test_what_cannot_be_played_is_said(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", *wrong]) == Exit.USAGE
    assert capsys.readouterr().err.strip().endswith(".")


def test_any_program_is_put_into_a_composition(tmp_path: Path) -> None:
    text = (
        "import socket, sys\n"
        "sock = socket.socket()\n"
        "sock.settimeout(2)\n"
        "try:\n"
        "    sock.connect(('server.test', 443))\n"
        "except TimeoutError:\n"
        "    sys.exit(7)\n"
    )
    program = tmp_path / "program.py"
    program.write_text(text)
    capture = tmp_path / "lab.pcap"
    command = [*LAB, "play", "address-block+dns-slow", "--draw", "--seed", "3"]
    command += ["--at-home", f"{sys.executable} {program}", "--capture", str(capture)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 7, done.stderr
    assert "dns-slow.seconds=" in done.stderr
    assert "dropped" in done.stderr
    assert capture.stat().st_size > 24


def test_in_user_space_it_is_a_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        real = server.getsockname()[1]
        command = [*LAB, "play", "open", "--box", "--place", f"a.test:443=127.0.0.1:{real}"]
        with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as box:
            assert box.stdout is not None
            port = int(box.stdout.readline().rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", port), 20) as sock:
                sock.sendall(b"\x05\x01\x00\x05\x01\x00\x03\x06a.test\x01\xbb")
                with server.accept()[0] as accepted:
                    sock.sendall(b"there")
                    accepted.settimeout(20)
                    assert accepted.recv(10) == b"there"
            box.send_signal(signal.SIGINT)
            assert box.wait(20) == Exit.OK
