"""A relay's settings by flag, environment and file."""

import shlex
import tomllib
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.parser import make_parser
from holdfast.cli.say import Exit, Trouble
from holdfast.cli.settings import PREFIX, RELAY, fill

ROOT = Path(__file__).resolve().parents[2]


def asked(*flags: str):
    return make_parser().parse_args(["relay", *flags])


def test_a_flag_outranks_the_environment_and_that_the_file(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('listen = "c:3"\ndecoy = "c"\nproxy = "c"\nrate = 2\nudp = false\ndata = "d"\n')
    found = asked("--config", str(file), "--listen", "a:1")
    fill(found, {PREFIX + "LISTEN": "b:2", PREFIX + "DECOY": "b", PREFIX + "DECOY_H2": "b"})
    assert (found.listen, found.decoy, found.decoy_h2, found.proxy) == ("a:1", "b", "b", "c")
    assert (found.rate, found.udp, found.data) == (2.0, False, Path("d"))
    assert found.cert is None


def test_every_setting_has_a_flag_and_is_told_of() -> None:
    found = vars(asked())
    docs = (ROOT / "docs" / "run-a-relay.md").read_text()
    for name in RELAY:
        assert found[name.replace("-", "_")] is None, name  # not said
        assert f"| `{name}` |" in docs


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("listen = ", "no TOML"),
        ("port = 1", "port, which is no setting"),
        ("listen = 443", "must be a text"),
        ('rate = "much"', "must be a number"),
        ("udp = 3", "must be true or false"),
        ("data = true", "must be a path"),
        ("rate = true", "must be a number"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(text)
    with pytest.raises(Trouble, match=why):
        fill(asked(), {PREFIX + "CONFIG": str(file)})


@pytest.mark.parametrize(("value", "found"), [("yes", True), ("0", False), ("FALSE", False)])
def test_yes_and_no_in_the_environment(value: str, found: bool) -> None:
    settings = asked()
    fill(settings, {PREFIX + "UDP": value})
    assert settings.udp is found


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--config", str(tmp_path / "no")]) == Exit.USAGE
    assert "cannot be read" in capsys.readouterr().err
    assert main(["relay"]) == Exit.USAGE
    assert "--data" in capsys.readouterr().err


def test_what_is_deployed_is_understood(tmp_path: Path) -> None:
    """The unit, the container and the file name settings that there are."""
    file = ROOT / "deploy" / "relay.toml"
    settings = asked("--config", str(file))
    fill(settings, {})
    assert settings.listen == "0.0.0.0:443"
    whole = "\n".join(
        line.removeprefix("# ") if " = " in line else "" for line in file.read_text().splitlines()
    )
    assert set(tomllib.loads(whole)) <= set(RELAY)
    unit = (ROOT / "deploy" / "holdfast-relay.service").read_text()
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    make_parser().parse_args(shlex.split(start)[1:])
    container = (ROOT / "deploy" / "Containerfile").read_text()
    for word in container.split():
        if word.startswith(PREFIX):
            name = word.split("=")[0].removeprefix(PREFIX).lower().replace("_", "-")
            assert name in RELAY
