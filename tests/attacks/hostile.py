"""A region in which nothing is wrong, and somebody who wants an observatory to say otherwise.

What is drawn from a seed: 60 to 3,000 installations, of which 20 to 85 % are on, by the hour; two
to six operators of any sizes; and a hand that has some share of the credentials and does all that
these allow: a measurement an hour with any results, a complaint for each function and day, signs
of life; forms without tokens as many as wanted. It names any functions and operators, begins at
any time or just before a day or an hour is over, and may pose for days as usual and then turn or
fall silent. An observatory that has watched for eight days judges the next two. With several
watches everybody, hostile or not, reports to each.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.core.report import FUNCTIONS
from holdfast.watch.engine import Engine
from holdfast.watch.event import Event
from holdfast.watch.journal import DAY, STEP
from holdfast.watch.places import Operator, Places, Region
from holdfast.watch.rollup import THOUSAND, Row, Sums
from holdfast.watch.simulate import poisson

HOUR = 3600
BEGIN = 20_000 * DAY
LEARNT, JUDGED = 8, 2
VERDICTS = ("udp-block", "throttled", "freeze", "allowlist", "unknown")


@dataclass
class Hand:
    """What the hostile ones do."""

    count: int
    functions: list[str]
    operators: list[str]
    """One for each of them."""
    begins: int
    hours: int
    verdict: str
    complains: bool
    measures: bool
    forms: float
    """A step."""
    poses: bool
    """As usual before."""
    silent: bool
    """After `begins`."""

    def rows(self, at: int, draw: random.Random) -> Iterator[Row]:
        """What they send in a step."""
        on = self.begins <= at < self.begins + self.hours * HOUR
        first = at % HOUR == 0 or at == self.begins
        names = Counter(self.operators)
        if on and self.complains and (at == self.begins or at % DAY == 0):
            for operator, count in names.items():
                for function in self.functions:
                    yield Row("c", "R", operator, function, count)
        if on and self.forms:
            for operator in names:
                for function in self.functions:
                    yield Row("f", "R", operator, function, poisson(draw, self.forms))
        failing = on and self.measures and first
        hour, ends = at // HOUR, self.begins + self.hours * HOUR
        posing = self.poses and (
            hour < self.begins // HOUR or (hour > ends // HOUR and not self.silent)
        )
        if failing or posing:
            part = at % HOUR // STEP
            for operator, count in names.items():
                # As many as they are in an hour, and no more.
                sent = count if failing else (part + 1) * count // 12 - part * count // 12
                for function in FUNCTIONS if sent else ():
                    bad = sent if failing and function in self.functions else 0
                    told = {self.verdict: bad} if bad else {}
                    yield Row("m", "R", operator, function, sent, bad, told)


def draw_hand(draw: random.Random, count: int, operators: list[str]) -> Hand:
    """Somebody's plan."""
    named = draw.sample(operators, draw.randint(1, len(operators)))
    begins = BEGIN + LEARNT * DAY + draw.randrange(DAY // STEP) * STEP
    if draw.random() < 0.4:  # tokens of two days, or two hours
        begins = begins // DAY * DAY + draw.choice((DAY - STEP, draw.randrange(24) * HOUR - STEP))
    silent = draw.random() < 0.25
    return Hand(
        count, draw.sample(FUNCTIONS, draw.randint(1, len(FUNCTIONS))),
        [draw.choice(named) for _ in range(count)], begins, draw.randint(1, 40),
        draw.choice(VERDICTS), draw.random() < 0.8 and not silent,
        draw.random() < 0.8 and not silent, draw.choice((0, 0, 1, 20)),
        silent or draw.random() < 0.5, silent,
    )  # fmt: skip


def trial(seed: int, share: float, watches: int) -> list[Event]:
    """Public events of a region in which nothing is wrong."""
    draw = random.Random(seed)
    operators = [f"o{number}" for number in range(draw.randint(2, 6))]
    parts = [draw.expovariate(1) + 0.02 for _ in operators]
    parts = [part / sum(parts) for part in parts]
    places = Places(
        "ZZ", "Quiet", "Тихая", (Region("R", "Region", "Регион", 1, 1),),
        tuple(Operator(name, name) for name in operators),
    )  # fmt: skip
    active = int(60 * 50 ** draw.random())
    hostile = int(active * share)
    honest = active - hostile
    low, high = sorted((draw.uniform(0.2, 0.85), draw.uniform(0.2, 0.85)))
    grumbling = honest * draw.choice((0.0005, 0.002, 0.01)) / 288
    fails = draw.choice((0.01, 0.03, 0.1))
    hand = draw_hand(draw, hostile, operators)
    engine = Engine(places)
    for at in range(BEGIN, BEGIN + (LEARNT + JUDGED) * DAY, STEP):
        wave = (1 + math.cos((at / HOUR % 24 - 19) / 24 * 2 * math.pi)) / 2
        rate = honest * (low + (high - low) * wave) * STEP / HOUR
        rows = []
        for operator, part in zip(operators, parts, strict=True):
            seen = poisson(draw, rate * part)
            for function in FUNCTIONS if seen else ():
                failed = min(seen, poisson(draw, seen * fails))
                rows.append(Row("m", "R", operator, function, seen, failed, {"unknown": failed}))
            rows += [
                Row("c", "R", operator, function, count)
                for function in FUNCTIONS
                if (count := poisson(draw, grumbling * part))
            ]
        if at == BEGIN:
            rows.append(Row("a", "R", "", "", active))
        sums = Sums()
        for _ in range(watches):
            sums.merge(rows)
            sums.merge(hand.rows(at, draw))
        if at == BEGIN and watches > 1:
            # Of the others' installations one hears in the next month only.
            sums = Sums()
            sums.merge(rows)
        engine.tick(at, sums.rows(), watches)
    return [event for event in engine.events if event.published]


def creep(seed: int, share: float) -> list[Event]:
    """Public events where the hand lets a service seem ever slower over 60 days."""
    draw = random.Random(seed)
    operators = ("one", "two")
    places = Places(
        "ZZ", "Quiet", "Тихая", (Region("R", "Region", "Регион", 1, 1),),
        tuple(Operator(name, name) for name in operators),
    )  # fmt: skip
    active = draw.choice((100, 1000))
    hostile = int(active * share)
    parts = {"one": draw.choice((0.2, 0.5, 0.8))}
    parts["two"] = 1 - parts["one"]
    on, measuring = draw.uniform(0.2, 0.85), draw.choice((0.3, 1.0))
    engine = Engine(places)
    for day in range(440):
        at = BEGIN + day * DAY
        loss = min(1.0, max(0, day - 340) / 60)
        rows = [Row("a", "R", "", "", active)] if day % 28 == 0 else []
        for operator, part in parts.items():
            rated = poisson(draw, (active - hostile) * part * on * measuring * 24)
            reached = int(rated * THOUSAND * min(1.0, 0.8 * (1 + 0.03 * draw.gauss(0, 1))))
            if operator == "one":  # all of the hand's, each hour
                rated += hostile * 24
                reached += int(hostile * 24 * THOUSAND * (1 - loss))
            rate = 4096 * reached // THOUSAND
            rows.append(
                Row("m", "R", operator, "service:x", rated, 0, {}, rate, 4096 * rated, rated, 0, 0,
                    reached)
            )  # fmt: skip
        engine.tick(at, rows)
    return [event for event in engine.events if event.published]
