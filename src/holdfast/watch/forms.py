"""Pages on which something is said: by anybody of what does not work, by editors of events."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from holdfast.core.report import FUNCTIONS, SERVICE
from holdfast.watch.document import Document
from holdfast.watch.edits import MAX_NOTE
from holdfast.watch.words import CONFIDENCE


@dataclass(frozen=True)
class Work:
    """What a form owes for complaints that were counted from its network already."""

    functions: tuple[str, ...]
    over: str
    """In hex, as the salt that is in it."""
    salt: str
    bits: int


class Forms(Document):
    """In one language at one moment."""

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
            " From one network address the first report of a day counts at once. For each further"
            " one your browser works for some seconds, so that nobody shouts for a thousand with"
            " ease.",
            "То, что вы отметили, регион и оператор. Без имени, адреса и вашего текста. Первое за"
            " день сообщение с одного сетевого адреса учитывается сразу. Ради следующих браузер"
            " несколько секунд вычисляет, чтобы никто без труда не кричал за тысячу других.",
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

    def work(self, asked: Work, region: str, operator: str) -> str:
        """For a form of a network from which the same was counted today."""
        say = self.say
        hidden = {"region": region, "operator": operator, "salt": asked.salt, "work": ""}
        fields = [*(("function", name) for name in asked.functions), *hidden.items()]
        inputs = "".join(
            f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields
        )
        why = say(
            "From the network address that you have, this was reported today. Thousands may share"
            " one address, so yours counts, too. It costs your browser some computing, so that"
            " nobody pretends with ease to be many: some seconds, minutes where there are very"
            " many. Leave this page open; it goes on by itself.",
            "С вашего сетевого адреса об этом сегодня уже сообщали. Один адрес бывает у тысяч"
            " людей, поэтому ваше сообщение тоже учитывается. Ради него браузер немного вычисляет,"
            " чтобы никто без труда не притворялся многими: несколько секунд, а где людей очень"
            " много, минуты. Не закрывайте страницу, дальше всё само.",
        )
        without = say(
            "This one page needs JavaScript, and a connection that begins with https. Without them,"
            " report from Holdfast, which does such work once, by itself.",
            "Только этой странице нужен JavaScript и соединение, которое начинается с https. Без"
            " них сообщите из Holdfast: он вычисляет такое один раз и сам.",
        )
        title = say("One moment", "Подождите немного")
        body = (
            f'<div class="narrow"><h1>{title}</h1><p>{why}</p><form method="post"'
            f' action="{self.href("/report")}" data-over="{asked.over}" data-bits="{asked.bits}">'
            f'{inputs}<p class="note"><progress max="1" value="0" aria-label="{title}"></progress>'
            f'</p></form><p class="small dim">{without}</p></div>'
            '<script type="module" src="/work.js"></script>'
        )
        return self.whole(title, body, "/report")

    def editors(self) -> str:
        """Where editors look at what is not public yet, and say something about events. All but
        the words is done by a script: keys stay in the browser."""
        say = self.say
        title = say("For editors", "Для редакторов")
        why = say(
            "Signals that agree make an event public by themselves. What is only suspected waits"
            " for you: confirm what you know of another source, and reject what was something else."
            " Each word is signed with your key and stays in the history that everybody can check.",
            "Когда сигналы сходятся, событие публикуется само. Подозрения ждут вас: подтвердите то,"
            " что знаете из другого источника, и отклоните то, что оказалось другим. Каждое слово"
            " подписано вашим ключом и остаётся в истории, которую может проверить любой.",
        )
        key = say("The file with your key", "Файл с вашим ключом")
        stays = say(
            "Made by “holdfast watch editor FILE”. It is read by this page alone and not sent"
            " anywhere; what you say is signed here.",
            "Его делает «holdfast watch editor ФАЙЛ». Его читает только эта страница и никуда не"
            " отправляет; подпись ставится здесь.",
        )
        without = say(
            "This page needs JavaScript, a recent browser and a connection that begins with https."
            " “holdfast watch events” and “holdfast watch edit” do the same.",
            "Этой странице нужен JavaScript, свежий браузер и соединение https. То же делают"
            " «holdfast watch events» и «holdfast watch edit».",
        )
        words = {
            "wrong": say("This is no editor’s key: such a file has 32 bytes.",
                         "Это не ключ редактора: в таком файле 32 байта."),
            "cannot": without,
            "away": say("The observatory cannot be reached. What you wrote is still here; try"
                        " again.",
                        "Обсерватория не отвечает. Написанное осталось здесь, попробуйте ещё раз."),
            "none": say("Nothing yet.", "Пока ничего."),
            "nothing": say("Nothing so far", "Пока ничего"),
            "done": say("It is kept, signed.", "Сохранено с подписью."),
            "public": say("public", "опубликовано"),
            "suspected": say("suspected, not public", "подозрение, не опубликовано"),
            "over": say("over", "закончилось"),
            "going": say("ongoing", "идёт"),
            "sure": say("confidence ", "уверенность: "),
            "confirm": say("Confirmed", "Подтверждено"),
            "reject": say("Rejected", "Отклонено"),
            "annotate": say("Note", "Заметка"),
            **{f"sure-{name}": text for name, text in CONFIDENCE[self.words.language].items()},
        }  # fmt: skip
        data = "".join(f' data-{name}="{escape(text)}"' for name, text in words.items())
        buttons = "".join(
            f'<button class="btn {mark}" name="what" value="{what}">{text}</button>'
            for what, mark, text in (
                ("confirm", "", say("Confirm", "Подтвердить")),
                ("annotate", "quiet", say("Only note", "Только заметка")),
                ("reject", "quiet", say("Reject", "Отклонить")),
            )
        )
        note = say("Why, and what you know it from", "Почему, и откуда вы это знаете")
        body = (
            f'<div class="narrow wide"><h1>{title}</h1><p>{why}</p>'
            f'<p class="note" id="without">{without}</p><div id="with" hidden>'
            f'<p><label for="key">{key}</label><input type="file" id="key"></p>'
            f'<p class="small dim">{stays}</p></div>'
            f'<p class="status" role="status"{data}></p><div id="list"></div>'
            '<template><section class="card"><h2 dir="auto"><a></a></h2>'
            '<p class="small dim facts"></p><p class="sentence"></p><div class="for"><div><h3>'
            f"{say('Why we say so', 'Почему мы так считаем')}</h3><ul class=reasons></ul></div>"
            f"<div><h3>{say('What speaks against it', 'Что говорит против')}</h3>"
            '<ul class="against"></ul></div></div><ul class="events said"></ul>'
            f'<form><label>{note}<textarea name="note" maxlength="{MAX_NOTE}" rows="2" dir="auto">'
            f'</textarea></label><div class="row">{buttons}</div></form></section></template></div>'
            '<script type="module" src="/edit.js"></script>'
        )
        return self.whole(title, body, "/editors")
