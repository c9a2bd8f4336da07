"""Messages between two people sealed and opened again, on one core: `python bench/sealing.py`.

Olm, the outer encryption, order and acknowledgements, with a key change every 50 records; nothing
is stored and nothing sent. Processor time, so that what else the machine does counts less.
"""

from __future__ import annotations

import secrets
import time

from holdfast.testing.pairs import DAY, NOW, meet, settle

TEXT = bytes(100)


def rate(messages: int) -> float:
    """Messages a second of processor time."""
    anna, boris = meet("bench").pair
    settle(anna, boris, NOW + DAY)
    began = time.process_time()
    for number in range(messages):
        boris.open(anna.seal(TEXT, NOW, secrets.token_bytes).blob, NOW)
        if number % 25 == 0:
            settle(boris, anna, NOW + DAY)
    return messages / (time.process_time() - began)


def figures(messages: int = 20_000) -> list[tuple[str, str]]:
    """Name and value, with its unit."""
    rate(500)
    return [("Messages between two sealed and opened, a core", f"{rate(messages):,.0f} a second")]


if __name__ == "__main__":
    for name, value in figures():
        print(f"{name:60} {value}")
