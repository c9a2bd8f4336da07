"""The command `holdfast`. What it promises to scripts is in docs/cli.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from holdfast.cli.parser import make_parser
from holdfast.cli.say import Exit, Trouble, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is one of `say.Exit`."""
    asked = make_parser().parse_args(arguments)
    module, function = asked.run.split(":")
    try:
        # Imported only now: `holdfast --help` needs no cryptography.
        return int(getattr(import_module(f"holdfast.cli.{module}"), function)(asked) or Exit.OK)
    except Trouble as trouble:
        tell(str(trouble))
        return trouble.code
    except BrokenPipeError:  # `| head`: enough was read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.STOPPED
