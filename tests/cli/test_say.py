"""What the command prints, and how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.parser import make_parser
from holdfast.cli.say import CODES, Exit, safe
from holdfast.node.schema import NodeApi


def test_a_text_cannot_give_orders_to_the_terminal() -> None:
    text = safe("\x1b]0;title\x07\x9b31m\u202egnp\u2066.exe\r")
    assert not set(text) & set("\x1b\x07\x9b\u202e\u2066\r")
    assert safe("Привет, 世界 👩‍🚀\tok") == "Привет, 世界 👩‍🚀\tok"


def commands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    """All that do something, with those below others."""
    if parser._subparsers is None:
        yield parser
        return
    for below in parser._subparsers._group_actions[0].choices.values():  # type: ignore[union-attr]
        yield from commands(below)


def test_every_command_names_a_function_that_exists() -> None:
    for parser in commands(make_parser()):
        module, function = parser.get_default("run").split(":")
        assert callable(getattr(import_module(f"holdfast.cli.{module}"), function))


def test_every_refusal_has_an_exit_code() -> None:
    stated = (NodeApi.__doc__ or "").split("Codes:")[1].split(".")[0]
    codes = {code.split("(")[0].strip() for code in re.sub(r"\([^)]*\)", "", stated).split(",")}
    assert codes - set(CODES) == {"internal"}


def test_without_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contacts", "--home", str(tmp_path)]) == Exit.NOT_RUNNING
    said = capsys.readouterr()
    assert "holdfast node --home" in said.err
    assert said.out == ""


def test_without_a_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HOLDFAST_HOME", raising=False)
    assert main(["contacts"]) == Exit.USAGE
    assert "--home" in capsys.readouterr().err


def test_help_imports_no_cryptography() -> None:
    code = "import sys, holdfast.cli as c; c.make_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"cryptography", "vodozemac", "apsw", "picows", "asyncio"} & set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == Exit.OK
    assert "invitations" in capsys.readouterr().out


@pytest.mark.parametrize("rate", ["nan", "-1", "0", "1e9", "inf"])
def test_a_rate_that_makes_no_sense_is_refused_before_a_relay_starts(
    rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["relay", "--data", str(tmp_path / "r"), "--listen", "127.0.0.1:0", "--rate", rate]
    assert main(words) == Exit.USAGE
    assert "MiB a second" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
