"""The public pages, rendered here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from holdfast.core.report import FUNCTIONS, SERVICE
from holdfast.watch import charts, month, where
from holdfast.watch.document import chips
from holdfast.watch.edits import Edit
from holdfast.watch.engine import Moment
from holdfast.watch.event import Event
from holdfast.watch.published import Published
from holdfast.watch.story import Story, ordered, stories
from holdfast.watch.where import line
from holdfast.watch.words import CONFIDENCE, STATES, tile_state

SHOWN: Final = 40
"""Events of a list."""


class Page(Published):
    """Everything in one language at one moment."""

    # Parts.

    def told(self, region: str = "") -> list[Story]:
        """All stories, or a region's; what editors rejected apart."""
        shown: tuple[list[Event], list[Event]] = [], []
        for event in self.station.public_events():
            if not region or event.region == region:
                shown[self.rejected(event)].append(event)
        return ordered([*stories(shown[0]), *stories(shown[1])])

    def rejected(self, event: Event) -> bool:
        """Whether an editor's last word is that it was none."""
        return self.station.edits.verdict(event.id) == "reject"

    def going(self, code: str) -> Event | None:
        """What goes on in a region."""
        return where.ongoing(self.station).get(code)

    def tiles(self, here: str = "") -> str:
        """The regions as a grid."""
        return where.tiles(self.station, self.words, self.root, here)

    def chips(self, event: Event, others: Sequence[str] = ()) -> str:
        """What stands under a headline; `others` are regions with the same."""
        say, words = self.say, self.words
        if event.ended:
            ended = say("Over since", "Закончилось")
            found = [("", f"{ended} {words.since(event.ended, self.now)}")]
        else:
            found = [("no", say("Ongoing", "Идёт") + f", {words.span(self.now - event.started)}")]
        if event.operators:
            names = words.listed([words.operator(code) for code in event.operators])
            found.append(("", say("Operators: ", "Операторы: ") + names))
        sure = CONFIDENCE[words.language][event.confidence]
        mark = "yes" if event.confidence == "high" else ""
        found.append((mark, say("Confidence: ", "Уверенность: ") + sure))
        if others:
            names = words.listed([words.region(code) for code in others[:5]])
            found.append(("", say("Also in ", "Также: ") + names))
        verdict = self.station.edits.verdict(event.id)
        if verdict:
            told = {
                "confirm": ("yes", say("Confirmed by an editor", "Подтвердил редактор")),
                "reject": ("no", say("Rejected by an editor", "Отклонил редактор")),
            }
            found.append(told[verdict])
        return chips(found)

    def counted(self, event: Event) -> str:
        """The numbers behind it, as a sentence."""
        say, count = self.say, self.words.count
        said = []
        if event.measured:
            share, tried = f"{event.failed / event.measured:.0%}", count(event.measured)
            if event.ended:
                told = say(
                    f"{share} of {tried} measured attempts failed",
                    f"Не удалось {share} измеренных попыток (всего {tried})",
                )
            else:
                told = say(
                    f"{share} of {tried} measured attempts fail",
                    f"Не удаётся {share} измеренных попыток (всего {tried})",
                )
            said.append(told)
        if event.complaints and event.complaints > event.expected:
            came, usual = count(event.complaints), count(max(1, event.expected))
            told = say(
                f"{came} complaints came where {usual} are usual", f"Жалоб {came}, обычно {usual}"
            )
            said.append(told)
        return ". ".join(said) + "." if said else ""

    def only_me(self, region: str = "", operator: str = "", asked: bool = False) -> str:
        """A visitor's question, and its answer."""
        say = self.say
        answer = self._answer(region, operator) if self.places.region(region) and asked else ""
        return (
            f'<form class="card me" action="{self.href("/")}" method="get"><h2>'
            f"{say('Is it only me?', 'Только у меня?')}</h2>{self.choose(region, operator)}"
            f'<button class="btn">{say("Look", "Проверить")}</button>{answer}</form>'
        )

    def _answer(self, region: str, operator: str) -> str:
        say, words = self.say, self.words
        place, event = self.station.engine.regions[region], self.going(region)
        if event is not None:
            link = f'<a href="{self.href("/event/" + event.id)}">{say("What it is", "Что это")}</a>'
            if operator in event.unaffected:
                title = escape(words.title(event, self.now))
                text = say(
                    f"{words.operator(operator)} works as usual here. Not so elsewhere: {title}.",
                    f"{words.operator(operator)} здесь работает как обычно. У других нет: {title}.",
                )
                return f'<p class="status k-ok" role="status">{text} {link}</p>'
            count = event.complaints + sum(
                self.station.current(region, function) for function in event.functions
            )
            since = words.since(event.started, self.now)
            if not count:
                text = say(f"No. It is so since {since}.", f"Нет. Так с {since}.")
            else:
                text = say(
                    f"No. {count} others report it since {since}.",
                    f"Нет. С {since} сообщили ещё {count}.",
                )
            return f'<p class="status k-bad" role="status">{text} {link}</p>'
        hour = [m for each in place.recent.values() for m in each if m.at > self.now - 3600]
        count, usual = sum(m.complaints for m in hour), sum(m.expected for m in hour)
        text = say(
            f"It looks so: {count} reports in the last hour, about {usual:.0f} are usual.",
            f"Похоже на то: за час {count} сообщений, обычно около {usual:.0f}.",
        )
        tell = say("Tell us, so that others see it", "Сообщите, чтобы увидели другие")
        link = f'<a href="{self.href("/report")}?region={region}">{tell}</a>'
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
            spans = (
                [
                    (each.since, each.until or self.now, event.kind)
                    for each in event.hurt
                    if each.function == name
                ]
                if event
                else []
            )
            sign = line(state) if state != "none" else ""
            rows.append(
                f"<li><span>{escape(words.function(name))}</span>"
                f"{charts.strip(spans, self.now, charts.DAY)}"
                f'<span class="st k-{state}">{sign}<span>{escape(said)}</span></span></li>'
            )
        return f'<ul class="strips">{"".join(rows)}</ul>'

    def everywhere(self, going: Sequence[Story]) -> str:
        """Functions in the whole country, with their last month."""
        say, words = self.say, self.words
        seen = dict.fromkeys(
            name for place in self.station.engine.regions.values() for name in place.by_function
        )
        names: list[str] = [name for name in FUNCTIONS if name in seen]
        names += sorted(name for name in seen if name.startswith(SERVICE))
        events = [one for one in self.station.public_events() if not self.rejected(one)]
        rows = []
        for name in names or FUNCTIONS:
            hurt = [
                (one, each)
                for story in going
                for one in story.events
                for each in one.hurt
                if each.function == name and not each.until and not one.ended
            ]
            state = max((tile_state(one) for one, _ in hurt), default="ok", key=where.WORST.index)
            state = state if name in seen else "none"
            said = STATES[words.language][state]
            if hurt:
                where_ = words.within_all(sorted({one.region for one, _ in hurt}))
                said = f"{STATES[words.language][state]} {where_}"
            spans = [
                (each.since, each.until or one.ended or self.now, one.kind)
                for one in events
                for each in one.hurt
                if each.function == name
            ]
            sign = line(state) if state != "none" else ""
            rows.append(
                f"<li><span>{escape(words.function(name))}</span>"
                f"{charts.strip(spans, self.now, month.DAYS * month.DAY)}"
                f'<span class="st k-{state}">{sign}<span>{escape(said)}</span></span></li>'
            )
        note = say("Bars: the last 31 days, in any region.", "Полосы: 31 день, по всем регионам.")
        return f'<ul class="strips">{"".join(rows)}</ul><p class="small dim">{note}</p>'

    def listed(self, shown: Sequence[Story], numbered: bool = False) -> str:
        """Stories as a list, with the regions that share one."""
        say, words = self.say, self.words
        if not shown:
            return f"<p>{say('Nothing yet.', 'Пока ничего.')}</p>"
        rows = []
        for story in shown[:SHOWN]:
            first = story.events[0]
            title = escape(words.title(story.whole, self.now, story.regions))
            state = "slow" if first.kind == "throttling" else "bad"
            rejected = self.rejected(first)
            mark = "" if story.whole.ended or rejected else state
            facts = [say("rejected by an editor", "отклонено редактором")] if rejected else []
            facts += [
                say("over", "закончилось") if story.whole.ended else say("ongoing", "идёт"),
                say("confidence ", "уверенность: ") + CONFIDENCE[words.language][first.confidence],
            ]
            more = ""
            if len(story.events) > 1:
                links = (
                    f'<a href="{self.href("/event/" + one.id)}">{escape(words.region(one.region))}'
                    "</a>"
                    for one in sorted(story.events, key=lambda one: words.region(one.region))
                )
                more = f'<span class="small">{say("Each", "Каждый")}: {", ".join(links)}</span>'
            rows.append(
                f'<li class="{mark}"><a href="{self.href("/event/" + first.id)}">{title}</a>'
                f'<span class="small dim">{" · ".join(facts)}</span>{more}</li>'
            )
        kind = "ol" if numbered else "ul"
        return f'<{kind} class="events">{"".join(rows)}</{kind}>'

    # Pages.

    def front(self, region: str = "", operator: str = "") -> str:
        """What is going on, where, and the visitor's question."""
        say = self.say
        shown = self.told()
        going = [story for story in shown if story.going and not self.rejected(story.events[0])]
        if going:
            first = max(going, key=lambda one: one.whole.complaints + one.whole.failed)
            whole = first.whole
            link = self.href("/event/" + first.events[0].id)
            head = escape(self.words.headline(whole, self.now, first.regions))
            others = len(going) - 1
            more = say(f" {others} more below.", f" Ниже ещё {others}.") if others > 0 else ""
            lead = (
                f'<h1><a href="{link}">{head}</a></h1><p>{escape(self.counted(whole))}{more}</p>'
                f"{self.chips(whole)}"
            )
        else:
            name = say(self.places.en, self.places.ru)
            head = say(f"Nothing unusual in {name} now.", f"{name}: сейчас всё как обычно.")
            text = say(
                "Reports and measurements come as on other days.",
                "Сообщения и измерения приходят, как в другие дни.",
            )
            lead = f"<h1>{escape(head)}</h1><p>{text}</p>"
        recent = [
            one for one in shown
            if (one.whole.ended or self.now) > self.now - month.DAYS * month.DAY
        ][:9]  # fmt: skip
        kept = [one for one in recent if not self.rejected(one.events[0])]
        recent = [*kept, *(one for one in recent if one not in kept)]
        chart = month.draw(
            self.words, month.complaints(self.station.engine, self.now), kept, self.root, self.now
        )
        caption = say(
            "Line: complaints a day. Band: what is usual. Numbered: the events below.",
            "Линия: жалоб в день. Полоса: как обычно. С номером: события ниже.",
        )
        asked = bool(region)
        body = (
            f'<div class="top"><div class="lead">{lead}</div>'
            f"{self.only_me(region, operator, asked)}</div>"
            f'<div class="cols"><section class="card"><h2>{say("Where", "Где")}</h2>'
            f"{self.tiles()}{where.world(self.station, self.words)}{self.taking_part()}"
            '</section><div class="stack">'
            f'<section class="card"><h2>'
            f"{say('What works in the whole country', 'Что работает по стране')}</h2>"
            f'{self.everywhere(going)}</section><section class="card"><h2>'
            f"{say('The last month', 'Последний месяц')}</h2>{chart}"
            f'<p class="small dim">{caption}</p></section></div></div>'
            f'<section class="card"><h2>{say("Events", "События")}</h2>'
            f"{self.listed(recent, numbered=True)}"
            f'<p><a href="{self.href("/events")}">{say("All events", "Все события")}</a></p>'
            "</section>"
        )
        playing = self.station.simulated and self.station.played < 1
        return self.whole(say(self.places.en, self.places.ru), body, "/", wait=playing)

    def events(self) -> str:
        """All of them."""
        say = self.say
        body = (
            f'<div class="lead top"><h1>{say("Events", "События")}</h1></div>'
            f'<section class="card">{self.listed(self.told())}</section>'
        )
        return self.whole(say("Events", "События"), body, "/events")

    def event(self, event: Event) -> str:
        """One event: sentence, place, timeline, functions, for and against."""
        say, words = self.say, self.words
        place = self.station.engine.regions[event.region]
        main = event.hurt[0].function
        moments = charts.around(place.recent.get(main, ()), place.hours.get(main, ()), event)
        control = charts.around(place.recent.get("text", ()), place.hours.get("text", ()), event)
        chart = charts.timeline(words, moments, control, event, main, self.now)
        second = charts.complaints(words, moments, event, main, self.now)
        rates = charts.slowed(words, place, event, self.now)
        chart, second = (
            (rates + chart, second) if event.kind == "throttling" else (chart, second + rates)
        )
        head = f"{words.function(main)} {words.within(event.region)}"
        title = words.title(event, self.now)
        others = next(
            (
                [code for code in story.regions if code != event.region]
                for story in self.told()
                if event in story.events
            ),
            [],
        )
        body = (
            f'<div class="top"><div class="lead"><h1>'
            f"{escape(words.headline(event, self.now))}</h1><p>{escape(self.counted(event))}</p>"
            f"{self.chips(event, others)}</div>{self.only_me(event.region)}</div>"
            f'<div class="cols event"><div class="stack"><section class="card where">'
            f"<h2>{say('Where', 'Где')}</h2>{self.tiles(event.region)}</section>"
            f'<section class="card works"><h2>'
            f"{escape(say('What works', 'Что работает') + ' ' + words.within(event.region))}</h2>"
            f'{self.works(event.region, event)}</section></div><section class="card">'
            f"<h2>{escape(head)}</h2>{chart}{second}{self.caption(moments)}"
            f'{self.table(moments)}</section></div><section class="card">'
            f"{self.evidence(event)}</section>{self.history(event)}"
        )
        return self.whole(title, body, "/event/" + event.id)

    def caption(self, moments: Sequence[Moment]) -> str:
        """Under a chart."""
        if not moments:
            return ""
        text = self.say(
            "Band: what is usual. Dashed: text, for comparison. Shaded: the event.",
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
        place, event = self.station.engine.regions[code], self.going(code)
        name = words.region(code)
        heads = [f"<h1>{escape(name)}</h1>"]
        if event is not None:
            heads.append(
                f'<p><a href="{self.href("/event/" + event.id)}">'
                f"{escape(words.headline(event, self.now))}</a></p>"
            )
        hours = [moment for each in place.recent.values() for moment in each]
        hours.sort(key=lambda moment: moment.at)
        chart = charts.complaints(words, hours, event, "", self.now)
        body = (
            f'<div class="top"><div class="lead">{"".join(heads)}</div>{self.only_me(code)}</div>'
            f'<div class="cols"><section class="card"><h2>{say("Where", "Где")}</h2>'
            f'{self.tiles(code)}</section><section class="card"><h2>'
            f"{say('What works', 'Что работает')}</h2>{self.works(code, event)}</section></div>"
            f'<div class="cols even"><section class="card"><h2>'
            f"{say('Complaints', 'Жалобы')}</h2>{chart}"
            f'<p class="small dim">{say("Band: what is usual.", "Полоса: как обычно.")}</p>'
            f'</section><section class="card"><h2>{say("Events", "События")}</h2>'
            f"{self.listed(self.told(code))}</section></div>"
        )
        return self.whole(name, body, "/region/" + code)

    def card(self, code: str) -> str:
        """A region for somebody else's page."""
        event = self.going(code)
        name = self.words.region(code)
        usual = self.say("Everything as usual", "Всё как обычно")
        text = self.words.headline(event, self.now) if event else usual
        path = "/event/" + event.id if event else "/region/" + code
        state = tile_state(event)
        tag = self.say("Simulated", "Имитация")
        simulated = f'<span class="tag">{tag}</span>' if self.station.simulated else ""
        return (
            f'<!doctype html><html lang="{self.words.language}" dir="ltr"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<title>{escape(name)}</title><link rel="stylesheet" href="/style.css">'
            '<link rel="icon" href="/icon.svg">'
            f'<body class="embedded">{where.symbols()}<div class="card"><p class="st k-{state}">'
            f"{line(state)}<b>{escape(name)}</b>{simulated}</p>"
            f'<p><a href="{self.href(path)}" target="_blank" rel="noopener">{escape(text)}</a></p>'
            f'<p class="small dim">{escape(self.title)} · {self.words.clock(self.now)}</p>'
            "</div></body></html>"
        )
