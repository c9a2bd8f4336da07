"""What each page of the observatory is within: whole without JavaScript, small for 64 kbit/s."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from holdfast.watch import where
from holdfast.watch.places import Places
from holdfast.watch.station import Station
from holdfast.watch.words import Words, region_name

DATA: Final = Path(__file__).parent / "data"
SCRIPTS: Final = ("/work.js", "/edit.js")
LOGO: Final = (
    '<svg viewBox="0 0 40 40" aria-hidden="true"><rect width="40" height="40" rx="11"'
    ' fill="#17525c"/><path d="M20 12v17" stroke="#fff" stroke-width="9"/><path'
    ' d="M12 10.5h16M11 30.5h18" stroke="#fff" stroke-width="4.5"/><path'
    ' d="M8.5 20.5c7-4.5 15 4.5 23 0" stroke="#e8ae51" stroke-width="4" fill="none"/></svg>'
)


def style(places: Places) -> str:
    """The style sheet, with the places of the tiles."""
    return (DATA / "style.css").read_text(encoding="utf-8") + where.grid(places)


def script(name: str) -> bytes:
    """One of `SCRIPTS`: work for a form from a crowded network, or an editor's signing."""
    return (DATA / name[1:]).read_bytes()


class Document:
    """What all pages share, in one language at one moment."""

    def __init__(self, station: Station, language: str, now: int) -> None:
        self.station = station
        self.places = station.places
        self.words = Words(language, station.places)
        self.say = self.words.say
        self.now = now
        self.root = "/ru" if self.words.language == "ru" else ""

    def href(self, path: str) -> str:
        """A link in the same language."""
        return self.root + path or "/"

    def whole(self, title: str, body: str, path: str, wait: bool = False) -> str:
        """A document around what is in its middle. `wait`: it asks again by itself."""
        say = self.say
        other = path if self.root else "/ru" + path
        tag = say("Simulated", "Имитация")
        simulated = f'<span class="tag">{tag}</span>' if self.station.simulated else ""
        here = path.split("?", maxsplit=1)[0]

        def link(to: str, name: str) -> str:
            current = ' aria-current="page"' if to == here else ""
            return f'<a href="{self.href(to)}"{current}>{name}</a>'

        key = self.station.public.hex()
        return (
            f'<!doctype html><html lang="{self.words.language}" dir="ltr"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            + ('<meta http-equiv="refresh" content="2">' if wait else "")
            + f"<title>{escape(title)} · {escape(self.station.name)}</title>"
            f'<meta name="description" content="{escape(self.summary())}">'
            '<link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg">'
            '<link rel="alternate" type="application/atom+xml" href="/events.atom">'
            f'<body>{where.symbols()}<a class="skip" href="#main">'
            f"{say('To the content', 'К содержанию')}</a>"
            f'<header class="bar"><a class="brand" href="{self.href("/")}">{LOGO}'
            f"<span>{escape(self.title)}</span></a>{simulated}"
            f'<nav aria-label="{say("Pages", "Страницы")}">'
            f"{link('/events', say('Events', 'События'))}"
            f"{link('/report', say('Report', 'Сообщить'))}"
            f"{link('/data', say('Data', 'Данные'))}"
            f'<a href="{escape(other or "/")}" hreflang="{say("ru", "en")}"'
            f' lang="{say("ru", "en")}">{say("Русский", "English")}</a></nav></header>'
            f'<main id="main" tabindex="-1">{self.pretending()}{body}</main><footer class="bar">'
            f"<p>{self.about()}</p><p>"
            f'{say("Key", "Ключ")} <a href="/about.json"><code>{key[:8]}…{key[-8:]}</code></a> · '
            f'<a href="{self.href("/data")}">{say("Data and feeds", "Данные и ленты")}</a> · '
            f'<a href="/events.atom">Atom</a></p></footer></body></html>'
        )

    @property
    def title(self) -> str:
        """What the observatory calls itself."""
        plain = self.station.name == "Observatory"
        return self.say("Observatory", "Обсерватория") if plain else self.station.name

    def summary(self) -> str:
        """For what shows links to this page."""
        return self.say(
            "What does not work, where and since when: anonymous reports and measurements.",
            "Что, где, с каких пор и как не работает: по анонимным сообщениям и измерениям.",
        )

    def about(self) -> str:
        """At the foot: where this comes from, and what it is worth."""
        return self.say(
            "Made of anonymous reports and measurements. People’s reports alone raise no alarm."
            " Times are when something most likely began.",
            "По анонимным сообщениям и измерениям. Одних жалоб для тревоги мало."
            " Время: когда это, вероятнее всего, началось.",
        )

    def pretending(self) -> str:
        """What is said where a country is made up."""
        if not self.station.simulated:
            return ""
        share = self.station.played
        text = self.say(
            "A made-up country, simulated on this machine. Nothing here happened.",
            "Вымышленная страна, имитация на этом компьютере. Ничего из этого не было.",
        )
        if share < 1:
            playing = self.say(
                f"Its last month is being played in: {share:.0%}.",
                f"Проигрывается её последний месяц: {share:.0%}.",
            )
            text += f' <b role="status">{playing}</b> {self._progress(playing)}'
        return f'<p class="note">{text}</p>'

    def behind(self) -> str:
        """Instead of what cannot be told before all of the past was played."""
        say, title = self.say, self.say("One moment", "Подождите немного")
        text = say(
            f"The observatory was started anew and reads its past: {self.station.played:.0%}. What"
            " goes on is shown after that. This page goes on by itself.",
            f"Обсерватория запущена заново и читает своё прошлое: {self.station.played:.0%}. После"
            " этого она покажет, что происходит. Страница обновится сама.",
        )
        meanwhile = say("Reports are taken meanwhile", "Сообщения она уже принимает")
        body = (
            f'<div class="narrow"><h1>{title}</h1><p role="status">{text}</p>'
            f'<p>{self._progress(title)}</p><p><a href="{self.href("/report")}">{meanwhile}</a></p>'
            "</div>"
        )
        return self.whole(title, body, "/", wait=True)

    def _progress(self, label: str) -> str:
        value = f"{self.station.played:.2f}"
        return f'<progress max="1" value="{value}" aria-label="{label}"></progress>'

    def choose(self, region: str = "", operator: str = "") -> str:
        """Region and operator."""
        say, language = self.say, self.words.language
        regions = sorted(self.places.regions, key=lambda each: region_name(each, language))
        firms = [(firm.code, firm.name) for firm in self.places.operators]
        firms.append(("other", say("another one", "другой")))
        return (
            f'<p><label for="region">{say("Region", "Регион")}</label><select id="region"'
            ' name="region">'
            + "".join(_option(each.code, region_name(each, language), region) for each in regions)
            + f'</select></p><p><label for="operator">{say("Operator", "Оператор")}</label>'
            '<select id="operator" name="operator">'
            + "".join(_option(code, name, operator) for code, name in firms)
            + "</select></p>"
        )


def _option(value: str, name: str, chosen: str) -> str:
    selected = " selected" if value == chosen else ""
    return f'<option value="{escape(value)}"{selected}>{escape(name)}</option>'


def chips(found: list[tuple[str, str]]) -> str:
    """Short facts in a row: a mark (yes, no or none) and a text each."""
    return (
        '<div class="chips">'
        + "".join(f'<span class="chip {mark}">{escape(text)}</span>' for mark, text in found)
        + "</div>"
    )
