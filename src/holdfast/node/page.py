"""A conversation as one web page to keep: no script, nothing loaded, every word escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from holdfast.node.schema import Contact, Message

_WORDS: Final = {
    "en": {
        "title": "Conversation with {name}",
        "saved": "Saved from Holdfast on {day}. Times are UTC. What had disappeared or was taken"
        " back is not in it.",
        "me": "You",
        "edited": "edited",
        "deleted": "taken back",
        "file": "File",
        "call": "Call",
        "unsent": "did not arrive",
    },
    "ru": {
        "title": "Разговор: {name}",
        "saved": "Сохранено из Holdfast {day}. Время по Гринвичу. Того, что исчезло или отменено,"
        " здесь нет.",
        "me": "Вы",
        "edited": "изменено",
        "deleted": "отменено",
        "file": "Файл",
        "call": "Звонок",
        "unsent": "не дошло",
    },
}
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;"
    "color:#23211c;background:#fffefa}h1{font-family:serif}h2{font-size:1rem;margin-top:2rem}"
    "article{margin:.75rem 0;padding:.5rem .75rem;background:#f5f0e8;border-radius:.5rem;"
    "overflow-wrap:anywhere}article.mine{background:#e3eeec;margin-inline-start:3rem}"
    "article:not(.mine){margin-inline-end:3rem}header,footer{font-size:.8rem;color:#5c574b}"
    "p{margin:.1rem 0;white-space:pre-wrap}blockquote{margin:.2rem 0;padding-inline-start:.6rem;"
    "border-inline-start:3px solid #b9ac93;color:#5c574b}"
)


def page(contact: Contact, messages: Sequence[Message], language: str, now: int) -> str:
    """HTML. `language` is en or ru; any other is taken for en."""
    code = language if language in _WORDS else "en"
    words = _WORDS[code]
    title = escape(words["title"].format(name=contact.name))
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
        " style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1><bdi>{title}</bdi></h1>"
        f"<p>{escape(words['saved'].format(day=_time(now).date().isoformat()))}</p>"
        f"{''.join(_entries(contact, messages, words))}</body></html>\n"
    )


def _entries(contact: Contact, messages: Sequence[Message], words: dict[str, str]) -> Iterator[str]:
    day = None
    for message in messages:
        if message.kind == "note":
            continue
        when = _time(message.at)
        if when.date() != day:
            day = when.date()
            yield f"<h2>{day.isoformat()}</h2>"
        yield _entry(contact, message, words, when)


def _entry(contact: Contact, message: Message, words: dict[str, str], when: datetime) -> str:
    author = message.author.name if message.author else contact.name
    who = words["me"] if message.mine else author
    marks = [
        f"<bdi>{escape(who)}</bdi>",
        f'<time datetime="{when.isoformat()}">{when:%H:%M}</time>',
    ]
    if message.edited:
        marks.append(words["edited"])
    if message.state == "unsent":
        marks.append(words["unsent"])
    body = []
    if message.reply_to is not None and message.reply_to.text:
        body.append(f'<blockquote dir="auto">{escape(message.reply_to.text)}</blockquote>')
    if message.deleted:
        body.append(f"<p>{words['deleted']}</p>")
    elif message.file is not None:
        name = message.file.name or message.file.kind
        body.append(f"<p>{words['file']}: <bdi>{escape(name)}</bdi> ({message.file.size:,})</p>")
    elif message.call is not None:
        minutes, seconds = divmod(message.call.duration // 1000, 60)
        body.append(f"<p>{words['call']} {minutes}:{seconds:02}</p>")
    if message.text and not message.deleted:
        body.append(f'<p dir="auto">{escape(message.text)}</p>')
    if message.reactions:
        said = " ".join(escape(reaction.emoji) for reaction in message.reactions)
        body.append(f"<footer>{said}</footer>")
    mine = ' class="mine"' if message.mine else ""
    return f"<article{mine}><header>{' · '.join(marks)}</header>{''.join(body)}</article>"


def _time(millis: int) -> datetime:
    return datetime.fromtimestamp(min(max(millis, 0), 253_402_300_799_000) / 1000, UTC)
