"""Events in plain words, English and Russian."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from typing import Final

from holdfast.core.report import SERVICE
from holdfast.watch.event import Event, Fact
from holdfast.watch.places import Places, Region

LANGUAGES: Final = ("en", "ru")
FUNCTIONS: Final = {
    "en": {
        "text": "Text", "voice": "Voice notes", "calls": "Calls", "video": "Video calls",
        "media": "Photos, files", "internet": "Mobile internet",
    },
    "ru": {
        "text": "Текст", "voice": "Голосовые", "calls": "Звонки", "video": "Видеозвонки",
        "media": "Фото и файлы", "internet": "Мобильный интернет",
    },
}  # fmt: skip
SINGULAR: Final = {"text", "internet"}
KINDS: Final = {
    "en": {
        "outage": "Outage", "call-blocking": "Calls blocked", "throttling": "Slowed down",
        "freezing": "Connections freeze", "allowlist": "Only approved sites",
        "shutdown": "Internet shut down",
    },
    "ru": {
        "outage": "Сбой", "call-blocking": "Звонки блокируют", "throttling": "Замедление",
        "freezing": "Соединения замирают", "allowlist": "Только разрешённые сайты",
        "shutdown": "Интернет отключён",
    },
}  # fmt: skip
STATES: Final = {
    "en": {"ok": "as usual", "slow": "slower", "bad": "does not work", "none": "too little data"},
    "ru": {"ok": "как обычно", "slow": "медленнее", "bad": "не работает", "none": "мало данных"},
}
CONFIDENCE: Final = {
    "en": {"low": "low", "medium": "medium", "high": "high"},
    "ru": {"low": "низкая", "medium": "средняя", "high": "высокая"},
}
VERDICTS: Final = {
    "en": {
        "freeze": "connections freeze after some kilobytes",
        "fingerprint": "connections are cut by how they look",
        "name-block": "connections are cut by the name they ask for",
        "dns-block": "names are not found", "address-block": "addresses are unreachable",
        "allowlist": "only approved places can be reached", "throttled": "connections crawl",
        "udp-block": "datagrams get no answer", "offline": "nothing can be reached",
    },
    "ru": {
        "freeze": "соединения замирают после нескольких килобайт",
        "fingerprint": "соединения рвут по их виду",
        "name-block": "соединения рвут по имени сайта",
        "dns-block": "имена не находятся", "address-block": "адреса недоступны",
        "allowlist": "открывается только разрешённое", "throttled": "соединения еле идут",
        "udp-block": "на датаграммы нет ответа", "offline": "недоступно всё",
    },
}  # fmt: skip
MONTHS: Final = (
    "января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября",
    "октября", "ноября", "декабря",
)  # fmt: skip
MONTH: Final = (
    "январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь",
    "ноябрь", "декабрь",
)  # fmt: skip
NUMBERS: Final = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GENITIVE: Final = {2: "двух", 3: "трёх", 4: "четырёх", 5: "пяти", 6: "шести"}
PLAIN: Final = 20 * 3600
"""Seconds back within which a time of day needs no day."""
NBSP: Final = "\u00a0"


class Words:
    """Sentences in one language, with one country's names and clock."""

    def __init__(self, language: str, places: Places) -> None:
        self.language = language if language in LANGUAGES else "en"
        self.places = places
        try:
            self._zone: datetime.tzinfo = zoneinfo.ZoneInfo(places.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            self._zone = datetime.UTC

    def say(self, en: str, ru: str) -> str:
        """One of two."""
        return ru if self.language == "ru" else en

    def function(self, name: str) -> str:
        """As a heading."""
        if name.startswith(SERVICE):
            return name.removeprefix(SERVICE)
        return FUNCTIONS[self.language].get(name, name)

    def region(self, code: str) -> str:
        """Its name."""
        region = self.places.region(code)
        return code if region is None else self.say(region.en, region.ru)

    def within(self, code: str) -> str:
        """In the region."""
        region = self.places.region(code)
        if region is None:
            return code
        return self.say(region.in_en or f"in {region.en}", region.in_ru or f"в регионе {region.ru}")

    def within_all(self, codes: Sequence[str]) -> str:
        """In these regions: by name up to three, else how many."""
        if len(codes) == 1:
            return self.within(codes[0])
        if len(codes) > 3:
            one = len(codes) % 10 == 1 and len(codes) % 100 != 11
            return self.say(
                f"in {len(codes)}{NBSP}regions",
                f"в {len(codes)}{NBSP}{'регионе' if one else 'регионах'}",
            )
        prefix = self.say("in ", "в ")
        each = [self.within(code) for code in codes]
        if not all(one.startswith(prefix) for one in each) or "в регионе " in "".join(each):
            names = self.listed([self.region(code) for code in codes])
            return self.say(f"in {names}", f"в регионах {names}")
        return prefix + self.listed([one.removeprefix(prefix) for one in each])

    def listed(self, names: Sequence[str]) -> str:
        """One, two and three."""
        if len(names) < 2:
            return "".join(names)
        return f"{', '.join(names[:-1])} {self.say('and', 'и')} {names[-1]}"

    def operator(self, code: str) -> str:
        """Its name."""
        operator = self.places.operator(code)
        if operator is None:
            return self.say("another operator", "другой оператор")
        return operator.name

    def local(self, at: int) -> datetime.datetime:
        """In the country's own time."""
        return datetime.datetime.fromtimestamp(at, self._zone)

    def clock(self, at: int) -> str:
        """14:02."""
        return self.local(at).strftime("%H:%M")

    def day(self, at: int) -> str:
        """21 September."""
        local = self.local(at)
        if self.language == "ru":
            return f"{local.day}{NBSP}{MONTHS[local.month - 1]}"
        return f"{local.day}{NBSP}{local:%B}"

    def month(self, number: int) -> str:
        """October 2026, of months since 1970."""
        year, month = 1970 + number // 12, number % 12
        name = self.say(f"{datetime.date(year, month + 1, 1):%B}", MONTH[month])
        return f"{name}{NBSP}{year}"

    def span(self, seconds: int) -> str:
        """4 h 10 min."""
        minutes = max(1, seconds // 60)
        days, rest = divmod(minutes, 1440)
        hours, minutes = divmod(rest, 60)
        names = self.say("d h min", "д ч мин").split()
        parts = [(days, names[0]), (hours, names[1]), (0 if days else minutes, names[2])]
        return " ".join(f"{number}{NBSP}{name}" for number, name in parts if number)

    def since(self, at: int, now: int) -> str:
        """The time, with its day unless that is plain."""
        if self.local(at).date() == self.local(now).date() or 0 <= now - at < PLAIN:
            return self.clock(at)
        return f"{self.day(at)}, {self.clock(at)}"

    # Events.

    def subject(self, event: Event) -> str:
        """What is affected, as it begins a sentence."""
        names = [self.function(each.function) for each in event.hurt]
        if len(names) > 3:
            return self.say("Most services", "Большинство служб")
        names = [names[0], *(name[0].lower() + name[1:] for name in names[1:])]
        return self.listed(", ".join(names).split(", "))

    def _operators(self, event: Event) -> str:
        count = len(event.operators)
        everywhere = not event.unaffected and count >= len(self.places.operators)
        if not count or everywhere:
            return ""
        if count == 1:
            name = self.operator(event.operators[0])
            return self.say(f" on {name}", f" у оператора {name}")
        if self.language == "ru":
            return f" у {GENITIVE.get(count, count)} операторов"
        return f" on {NUMBERS[count] if count < len(NUMBERS) else count} operators"

    def headline(self, event: Event, now: int, regions: Sequence[str] = ()) -> str:
        """One or two sentences: what, where, since when, and what works. `regions` are all where
        it is the same."""
        going = not event.ended
        where, operators = self.within_all(regions or (event.region,)), self._operators(event)
        if self.language == "ru":
            return self._headline_ru(event, where, operators, now)
        subject = self.subject(event)
        many = len(event.hurt) > 1 or event.hurt[0].function not in SINGULAR
        tense = ("are" if many else "is") if going else ("were" if many else "was")
        did = {
            "call-blocking": f"{tense} blocked",
            "throttling": f"{tense} slowed down",
            "freezing": "freeze" if going else "froze",
            "outage": ("fail" if many else "fails") if going else "failed",
        }.get(event.kind, "")
        said = f"{subject} {did} {where}{operators}"
        if event.kind == "shutdown":
            said = f"The internet {'is' if going else 'was'} shut down {where}{operators}"
        elif event.kind == "allowlist":
            said = f"Only approved sites {'open' if going else 'opened'} {where}{operators}"
        if going:
            said += f" since {self.since(event.started, now)}."
        else:
            said += f" on {self.day(event.started)} from {self.clock(event.started)}, for"
            said += f" {self.span(event.ended - event.started)}."
        if "text" in event.well:
            said += " Text is unaffected." if going else " Text was unaffected."
        return said

    def _headline_ru(self, event: Event, where: str, operators: str, now: int) -> str:
        going = not event.ended
        subject = self.subject(event)
        subject = subject[0].lower() + subject[1:]
        at = f"с{NBSP}{self.since(event.started, now)}"
        if not going:
            at = f"{self.day(event.started)} с{NBSP}{self.clock(event.started)}"
        did = {
            "call-blocking": ("блокируют", "блокировали"),
            "throttling": ("замедляют", "замедляли"),
            "outage": ("не работает:", "не работало:"),
            "freezing": ("замирают соединения:", "замирали соединения:"),
            "shutdown": ("отключён интернет", "был отключён интернет"),
            "allowlist": ("открывается только разрешённое", "открывалось только разрешённое"),
        }[event.kind][0 if going else 1]
        what = "" if event.kind in ("shutdown", "allowlist") else f" {subject}"
        where = where[0].upper() + where[1:]
        said = f"{where} {at} {did}{what}{operators}"
        if not going:
            said += f", {self.span(event.ended - event.started)}"
        said += "."
        if "text" in event.well:
            said += " Текст доходит." if going else " Текст доходил."
        return said

    def title(self, event: Event, now: int, regions: Sequence[str] = ()) -> str:
        """Short, without a verb: for lists, feeds and cards."""
        done = self.say(
            {
                "call-blocking": "blocked", "throttling": "slowed down", "freezing": "freezing",
                "outage": "failing",
            }.get(event.kind, ""),
            {
                "call-blocking": "блокируют", "throttling": "замедляют", "freezing": "замирают",
                "outage": "сбой",
            }.get(event.kind, ""),
        )  # fmt: skip
        head = f"{self.subject(event)} {done}" if done else KINDS[self.language][event.kind]
        head += f" {self.within_all(regions or (event.region,))}"
        if event.operators and (event.unaffected or len(event.operators) == 1):
            names = self.listed([self.operator(code) for code in event.operators])
            head += self.say(f" on {names}", f", {names}")
        if event.ended:
            head += self.say(" from ", " с ") + self.since(event.started, now)
            head += self.say(" to ", " до ") + self.since(event.ended, event.started)
        else:
            head += self.say(" since ", " с ") + self.since(event.started, now)
        if "text" in event.well:
            head += self.say(", text unaffected", ", текст доходит")
        return head

    @staticmethod
    def count(value: float) -> str:
        """12 300."""
        return f"{value:,.0f}".replace(",", NBSP)

    def fact(self, fact: Fact) -> str:
        """One reason, or one thing that speaks against it."""
        number = self.count(fact.seen)
        names = self.listed([self.operator(name) for name in fact.names])
        functions = ", ".join(self.function(name).lower() for name in fact.names)
        of = self.count(fact.of)
        expected = of if fact.of >= 1 else self.say("hardly any", "почти ни одной")
        verdict = VERDICTS[self.language].get(fact.names[0] if fact.names else "", "")
        told = {
            "complaints": (f"{number} complaints, {expected} expected",
                           f"Жалоб: {number}, обычно {expected}"),
            "measured": (f"Measured: {number} of {of} attempts failed",
                         f"Измерено: не удалось {number} из {of} попыток"),
            "verdict": (f"What nodes saw: {verdict}", f"Что увидели узлы: {verdict}"),
            "operators": (f"It fails on {names}" + (", and works on others" if fact.seen else ""),
                          f"Не работает: {names}" + ("; у других работает" if fact.seen else "")),
            "slower": (f"Throughput fell by {number} % beside the control, over weeks",
                       f"Скорость упала на {number} % против контрольной, за недели"),
            "silence": (f"{number} reports came where {of} were expected",
                        f"Пришло отчётов: {number}, обычно {of}"),
            "well": (f"Works meanwhile: {functions}", f"Тем временем работает: {functions}"),
            "unmeasured": ("Nothing was measured: only people's reports",
                           "Измерений нет: только сообщения людей"),
            "few": (f"Few measurements: {number}", f"Мало измерений: {number}"),
            "one-operator": (f"Only one operator: {names}. It may be a fault of its own",
                             f"Только один оператор: {names}. Это может быть его поломка"),
            "young": (f"What is usual here has been known for {number} days only",
                      f"Обычный уровень здесь известен лишь {number} дн."),
            "everywhere": (f"The same in {number} of {of} regions: it may be the programs' fault",
                           f"То же в {number} из {of} регионов: возможно, виноваты сами программы"),
        }.get(fact.code)  # fmt: skip
        return self.say(*told) if told else fact.code


def tile_state(event: Event | None) -> str:
    """How a region's tile is drawn: bad, slow or ok."""
    if event is None or event.ended:
        return "ok"
    return "slow" if event.kind == "throttling" else "bad"


def region_name(region: Region, language: str) -> str:
    """In one language."""
    return region.ru if language == "ru" else region.en
