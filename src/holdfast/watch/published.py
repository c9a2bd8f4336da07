"""Pages about what is published itself: files and feeds for programs, and how many take part."""

from __future__ import annotations

from html import escape

from holdfast.watch import charts, where
from holdfast.watch.forms import Forms
from holdfast.watch.reach import LEAST
from holdfast.watch.station import month_of


class Published(Forms):
    """In one language at one moment."""

    def data(self, root: str = "", mark: str = "") -> str:
        """Everything for programs; `root` is where the public finds this, `mark` that of the keys
        for tokens."""
        say = self.say
        rows = (
            ("/events.atom", say("Events as an Atom feed", "События лентой Atom")),
            ("/events.json", say("Events as JSON", "События в JSON")),
            ("/events.geojson", "GeoJSON"),
            ("/data.csv", say("Hours of the last weeks, CSV", "Часы последних недель, CSV")),
            ("/data.parquet", "Parquet"),
            ("/metrics", "OpenMetrics"),
            ("/ooni.jsonl", say("Measurements of the last hour in OONI's format; with"
                                " ?from=SECONDS earlier ones, page by page",
                                "Измерения последнего часа в формате OONI; с ?from=СЕКУНДЫ"
                                " и прежние, по частям")),
            ("/reach.json", say("Active installations by region", "Установки по регионам")),
            (self.href("/reach"), say("The same as a page", "То же страницей")),
            ("/edits.jsonl", say("Editors’ signed history", "Подписанная история правок")),
            (self.href("/editors"), say("For editors", "Для редакторов")),
            ("/about.json", say("This observatory's key", "Ключ этой обсерватории")),
        )  # fmt: skip
        items = "".join(f'<li><a href="{path}">{escape(name)}</a></li>' for path, name in rows)
        code = min(where.ongoing(self.station), default=self.places.regions[0].code)
        free = say("Free to use; say where it is from.", "Пользуйтесь, указывая источник.")
        embed = escape(f'<iframe src="{root}{self.root}/card/{code}" width="340" height="170"'
                       ' style="border:0" title="Observatory"></iframe>')  # fmt: skip
        body = (
            f'<div class="narrow"><h1>{say("Data and feeds", "Данные и ленты")}</h1>'
            f"<p>{free}</p>"
            f'<ul class="events">{items}</ul>{self._marks(mark)}<h2>'
            f"{say('On your page', 'На вашей странице')}</h2>"
            f'<iframe class="embed" src="{self.root}/card/{code}" loading="lazy" title="'
            f'{say("Example of a card", "Пример карточки")}"></iframe><p><code dir="ltr">{embed}'
            "</code></p></div>"
        )
        return self.whole(say("Data and feeds", "Данные и ленты"), body, "/data")

    def _marks(self, mark: str) -> str:
        """By which people see whether everybody has the same keys for tokens."""
        peers = [peer for peer in self.station.peers.all.values() if peer.mark]
        if not mark:
            return ""
        say = self.say
        why = say(
            "Whoever had keys of their own could be told from others by their reports. A node shows"
            " the mark of those it uses; it must be this one.",
            "Кому выдали бы особые ключи, того отличали бы по сообщениям. Узел показывает"
            " отпечаток своих; он должен быть таким.",
        )
        others = "".join(f"<li>{escape(peer.url)} <code>{peer.mark}</code></li>" for peer in peers)
        if others:
            seen = say("Seen from here of others:", "Отсюда видны у других:")
            others = f'<p>{seen}</p><ul class="events">{others}</ul>'
        title = say("Keys for reports today", "Ключи для сообщений сегодня")
        spaced = " ".join(mark[at : at + 4] for at in range(0, len(mark), 4))
        return f"<h2>{title}</h2><p><code>{spaced}</code></p><p>{why}</p>{others}"

    def taking_part(self) -> str:
        """How many there are to hear of it."""
        number = sum(self.station.reached(month_of(self.now) - 1).values())
        if not number:
            return ""
        text = self.say("About {} installations take part", "Участвует примерно {} установок")
        said = text.format(self.words.count(number))
        return f'<p class="small"><a href="{self.href("/reach")}">{said}</a></p>'

    def reach(self) -> str:
        """Installations by region, of the last full month, and of those before it."""
        say, words = self.say, self.words
        last = month_of(self.now) - 1
        active = self.station.reached(last)
        title = say("How many take part", "Сколько участвует")
        known = words.month(last)
        if active:
            total, count = words.count(sum(active.values())), len(active)
            lead = say(
                f"About {total} installations of Holdfast reported here in {known}, from"
                f" {count} {'region' if count == 1 else 'regions'}.",
                f"За {known} года сюда сообщали примерно {total} установок Holdfast,"
                f" регионов: {count}.",
            )
        else:
            lead = say(
                f"For {known} no region has {LEAST} installations or more.",
                f"За {known} года ни в одном регионе нет {LEAST} установок.",
            )
        how = say(
            "An installation that reports says its region once a month, and pays with a blind"
            " token: nobody can tell which one it was, or follow it from month to month. Each"
            " number is blurred, so that it does not show whether any single one is in it, and none"
            f" below {LEAST} is told. Who reports nothing is not counted.",
            "Установка, которая шлёт сообщения, раз в месяц называет свой регион и платит слепым"
            " жетоном: никто не узнает, какая это была, и не проследит её от месяца к месяцу. Числа"
            " чуть размыты, чтобы по ним нельзя было понять, входит ли в них кто-то один; меньше"
            f" {LEAST} не показываем. Кто ничего не сообщает, не посчитан.",
        )
        rows = "".join(
            f'<li><a href="{self.href("/region/" + code)}">{escape(words.region(code))}</a>'
            f"{charts.bar(number / max(active.values()))}<span>{words.count(number)}</span></li>"
            for code, number in sorted(active.items(), key=lambda pair: (-pair[1], pair[0]))
        )
        few = sorted(words.region(each.code) for each in self.places.regions
                     if each.code not in active)  # fmt: skip
        rest = say("Fewer than {}, or nobody: ", "Меньше {} или никого: ").format(LEAST)
        rest = f'<p class="small dim">{rest}{escape(", ".join(few))}.</p>' if few and active else ""
        before = [(each, self.station.reached(each)) for each in range(last, last - 12, -1)]
        months = "".join(
            f"<tr><th>{words.month(each)}<td>{words.count(sum(found.values()))}<td>{len(found)}"
            for each, found in before
            if found
        )
        shown = (
            f'<section class="card"><h2>{known}</h2><ul class="strips reach">{rows}</ul>{rest}'
            "</section>"
            if active
            else ""
        )
        table = (
            f'<section class="card"><h2>{say("Months", "Месяцы")}</h2><div class="wrap"><table>'
            f"<tr><th>{say('Month', 'Месяц')}<th>{say('installations', 'установок')}"
            f"<th>{say('regions', 'регионов')}{months}</table></div></section>"
            if months
            else ""
        )
        body = (
            f'<div class="narrow wide"><h1>{title}</h1><p>{lead}</p>{shown}{table}'
            f'<section class="card"><h2>{say("How it is counted", "Как это считается")}</h2>'
            f'<p>{how}</p><p><a href="/reach.json">JSON</a></p></section></div>'
        )
        return self.whole(title, body, "/reach")
