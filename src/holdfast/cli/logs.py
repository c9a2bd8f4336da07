"""What a relay writes to its standard error: a line an event, with nothing about who uses it.

Of an error that nobody expected, its kind and where it arose are told, and not its words, since
those may quote what came from the network.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from pathlib import Path


class Lines(logging.Formatter):
    """One line an event: for people, or as JSON with `time`, `level`, `from` and `text`."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text += f": {type(error).__name__}{_place(error)}"
        text = " ".join(text.split())
        if not self._as_json:
            return text
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        values = {"time": moment, "level": record.levelname.lower(), "from": record.name}
        return json.dumps(values | {"text": text}, ensure_ascii=False)


def _place(error: BaseException) -> str:
    """The innermost line of code."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def begin(how: str) -> None:
    """Write the program's own events, and others' warnings, to standard error from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(how == "json"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("holdfast").setLevel(logging.INFO)
    logging.getLogger("acme").setLevel(logging.ERROR)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
