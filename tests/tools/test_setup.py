"""What setting up says when something is missing, and that it does nothing twice."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import check
import pytest
import run
import setup


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("dns error: Temporary failure in name resolution", "network cannot be reached"),
        ("npm error code EAI_AGAIN", "network cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("npm error ERESOLVE could not resolve dependency", "the lines above say why"),
        ("vite: Could not resolve './nothing'", "the lines above say why"),
    ],
)
def test_a_failure_is_one_sentence(said: str, sentence: str) -> None:
    with pytest.raises(setup.CannotSetUp, match=sentence):
        setup.run("Trying", python(f"print({said!r}); raise SystemExit(1)"), 30)


def test_only_a_failure_without_a_known_cause_shows_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup.run("Trying", python("print('noise')"), 30)
    with pytest.raises(setup.CannotSetUp):
        setup.run("Trying", python("print('ENOTFOUND'); raise SystemExit(1)"), 30)
    assert capsys.readouterr().err == ""
    with pytest.raises(setup.CannotSetUp):
        setup.run("Trying", python("print('the cause'); raise SystemExit(1)"), 30)
    assert capsys.readouterr().err == "the cause\n"


def test_without_a_package_manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(setup.CannotSetUp, match="needs chromium, and there is no apt-get"):
        setup.debian(["chromium"], "Testing")


def test_without_the_right_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/false\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup.CannotSetUp, match="this user may not install"):
        setup.debian(["chromium"], "Testing")


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    with pytest.raises(setup.CannotSetUp, match=r"needs Python 3\.11 or newer"):
        setup.set_up()


def test_a_stamp_knows_its_inputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    source, stamp = tmp_path / "source", tmp_path / "stamp"
    source.write_text("one")
    before = setup.digest([source])
    assert not setup.fresh(stamp, before)
    stamp.write_text(before)
    assert setup.fresh(stamp, setup.digest([source]))
    source.write_text("two")
    assert not setup.fresh(stamp, setup.digest([source]))


def test_a_lock_that_names_another_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    lock = tmp_path / "uv.lock"
    lock.write_text('source = { registry = "https://pypi.org/simple" }\n')
    assert check.foreign() == []
    lock.write_text('sdist = { url = "https://mirror.example/x.tar.gz" }\n')
    assert check.foreign() == ["uv.lock: https://mirror.example"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    first = run.Place(tmp_path)
    with pytest.raises(setup.CannotSetUp, match=f"runs here already .*kill {os.getpid()}"):
        run.Place(tmp_path)
    os.close(first.lock)
    second = run.Place(tmp_path)
    assert second.port_of("relay") == second.port_of("relay")
    os.close(second.lock)


def test_a_stage_over_its_limit_fails() -> None:
    good, _ = check.run(check.Stage("slow", python("import time; time.sleep(60)"), 1))
    assert not good
    assert check.run(check.Stage("quick", python("print('1 passed')"), 30)) == (
        True,
        ["1 passed\n"],
    )
