"""A relay's settings, each by a flag, the environment or a file, in this order.

`--decoy-h2 URL` is `HOLDFAST_RELAY_DECOY_H2=URL` in the environment and `decoy-h2 = "URL"` in the
TOML file that `--config` or `HOLDFAST_RELAY_CONFIG` names.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from holdfast.cli.say import Exit, Trouble

PREFIX: Final = "HOLDFAST_RELAY_"
RELAY: Final[Mapping[str, type]] = {
    "data": Path,
    "listen": str,
    "advertise": str,
    "udp": bool,
    "cert": Path,
    "key": Path,
    "acme": str,
    "acme-directory": str,
    "decoy": str,
    "decoy-h2": str,
    "decoy-tls": str,
    "rate": float,
    "connections": float,
    "proxy": str,
    "store": str,
    "processes": str,
    "admit": str,
    "work": float,
    "log": str,
}
_WORDS: Final = {bool: "true or false", float: "a number", str: "a text", Path: "a path"}
_YES_NO: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def fill(asked: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Put in what no flag said. Raises `Trouble`."""
    file = asked.config or environment.get(PREFIX + "CONFIG")
    written = _read(Path(file)) if file else {}
    for name, kind in RELAY.items():
        attribute = name.replace("-", "_")
        if getattr(asked, attribute) is not None:
            continue
        variable = PREFIX + attribute.upper()
        if variable in environment:
            setattr(asked, attribute, _taken(variable, kind, environment[variable]))
        elif name in written:
            setattr(asked, attribute, _taken(f"{name} in {file}", kind, written[name]))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Trouble(f"{path} cannot be read: {error.strerror}", Exit.USAGE) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Trouble(f"{path} is no TOML file: {error}", Exit.USAGE) from None
    if unknown := sorted(set(found) - set(RELAY)):
        raise Trouble(
            f"the file {path} sets {unknown[0]}, which is no setting; there are:"
            f" {', '.join(RELAY)}",
            Exit.USAGE,
        )
    return found


def _taken(what: str, kind: type, value: Any) -> Any:
    """A value from the environment, which is text, or from the file."""
    if kind is bool and isinstance(value, str):
        value = _YES_NO.get(value.lower(), value)
    if kind is float and isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            value = float(value)
        except ValueError:
            pass
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is not Path and type(value) is kind:
        return value
    raise Trouble(f"{what} must be {_WORDS[kind]}", Exit.USAGE)
