"""The public page, rendered here: whole without JavaScript, small enough for 64 kbit/s."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from holdfast.core.report import FUNCTIONS, SERVICE
from holdfast.watch import charts
from holdfast.watch.edits import Edit
from holdfast.watch.engine import Moment
from holdfast.watch.event import Event
from holdfast.watch.places import Places
from holdfast.watch.station import Station
from holdfast.watch.words import CONFIDENCE, KINDS, STATES, Words, region_name, tile_state

DATA: Final = Path(__file__).parent / "data"
LINES: Final = {
    "ok": '<circle cx="6" cy="7" r="4"/><circle cx="38" cy="7" r="4"/><path d="M6 7h32"'
    ' stroke-width="4"/>',
    "slow": '<circle cx="6" cy="7" r="4"/><circle cx="38" cy="7" r="4"/><path d="M6 7h32"'
    ' stroke-width="1.5"/>',
    "bad": '<circle cx="6" cy="7" r="4"/><circle cx="38" cy="7" r="3.2" fill="none"'
    ' stroke-width="1.6"/><path d="M6 7h9" stroke-width="4" stroke-linecap="round"/>',
}
LOGO: Final = (
    '<svg viewBox="0 0 40 40" aria-hidden="true"><rect width="40" height="40" rx="11"'
    ' fill="#17525c"/><path d="M20 12v17" stroke="#fff" stroke-width="9"/><path'
    ' d="M12 10.5h16M11 30.5h18" stroke="#fff" stroke-width="4.5"/><path'
    ' d="M8.5 20.5c7-4.5 15 4.5 23 0" stroke="#e8ae51" stroke-width="4" fill="none"/></svg>'
)
SHOWN: Final = 40
"""Events of a list."""


def line(state: str) -> str:
    """The sign of the line between two ends."""
    return f'<svg viewBox="0 0 44 14" aria-hidden="true"><use href="#l-{state}"/></svg>'


def style(places: Places) -> str:
    """The style sheet, with the places of the tiles."""
    columns = max(region.column for region in places.regions)
    rules = [f".tiles{{grid-template-columns:repeat({columns},1fr)}}"]
    for number, region in enumerate(places.regions):
        rules.append(f".t{number}{{grid-area:{region.row}/{region.column}}}")
    return (DATA / "style.css").read_text(encoding="utf-8") + "".join(rules)


class Page:
    """Everything in one language at one moment."""

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

    def whole(self, title: str, body: str, path: str) -> str:
        """A document around what is in its middle."""
        say = self.say
        other = path if self.root else "/ru" + path
        tag = say("Simulated", "Имитация")
        simulated = f'<span class="tag">{tag}</span>' if self.station.simulated else ""
        symbols = "".join(
            f'<symbol id="l-{name}" viewBox="0 0 44 14">{shape}</symbol>'
            for name, shape in LINES.items()
        )
        return (
            f'<!doctype html><html lang="{self.words.language}"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(title)}</title>"
            '<link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg">'
            '<link rel="alternate" type="application/atom+xml" href="/events.atom">'
            f'<svg width="0" height="0" class="sr" aria-hidden="true">{symbols}</svg>'
            f'<header class="bar"><a class="brand" href="{self.href("/")}">{LOGO}'
            f"{say('Observatory', 'Обсерватория')}</a>{simulated}"
            f'<a href="{self.href("/events")}">{say("Events", "События")}</a>'
            f'<a href="{self.href("/report")}">{say("Report", "Сообщить")}</a>'
            f'<a href="{self.href("/data")}">{say("Data and feeds", "Данные и ленты")}</a>'
            f'<a href="{escape(other or "/")}" hreflang="{say("ru", "en")}"'
            f' lang="{say("ru", "en")}">{say("Русский", "English")}</a></header>'
            f'<main><hr class="rule">{body}</main></html>'
        )

    # Parts.

    def tiles(self, here: str = "") -> str:
        """The regions as a grid."""
        going = {e.region: e for e in self.station.public_events()[::-1] if not e.ended}
        out = []
        for number, region in enumerate(self.places.regions):
            event = going.get(region.code)
            state = tile_state(event)
            if not self.station.engine.regions[region.code].cells:
                state = "none"
            said = STATES[self.words.language][state]
            if event is not None:
                said = KINDS[self.words.language][event.kind].lower()
            name = escape(region_name(region, self.words.language))
            sign = line(state) if state != "none" else ""
            out.append(
                f'<a class="tile t{number} {state}{" here" if region.code == here else ""}"'
                f' href="{self.href("/region/" + region.code)}" title="{name}: {escape(said)}">'
                f'{escape(region.code)}{sign}<span class="sr">{name}: {escape(said)}</span></a>'
            )
        keys = "".join(
            f'<span class="k-{state}">{line(state)}{STATES[self.words.language][state]}</span>'
            for state in ("ok", "slow", "bad")
        )
        return f'<div class="tiles">{"".join(out)}</div><div class="key">{keys}</div>'

    def chips(self, event: Event) -> str:
        """What stands under a headline."""
        say, words = self.say, self.words
        if event.ended:
            ended = say("Over since", "Закончилось")
            chips = [("", f"{ended} {words.since(event.ended, self.now)}")]
        else:
            chips = [("no", say("Ongoing", "Идёт") + f", {words.span(self.now - event.started)}")]
        if event.operators:
            names = ", ".join(words.operator(code) for code in event.operators)
            chips.append(("", say("Operators: ", "Операторы: ") + names))
        sure = CONFIDENCE[words.language][event.confidence]
        mark = "yes" if event.confidence == "high" else ""
        chips.append((mark, say("Confidence: ", "Уверенность: ") + sure))
        others = [
            other.region
            for other in self.station.public_events()
            if other.region != event.region
            and set(other.functions) & set(event.functions)
            and other.started <= (event.ended or self.now)
            and (other.ended or self.now) >= event.started
        ]
        if others:
            chips.append(("", say("Also in ", "Также: ") + ", ".join(sorted(set(others))[:8])))
        verdict = self.station.edits.verdict(event.id)
        if verdict:
            told = {
                "confirm": ("yes", say("Confirmed by an editor", "Подтвердил редактор")),
                "reject": ("no", say("Rejected by an editor", "Отклонил редактор")),
            }
            chips.append(told[verdict])
        return (
            '<div class="chips">'
            + "".join(f'<span class="chip {mark}">{escape(text)}</span>' for mark, text in chips)
            + "</div>"
        )

    def only_me(self, region: str = "", operator: str = "") -> str:
        """A visitor's question, and its answer."""
        say = self.say
        answer = self._answer(region) if self.places.region(region) else ""
        return (
            f'<form class="card" action="{self.href("/")}" method="get"><h2>'
            f"{say('Is it only me?', 'Только у меня?')}</h2>{self.choose(region, operator)}"
            f'<button class="btn">{say("Look", "Проверить")}</button>{answer}</form>'
        )

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

    def _answer(self, region: str) -> str:
        say, words = self.say, self.words
        event = self.station.engine.regions[region].event
        if event is not None and self.station.visible(event):
            count = event.complaints + sum(
                self.station.current(region, function) for function in event.functions
            )
            since = words.since(event.started, self.now)
            text = say(
                f"No. {count} others report it since {since}.",
                f"Нет. С {since} сообщили ещё {count}.",
            )
            return (
                f'<p class="status k-bad" role="status">{text}'
                f' <a href="{self.href("/event/" + event.id)}">{say("What it is", "Что это")}</a>'
                "</p>"
            )
        place = self.station.engine.regions[region]
        day = [m for each in place.recent.values() for m in each if m.at > self.now - 3600]
        count, usual = sum(m.complaints for m in day), sum(m.expected for m in day)
        text = say(
            f"It looks so: {count} reports in the last hour, about {usual:.0f} are usual.",
            f"Похоже на то: за час {count} сообщений, обычно около {usual:.0f}.",
        )
        tell = say("Tell us, so that others see it", "Сообщите, чтобы увидели другие")
        link = f'<a href="{self.href("/report")}">{tell}</a>'
        return f'<p class="status" role="status">{text} {link}</p>'

    def works(self, region: str, event: Event | None) -> str:
        """Functions of a region with their last day."""
        words, place = self.words, self.station.engine.regions[region]
        names: list[str] = [name for name in FUNCTIONS if name in place.by_function]
        names += [name for name in place.by_function if name.startswith(SERVICE)]
        rows = []
        for name in names or FUNCTIONS:
            hurt = next((h for h in event.hurt if h.function == name), None) if event else None
            going = hurt is not None and not hurt.until
            state = tile_state(event) if going else "ok"
            if name not in place.by_function:
                state = "none"
            said = STATES[words.language][state]
            if going and hurt is not None:
                said += self.say(" since ", " с ") + words.since(hurt.since, self.now)
            kind = "slow" if event is not None and event.kind == "throttling" else "bad"
            sign = line(state) if state != "none" else ""
            rows.append(
                f"<li><span>{escape(words.function(name))}</span>"
                f"{charts.strip(event, name, self.now, kind)}"
                f'<span class="st k-{state}">{sign}<span>{escape(said)}</span></span></li>'
            )
        return f'<ul class="strips">{"".join(rows)}</ul>'

    def listed(self, events: Sequence[Event]) -> str:
        """Events as a list."""
        if not events:
            return f"<p>{self.say('Nothing yet.', 'Пока ничего.')}</p>"
        return (
            '<ul class="events">'
            + "".join(
                f'<li><a href="{self.href("/event/" + event.id)}">'
                f"{escape(self.words.title(event, self.now))}</a>"
                f'<span class="small dim">{KINDS[self.words.language][event.kind]} · '
                f"{self.say('confidence', 'уверенность')}: "
                f"{CONFIDENCE[self.words.language][event.confidence]}</span></li>"
                for event in events[:SHOWN]
            )
            + "</ul>"
        )

    # Pages.

    def front(self, region: str = "", operator: str = "") -> str:
        """What is going on, where, and the visitor's question."""
        say = self.say
        events = self.station.public_events()
        going = [event for event in events if not event.ended]
        if going:
            first = max(going, key=lambda event: (event.complaints + event.failed, event.id))
            link = self.href("/event/" + first.id)
            lead = (
                f'<h1><a href="{link}">'
                f"{escape(self.words.headline(first, self.now))}</a></h1>{self.chips(first)}"
            )
        else:
            name = say(self.places.en, self.places.ru)
            head = say(f"Nothing unusual in {name} now.", f"{name}: сейчас всё как обычно.")
            text = say(
                "Reports and measurements come as on other days.",
                "Сообщения и измерения приходят, как в другие дни.",
            )
            lead = f"<h1>{escape(head)}</h1><p>{text}</p>"
        body = (
            f'<div class="top"><div class="lead">{lead}</div>{self.only_me(region, operator)}</div>'
            f'<div class="cols"><section class="card"><h2>{say("Where", "Где")}</h2>'
            f'{self.tiles()}</section><section class="card"><h2>{say("Events", "События")}</h2>'
            f"{self.listed(events[:12])}</section></div>"
        )
        return self.whole(say("Observatory", "Обсерватория"), body, "/")

    def events(self) -> str:
        """All of them."""
        say = self.say
        body = (
            f'<div class="lead top"><h1>{say("Events", "События")}</h1></div>'
            f'<section class="card">{self.listed(self.station.public_events())}</section>'
        )
        return self.whole(say("Events", "События"), body, "/events")

    def event(self, event: Event) -> str:
        """One event: sentence, place, timeline, functions, for and against."""
        say, words = self.say, self.words
        place = self.station.engine.regions[event.region]
        main = event.hurt[0].function
        moments = self.moments(place.recent.get(main, ()), place.hours.get(main, ()), event)
        control = self.moments(place.recent.get("text", ()), place.hours.get("text", ()), event)
        chart = charts.timeline(words, moments, control, event, main, self.now)
        head = say(
            f"{words.function(main)} {words.within(event.region)}",
            f"{words.function(main)} {words.within(event.region)}",
        )
        title = words.title(event, self.now)
        body = (
            f'<div class="top"><div class="lead"><h1>'
            f"{escape(words.headline(event, self.now))}</h1><p>{escape(title)}</p>"
            f"{self.chips(event)}</div>{self.only_me(event.region)}</div>"
            f'<div class="cols"><section class="card"><h2>{say("Where", "Где")}</h2>'
            f'{self.tiles(event.region)}</section><section class="card"><h2>{escape(head)}</h2>'
            f"{chart}{self.caption(moments)}{self.table(moments)}</section></div>"
            f'<div class="cols even"><section class="card"><h2>'
            f"{escape(say('What works', 'Что работает') + ' ' + words.within(event.region))}</h2>"
            f'{self.works(event.region, event)}</section><section class="card">'
            f"{self.evidence(event)}</section></div>{self.history(event)}"
        )
        return self.whole(title, body, "/event/" + event.id)

    @staticmethod
    def moments(
        recent: Sequence[Moment], hours: Sequence[Moment], event: Event
    ) -> Sequence[Moment]:
        """Two days around an event: fine ones if they are still there, else hours."""
        if recent and recent[0].at <= event.started:
            return recent
        first, last = event.started - 86_400, (event.ended or event.started) + 86_400
        return [moment for moment in hours if first <= moment.at <= last]

    def caption(self, moments: Sequence[Moment]) -> str:
        """Under a chart."""
        if not moments:
            return ""
        text = self.say(
            "Band: what is usual. Dashed: text, the control. Shaded: the event.",
            "Полоса: как обычно. Пунктир: текст, для сравнения. Закрашено: событие.",
        )
        return f'<p class="small dim">{text}</p>'

    def table(self, moments: Sequence[Moment]) -> str:
        """The same numbers as a table."""
        say = self.say
        points = charts.grouped(moments, 7200)
        rows = "".join(
            f"<tr><td>{self.words.day(p.at)} {self.words.clock(p.at)}<td>{p.complaints}"
            f"<td>{p.expected:.1f}<td>{p.failed}<td>{p.seen}"
            for p in points[-36:]
        )
        return (
            f"<details><summary>{say('As a table', 'Таблицей')}</summary>"
            f'<div class="wrap"><table><tr><th>{say("Time", "Время")}<th>'
            f"{say('Complaints', 'Жалобы')}<th>{say('usual', 'обычно')}<th>"
            f"{say('Failed', 'Не удалось')}<th>{say('measured', 'измерений')}{rows}</table></div>"
            "</details>"
        )

    def evidence(self, event: Event) -> str:
        """For and against, and what to take along."""
        say = self.say
        pro = "".join(
            f"<li><span aria-hidden=true>✓</span><span>{escape(self.words.fact(fact))}</span></li>"
            for fact in event.reasons
        )
        con = "".join(
            f"<li><span aria-hidden=true>✕</span><span>{escape(self.words.fact(fact))}</span></li>"
            for fact in event.against
        )
        con = con or f"<li><span></span><span>{say('Nothing so far', 'Пока ничего')}</span></li>"
        return (
            f'<div class="for"><div><h2>{say("Why we say so", "Почему мы так считаем")}</h2>'
            f"<ul>{pro}</ul></div><div><h2>"
            f"{say('What speaks against it', 'Что говорит против')}</h2><ul>{con}</ul></div></div>"
            f'<div class="row"><a class="btn" href="/bundle/{event.id}.zip">'
            f"{say('Download the evidence', 'Скачать доказательства')}</a>"
            f'<a class="btn quiet" href="/events.atom">{say("Follow", "Следить")}</a></div>'
        )

    def history(self, event: Event) -> str:
        """What editors said."""
        edits = self.station.edits.of(event.id)
        if not edits:
            return ""
        return (
            f'<section class="card"><h2>{self.say("Editors", "Редакторы")}</h2><ul class="events">'
            + "".join(self._edit(edit) for edit in edits)
            + "</ul></section>"
        )

    def _edit(self, edit: Edit) -> str:
        what = {
            "confirm": self.say("Confirmed", "Подтверждено"),
            "reject": self.say("Rejected", "Отклонено"),
            "annotate": self.say("Note", "Заметка"),
        }[edit.what]
        when = f"{self.words.day(edit.at)}, {self.words.clock(edit.at)}"
        return (
            f'<li><b>{what}</b><span dir="auto">{escape(edit.note)}</span>'
            f'<span class="small dim">{when} · {edit.editor.hex()[:16]}</span></li>'
        )

    def region(self, code: str) -> str:
        """One region: what works, its events, a chart of what is heard most of."""
        say, words = self.say, self.words
        place = self.station.engine.regions[code]
        event = place.event if place.event and self.station.visible(place.event) else None
        name = words.region(code)
        heads = [f"<h1>{escape(name)}</h1>"]
        if event is not None:
            heads.append(
                f'<p><a href="{self.href("/event/" + event.id)}">'
                f"{escape(words.headline(event, self.now))}</a></p>"
            )
        mine = [each for each in self.station.public_events() if each.region == code]
        body = (
            f'<div class="top"><div class="lead">{"".join(heads)}</div>{self.only_me(code)}</div>'
            f'<div class="cols"><section class="card"><h2>{say("Where", "Где")}</h2>'
            f'{self.tiles(code)}</section><section class="card"><h2>'
            f"{say('What works', 'Что работает')}</h2>{self.works(code, event)}</section></div>"
            f'<section class="card"><h2>{say("Events", "События")}</h2>{self.listed(mine)}'
            "</section>"
        )
        return self.whole(name, body, "/region/" + code)

    def form(self, told: str = "", good: bool = False, region: str = "", operator: str = "") -> str:
        """Where people say what does not work."""
        say, words = self.say, self.words
        names: list[str] = [*FUNCTIONS, *(SERVICE + name for name in self.places.services)]
        picks = "".join(
            f'<label class="pick"><input type="checkbox" name="function" value="{escape(name)}">'
            f"<span>{escape(words.function(name))}</span></label>"
            for name in names
        )
        note = (
            f'<p class="card status {"k-ok" if good else "k-bad"}" role="status">{escape(told)}</p>'
            if told
            else ""
        )
        sent = say(
            "What you tick, the region and the operator. No name, no address, no words of yours."
            " One report counts once a day, so nobody can shout for a thousand.",
            "То, что вы отметили, регион и оператор. Без имени, адреса и вашего текста. Одно"
            " сообщение в день, поэтому никто не перекричит тысячу других.",
        )
        body = (
            f'<div class="narrow"><h1>{say("What does not work?", "Что не работает?")}</h1>{note}'
            f'<form method="post" action="{self.href("/report")}"><fieldset><legend class="sr">'
            f"{say('What does not work?', 'Что не работает?')}</legend>{picks}</fieldset>"
            f"{self.choose(region, operator)}<h2>"
            f"{say('This is all that is sent', 'Это всё, что уйдёт')}</h2><p>{sent}</p>"
            f'<button class="btn">{say("Send", "Отправить")}</button></form></div>'
        )
        return self.whole(say("Report", "Сообщить"), body, "/report")

    def data(self) -> str:
        """Everything for programs."""
        say = self.say
        rows = (
            ("/events.atom", say("Events as an Atom feed", "События лентой Atom")),
            ("/events.json", say("Events as JSON", "События в JSON")),
            ("/events.geojson", "GeoJSON"),
            ("/data.csv", say("Hours of the last weeks, CSV", "Часы последних недель, CSV")),
            ("/data.parquet", "Parquet"),
            ("/metrics", "OpenMetrics"),
            ("/ooni.jsonl", say("Measurements of the last day in OONI's format",
                                "Измерения последних суток в формате OONI")),
            ("/reach.json", say("Active installations by region", "Установки по регионам")),
            ("/edits.jsonl", say("Editors' signed history", "Подписанная история правок")),
            ("/about.json", say("This observatory's key", "Ключ этой обсерватории")),
        )  # fmt: skip
        items = "".join(f'<li><a href="{path}">{escape(name)}</a></li>' for path, name in rows)
        embed = escape('<iframe src="…/card/REGION" width="340" height="150"></iframe>')
        body = (
            f'<div class="narrow"><h1>{say("Data and feeds", "Данные и ленты")}</h1>'
            f'<ul class="events">{items}</ul><h2>{say("On your page", "На вашей странице")}</h2>'
            f"<p><code>{embed}</code></p></div>"
        )
        return self.whole(say("Data and feeds", "Данные и ленты"), body, "/data")

    def card(self, code: str) -> str:
        """A region for somebody else's page."""
        place = self.station.engine.regions[code]
        event = place.event if place.event and self.station.visible(place.event) else None
        name = self.words.region(code)
        usual = self.say(f"{name}: as usual", f"{name}: как обычно")
        text = self.words.headline(event, self.now) if event else usual
        path = "/event/" + event.id if event else "/region/" + code
        return (
            f'<!doctype html><html lang="{self.words.language}"><meta charset="utf-8">'
            f'<title>{escape(name)}</title><link rel="stylesheet" href="/style.css">'
            f'<svg width="0" height="0" class="sr" aria-hidden="true"><symbol id="l-ok"'
            f' viewBox="0 0 44 14">{LINES["ok"]}</symbol><symbol id="l-slow" viewBox="0 0 44 14">'
            f'{LINES["slow"]}</symbol><symbol id="l-bad" viewBox="0 0 44 14">{LINES["bad"]}'
            f'</symbol></svg><div class="card"><span class="st k-{tile_state(event)}">'
            f"{line(tile_state(event))}{escape(name)}</span>"
            f'<p><a href="{self.href(path)}" target="_blank" rel="noopener">{escape(text)}</a></p>'
            "</div></html>"
        )


def _option(value: str, name: str, chosen: str) -> str:
    selected = " selected" if value == chosen else ""
    return f'<option value="{escape(value)}"{selected}>{escape(name)}</option>'
