"""The model of first contact, envelope and roster change holds; without a defence it does not."""

import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[3] / "spec" / "model" / "first_contact.pml"
BROKEN = ("HASH", "BINDING", "CONTEXT", "REMOVAL")


def checked(folder: Path, *defines: str) -> str:
    """What Spin says after looking at every state within the model's bounds."""

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=50, check=True
        )
        return done.stdout

    run("spin", "-a", *defines, str(MODEL))
    run("gcc", "-O1", "-DSAFETY", "-w", "-o", "pan", "pan.c")
    return run("./pan", "-E", "-m10000")


def test_it_holds(tmp_path: Path) -> None:
    said = checked(tmp_path)
    assert "errors: 0" in said
    assert "max search depth too small" not in said
    assert "Search not completed" not in said


@pytest.mark.parametrize("defence", BROKEN)
def test_twin_without_a_defence_there_is_a_counterexample(defence: str, tmp_path: Path) -> None:
    said = checked(tmp_path, f"-DBROKEN_{defence}")
    assert "assertion violated" in said
    assert "errors: 1" in said


def test_every_defence_can_be_left_out() -> None:
    text = MODEL.read_text()
    for defence in BROKEN:
        assert f"BROKEN_{defence}" in text.split("*/", 1)[1]
