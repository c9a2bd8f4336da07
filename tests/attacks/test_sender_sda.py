"""sender-sda: a relay that sees only which mailbox gets a record, when, links people to each other.

Elsewhere: sealed sender (Martiny et al., 2021): a delivery receipt comes back at once, so a few
dozen messages are enough. The relay here sees batches: which logs got a record in each. It guesses
for each log which other one is its pair's. spec/threats.md publishes the bound: with delivery
receipts off, reading gives nothing away; with them on, it does.
"""

from random import Random

import pytest

from holdfast.core.seal import padding
from holdfast.core.seal.pairwise import SMALL_CONTENT
from holdfast.testing.pairs import DAY, NOW, meet, seeded, settle

PAIRS = 8
BATCHES = 160
BOUND = 0.35
"""Of sixteen logs, the share that is linked rightly at most when receipts are off; guessing gives
0.07, and the bound leaves room for chance."""


def linked(receipts: bool, seed: str = "sda") -> float:
    """Share of the logs whose partner the relay guesses."""
    dice, draw = Random(seed), seeded(seed)
    pairs = [meet(f"{seed} {number}").pair for number in range(PAIRS)]
    for pair in pairs:
        settle(*pair, NOW + DAY)
    now = NOW + DAY
    seen: list[set[tuple[int, int]]] = []
    for _ in range(BATCHES):
        now += 60_000
        batch: set[tuple[int, int]] = set()
        wrote = [(n, side) for n in range(PAIRS) for side in (0, 1) if dice.random() < 0.3]
        for number, side in wrote:
            sender, receiver = pairs[number][side], pairs[number][1 - side]
            text = bytes(dice.randrange(1, SMALL_CONTENT))
            receiver.open(sender.seal(text, now, draw).blob, now)
            batch.add((number, 1 - side))  # this end's inbox got a record
        for number in range(PAIRS):
            for side in (0, 1):
                end, other = pairs[number][side], pairs[number][1 - side]
                due = end.due(receipts)
                if due is not None and due <= now + 5_000:
                    other.open(end.control(now, draw).blob, now)
                    batch.add((number, 1 - side))
        seen.append(batch)
    logs = [(number, side) for number in range(PAIRS) for side in (0, 1)]
    right = 0
    for log in logs:
        with_it = [batch for batch in seen if log in batch]
        without = [batch for batch in seen if log not in batch]

        def more(
            other: tuple[int, int],
            with_it: list[set[tuple[int, int]]] = with_it,
            without: list[set[tuple[int, int]]] = without,
        ) -> float:
            """How much likelier the other one gets something in the same batch."""
            return sum(other in b for b in with_it) / max(1, len(with_it)) - sum(
                other in b for b in without
            ) / max(1, len(without))

        guess = max((other for other in logs if other != log), key=more)
        right += guess == (log[0], 1 - log[1])
    return right / len(logs)


def test_without_receipts_reading_links_nobody() -> None:
    assert linked(receipts=False) <= BOUND


def test_twin_with_receipts_they_are_linked() -> None:
    assert linked(receipts=True) >= 0.8


def sizes() -> set[int]:
    """Lengths of all that goes between two people who write short texts."""
    anna, boris = meet("sizes").pair
    settle(anna, boris, NOW + DAY)
    draw, found = seeded("sizes"), set()
    for length in range(0, SMALL_CONTENT + 1, 7):
        if boris.outer.wants_offer(NOW) or anna.outer.wants_offer(NOW):
            settle(anna, boris, NOW + DAY)
        blob = anna.seal(bytes(length), NOW, draw).blob
        boris.open(blob, NOW)
        found.add(len(blob))
        if length < 100:
            back = boris.control(NOW, draw).blob
            anna.open(back, NOW)
            found.add(len(back))
    return found


def test_texts_and_receipts_have_one_size() -> None:
    assert len(sizes()) == 1


def test_twin_without_filling_they_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "CLASSES", tuple(range(64, 65_537)))
    assert len(sizes()) > 10
