"""What a relay writes down."""

import json
import logging
import sys

from holdfast.cli.logs import Lines


def record(text: str, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("holdfast.x", logging.WARNING, "f", 1, text, (), info)


def failed() -> BaseException:
    try:
        raise ValueError("192.0.2.7 said\nsomething")
    except ValueError:
        error = sys.exc_info()[1]
        assert error is not None
        return error


def test_an_error_is_told_without_its_words() -> None:
    line = Lines(as_json=False).format(record("a request failed", failed()))
    assert line.startswith("a request failed: ValueError at test_logs.py:")
    assert "192.0.2.7" not in line and "\n" not in line


def test_an_event_is_one_object_on_one_line() -> None:
    line = Lines(as_json=True).format(record("two\nlines", failed()))
    assert "\n" not in line and "192.0.2.7" not in line
    found = json.loads(line)
    assert found["level"] == "warning" and found["from"] == "holdfast.x"
    assert found["text"].startswith("two lines: ValueError") and found["time"].endswith("Z")
