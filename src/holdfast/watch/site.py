"""What the observatory answers over HTTP: pages, feeds, tokens, reports."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta, Struct

from holdfast.core import issuance, report
from holdfast.core.issuance import Ask, BadIssuance, Given
from holdfast.core.log.admission import covered
from holdfast.core.report import BadReport, Complaint
from holdfast.drive.http import MAX_BODY, Request, Response
from holdfast.watch import bundle, crowd, document, edits, feeds, forms, page, told, where
from holdfast.watch.answers import JSON, OPEN, answer, gzipped, html, said
from holdfast.watch.crowd import Crowd
from holdfast.watch.desk import Again, Desk, NotCounted, network
from holdfast.watch.edits import BadEdit
from holdfast.watch.issuer import CannotIssue, Issuer
from holdfast.watch.journal import Entry
from holdfast.watch.station import Station, month_of
from holdfast.watch.told import BadTold
from holdfast.watch.words import Words

LASTING: Final = ("/style.css", "/work.js", "/edit.js", "/icon.svg", "/world.svg")
MAX_REPORTS: Final = 200
TEXTS: Final = ("text/", "image/svg", "application/json", "application/atom", "application/geo",
                "application/openmetrics")  # fmt: skip
"""Kinds that shrink; "application/json" begins that of lines, too."""
PACKED: Final = 500
"""Bytes from which compressing is worth it."""
PACKS: Final = 32_000_000
"""Bytes of answers that are kept with what they are when compressed."""
LOOKED: Final = 200
"""Events that an editor is shown."""
ASKS: Final = 12
"""Requests for tokens of one credential an hour."""
EARLY: Final = (*LASTING, "/robots.txt", "/about.json", "/places.json", "/edits.jsonl", "/rollups",
                "/ooni.jsonl", "/report", "/api/keys", "/api/tokens", "/api/reports",
                "/api/told")  # fmt: skip
"""What can be told or taken before all of the past was played."""
NOT_MADE: Final = b"This observatory does not make this format.\n"
ICON: Final = document.LOGO.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).encode()


class Sent(Struct, frozen=True, forbid_unknown_fields=True):
    """One report with its token."""

    report: msgspec.Raw
    token: Annotated[bytes, Meta(max_length=512)]


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to /api/reports."""

    reports: Annotated[tuple[Sent, ...], Meta(min_length=1, max_length=MAX_REPORTS)]


_batch: msgspec.json.Decoder[Batch] = msgspec.json.Decoder(Batch)


def decode_batch(data: bytes) -> Batch:
    """Parse reports. Raises `BadReport`."""
    try:
        return _batch.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadReport(f"not reports: {type(error).__name__}") from None


@dataclass(frozen=True)
class Query:
    """A target, taken apart."""

    path: str
    language: str
    values: dict[str, list[str]]

    def one(self, name: str) -> str:
        """The first value of a name; empty if there is none."""
        return self.values.get(name, [""])[0][:200]


def parse_query(text: str) -> dict[str, list[str]]:
    """Names and values of a query or a form; nothing if there are too many."""
    try:
        return parse_qs(text, max_num_fields=60, keep_blank_values=False)
    except ValueError:
        return {}


class Site:
    """A `drive.http.Site`. `root` is where the public finds it, as in https://watch.example."""

    def __init__(
        self,
        station: Station,
        issuer: Issuer,
        desk: Desk,
        clock: Callable[[], int],
        root: str,
        bots: frozenset[bytes] = frozenset(),
    ) -> None:
        self._station = station
        self._issuer = issuer
        self._desk = desk
        self._clock = clock
        self._root = root
        self._bots = bots
        self._style = document.style(station.places).encode()
        self._newcomers = Crowd(secrets.token_bytes)
        self._callers = Crowd(secrets.token_bytes, free=0)
        self._salts: set[bytes] = set()
        """Of work that was counted today."""
        self._salts_day = -1
        self._asked: dict[bytes, int] = {}
        self._asked_hour = 0
        self._packs: dict[bytes, bytes] = {}
        self._cache: dict[str, tuple[int, Response]] = {}

    # A drive.http.Site.

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        query = self._parse(request)
        if self._station.behind and query.path not in EARLY:
            return self._behind(request, query)
        if request.method in ("GET", "HEAD"):
            made = self._get(query)
            if "gzip" not in request.header("accept-encoding"):
                return made
            return self._packed(made) if isinstance(made, Response) else self._later(made)
        if request.method == "POST":
            return self._post(request, query)
        return answer(405, b"This takes GET and POST.\n")

    def take(self, request: Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> Response:
        """What was no request at all."""
        return answer(status, HTTPStatus(status).phrase.encode() + b"\n")

    def upgrade(self, request: Request, transport: asyncio.Transport, rest: bytes) -> None:
        """There is no WebSocket here."""

    # Reading.

    def _parse(self, request: Request) -> Query:
        try:
            parts = urlsplit(request.target)
        except ValueError:
            return Query("/?", "en", {})
        path, language = parts.path, "en"
        if path == "/ru" or path.startswith("/ru/"):
            path, language = path[3:] or "/", "ru"
        return Query(path, language, parse_query(parts.query))

    def _behind(self, request: Request, query: Query) -> Response:
        """What cannot be told before all of the past was played."""
        if "text/html" in request.header("accept"):
            return html(page.Page(self._station, query.language, self._clock()).behind(), 503)
        share = f"{self._station.played:.0%}"
        why = f"it was started anew and reads its past ({share}). Try again in some minutes"
        return said(503, {"error": why})

    def _get(self, query: Query) -> Response | Awaitable[Response]:
        now = self._clock()
        made = self._fixed(query.path, now)
        if made is not None:
            return made
        if query.path == "/api/keys":
            return self._keys(now)
        if query.path == "/rollups":
            return self._rollups(query)
        if query.path == "/ooni.jsonl":
            return self._ooni(query, now)
        if query.path == "/data.parquet":
            return self._parquet(now)
        if self._station.played < 1 and self._station.simulated:  # as it was then
            now = self._station.engine.now or now
        shown = page.Page(self._station, query.language, now)
        head, _, rest = query.path[1:].partition("/")
        if query.path == "/":
            return html(shown.front(query.one("region"), query.one("operator")))
        if query.path == "/events":
            return html(shown.events())
        if query.path == "/report":
            return html(shown.form(region=query.one("region"), operator=query.one("operator")))
        if query.path == "/reach":
            return html(shown.reach())
        if query.path == "/editors":
            return html(shown.editors(), script=True)
        if query.path == "/data":
            return html(shown.data(self._root, self._issuer.mark(self._clock())))
        if head == "event" and (one := self._station.event(rest)) is not None:
            return html(shown.event(one))
        if head in ("region", "card") and self._station.places.region(rest) is not None:
            if head == "card":
                return html(shown.card(rest), embed=True)
            return html(shown.region(rest))
        if head == "bundle" and (one := self._station.event(rest.removesuffix(".zip"))) is not None:
            data = bundle.make(self._station, one, now)
            disposition = ("content-disposition", f'attachment; filename="{one.id}.zip"')
            return answer(200, data, "application/zip", (disposition, OPEN))
        missing = shown.say("There is no such page.", "Такой страницы нет.")
        text = shown.whole(missing, f'<div class="lead top"><h1>{missing}</h1></div>', "/")
        return html(text, 404)

    def _packed(self, made: Response) -> Response:
        """The same answer compressed, if that is worth it. Nothing in it is anybody's secret."""
        kind = dict(made.headers).get("content-type", "")
        if len(made.body) < PACKED or not kind.startswith(TEXTS):
            return made
        kept = self._packs.get(made.body)
        if kept is None:
            if sum(map(len, self._packs)) > PACKS:
                self._packs.clear()
            kept = self._packs[made.body] = gzip.compress(made.body, 6, mtime=0)
        return gzipped(made, kept)

    async def _later(self, made: Awaitable[Response]) -> Response:
        """The same of what is made for one asker."""
        done = await made
        kind = dict(done.headers).get("content-type", "")
        if len(done.body) < PACKED or not kind.startswith(TEXTS):
            return done
        return gzipped(done, await asyncio.to_thread(gzip.compress, done.body, 1, mtime=0))

    def _fixed(self, path: str, now: int) -> Response | None:
        """What is the same for everybody for a while; made once a minute at most."""
        makers: dict[str, tuple[str, Callable[[], bytes | None]]] = {
            "/style.css": ("text/css; charset=utf-8", lambda: self._style),
            **{
                name: ("text/javascript; charset=utf-8", functools.partial(document.script, name))
                for name in document.SCRIPTS
            },
            "/world.svg": ("image/svg+xml", where.drawing),
            "/icon.svg": ("image/svg+xml", lambda: ICON),
            "/events.atom": (
                "application/atom+xml",
                lambda: feeds.atom(self._station, self._root, now),
            ),
            "/events.json": (JSON, lambda: feeds.events_json(self._station, now)),
            "/events.geojson": (
                "application/geo+json",
                lambda: feeds.geojson(self._station, now),
            ),
            "/data.csv": ("text/csv; charset=utf-8", lambda: feeds.csv_table(self._station)),
            "/metrics": (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                lambda: feeds.metrics(self._station),
            ),
            "/reach.json": (JSON, lambda: self._reach(now)),
            "/edits.jsonl": ("application/jsonl", self._edits),
            "/about.json": (JSON, self._about),
            "/places.json": (JSON, lambda: msgspec.json.encode(self._station.places)),
            "/robots.txt": ("text/plain", lambda: b"User-agent: *\nAllow: /\n"),
        }
        if path not in makers:
            return None
        kept = self._cache.get(path)
        if kept is not None and kept[0] == now // 60:
            return kept[1]
        kind, make = makers[path]
        body = make()
        if body is None:
            return answer(404, NOT_MADE)
        seconds = 86_400 if path in LASTING else 60
        made = answer(200, body, kind, (("cache-control", f"max-age={seconds}"), OPEN))
        self._cache[path] = (now // 60, made)
        return made

    def _reach(self, now: int) -> bytes:
        month = month_of(now) - 1
        active = self._station.reached(month)
        return json.dumps({"month": f"{1970 + month // 12}-{month % 12 + 1:02}", "active": active}
                          ).encode()  # fmt: skip

    def _edits(self) -> bytes:
        return b"".join(msgspec.json.encode(each) + b"\n" for each in self._station.edits.all)

    def _about(self) -> bytes:
        return json.dumps(
            {
                "watch": self._station.name,
                "key": self._station.public.hex(),
                "tokens": self._issuer.mark(self._clock()),
                "edits": self._station.edits.head.hex(),
                "simulated": self._station.simulated,
                "country": self._station.places.country,
                "with": [
                    {
                        "key": peer.key.hex(),
                        "tokens": peer.mark,
                        "last": peer.last,
                        "refused": peer.refused,
                        "why": peer.refusal,
                        "trouble": peer.trouble,
                    }
                    for peer in self._station.peers.all.values()
                ],
            }
        ).encode()

    async def _keys(self, now: int) -> Response:
        try:
            keys = await asyncio.to_thread(self._issuer.keys, now)
        except CannotIssue as error:
            return said(503, {"error": str(error)})
        return answer(200, issuance.encode(keys), JSON, (("cache-control", "max-age=600"), OPEN))

    def _rollups(self, query: Query) -> Response:
        """A day's signed lines, for other watches."""
        day, after = query.one("day"), query.one("after") or "0"
        if not day.isdecimal() or len(day) > 6 or not after.isdecimal() or len(after) > 12:
            return answer(400, b"This takes day=DAYS SINCE 1970 and after=SECONDS SINCE 1970.\n")
        lines = self._station.ledger.after(int(day), int(after))
        return answer(200, b"".join(line + b"\n" for line in lines), "application/jsonl", (OPEN,))

    async def _parquet(self, now: int) -> Response:
        """In a thread: what makes it takes a second to be imported."""
        kept = self._cache.get("/data.parquet")
        if kept is not None and kept[0] == now // 60:
            return kept[1]
        body = await asyncio.to_thread(feeds.parquet, list(feeds.table(self._station)))
        if body is None:
            return answer(404, NOT_MADE)
        more = (("cache-control", "max-age=60"), OPEN)
        made = answer(200, body, "application/vnd.apache.parquet", more)
        self._cache["/data.parquet"] = (now // 60, made)
        return made

    async def _ooni(self, query: Query, now: int) -> Response:
        """The last hour, or from a second on as much as fits; the rest by its link."""
        since = query.one("from") or str(now - 3600)
        if not since.isdecimal() or len(since) > 12:
            return answer(400, b"This takes from=SECONDS SINCE 1970.\n")
        body, more = await asyncio.to_thread(feeds.ooni_lines, self._station, int(since))
        link = (("link", f'</ooni.jsonl?from={more}>; rel="next"'),) if more else ()
        return answer(200, body, "application/jsonl", (OPEN, *link))

    # Writing.

    def _post(self, request: Request, query: Query) -> Response | Awaitable[Response]:
        if len(request.body) > MAX_BODY:
            return answer(413, b"This is too long.\n")
        if query.path == "/report":
            return self._form(request, query)
        if query.path == "/api/reports":
            return self._reports(request)
        if query.path == "/api/told":
            return self._told(request)
        if query.path == "/api/tokens":
            return self._tokens(request)
        if query.path == "/api/edits":
            return self._edit(request)
        if query.path == "/api/look":
            return self._look(request, query.language)
        return answer(404, b"There is nothing here that takes this.\n")

    async def _form(self, request: Request, query: Query) -> Response:
        now = self._clock()
        values = parse_query(request.body.decode("ascii", errors="replace"))
        region, operator = (values.get(name, [""])[0] for name in ("region", "operator"))
        shown, whose = page.Page(self._station, query.language, now), network(request.peer)
        salt = self._pays(values, whose, now)
        good, word, again = 0, "", list[str]()
        for function in dict.fromkeys(values.get("function", [])[:12]):
            try:
                one = report.decode(report.encode(Complaint(region, operator, function)))
                assert isinstance(one, Complaint)
                entries = self._desk.admit_form(whose, one, now, bool(salt))
            except Again:
                again.append(function)
                continue
            except (BadReport, NotCounted) as error:
                word = str(error)
                continue
            why = await self._durable(entries)
            if why:
                self._desk.forget_form(whose, one)
            good += not why
            word = why or word
        if good and salt:
            self._salts.add(salt)
            self._callers.came(whose, now)
        if again and (bits := self._callers.price(whose, now)) is not None:
            salt = secrets.token_bytes(crowd.SALT)
            over = covered(crowd.form(self._station.name, salt, now // report.DAY))
            asked = forms.Work(tuple(again), over.hex(), salt.hex(), bits)
            return html(shown.work(asked, region, operator), script=True)
        if again:
            word = shown.say(
                "too many reports from this network today. Try again tomorrow",
                "слишком много сообщений из этой сети за сегодня. Попробуйте завтра",
            )
        if good:
            word = shown.say(
                "Thank you, it counts. You need do nothing more.",
                "Спасибо, учтено. Больше ничего делать не нужно.",
            ) + self._company(shown, region)
        elif not word:
            word = shown.say("Tick what does not work.", "Отметьте, что не работает.")
        else:
            word = shown.say("Not counted: ", "Не учтено: ") + word + "."
        return html(shown.form(word, good > 0, region, operator), 200 if good else 400)

    def _pays(self, values: dict[str, list[str]], whose: bytes, now: int) -> bytes:
        """The salt of work that a form brings and that is enough; else nothing."""
        if self._salts_day != now // report.DAY:
            self._salts_day, self._salts = now // report.DAY, set()
        try:
            salt, found = (bytes.fromhex(values.get(name, [""])[0]) for name in ("salt", "work"))
        except ValueError:
            return b""
        if len(salt) != crowd.SALT or salt in self._salts or len(self._salts) >= crowd.NETWORKS:
            return b""
        owed = self._callers.owes(
            whose, found, lambda day: crowd.form(self._station.name, salt, day), now
        )
        return salt if owed == 0 else b""

    async def _told(self, request: Request) -> Response:
        now, counted, why = self._clock(), 0, ""
        try:
            one = told.decode(request.body)
            one.check(self._station.name, self._bots, now // 86_400)
        except BadTold as error:
            return said(400, {"error": str(error)})
        whose = b"bot" + one.bot + one.who
        for complaint in one.complaints():
            try:
                entries = self._desk.admit_form(whose, complaint, now)
            except NotCounted as error:
                why = str(error)
                continue
            if failed := await self._durable(entries):
                self._desk.forget_form(whose, complaint)
            counted, why = counted + (not failed), failed or why
        return said(200, {"counted": counted, "why": why})

    def _company(self, shown: page.Page, region: str) -> str:
        event = self._station.engine.regions[region].event
        if self._station.behind or event is None or not self._station.visible(event):
            return ""
        since = Words(shown.words.language, self._station.places).since(event.started, shown.now)
        return shown.say(
            f" You are not alone: {event.complaints} others said the same since {since}.",
            f" Вы не одни: с {since} об этом сообщили ещё {event.complaints}.",
        )

    async def _reports(self, request: Request) -> Response:
        now = self._clock()
        try:
            batch = decode_batch(request.body)
        except BadReport as error:
            return said(400, {"error": str(error)})
        waits: list[Awaitable[str]] = []
        places: list[int] = []
        refused: dict[int, str] = {}
        for number, one in enumerate(batch.reports):
            try:
                entries = self._desk.admit(one.token, report.decode(bytes(one.report)), now)
            except (BadReport, NotCounted) as error:
                refused[number] = str(error)
                continue
            waits.append(self._durable(entries))
            places.append(number)
        done = zip(places, await asyncio.gather(*waits), strict=True)
        refused.update({number: why for number, why in done if why})
        counted = len(batch.reports) - len(refused)
        listed = [{"index": number, "why": why} for number, why in sorted(refused.items())]
        return said(200, {"counted": counted, "refused": listed})

    async def _durable(self, entries: tuple[Entry, ...]) -> str:
        """Empty once the entries are on the disk, else why they are not."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def settled(why: str) -> None:
            if why:
                self._desk.give_back(entries)
            if not done.cancelled():
                done.set_result(why)

        self._station.submit(entries, settled)
        return await asyncio.shield(done)

    async def _tokens(self, request: Request) -> Response:
        now = self._clock()
        try:
            ask = issuance.decode_ask(request.body)
            ask.check(self._issuer.watch)
        except BadIssuance as error:
            return said(400, {"error": str(error)})
        if now // 3600 != self._asked_hour:
            self._asked_hour, self._asked = now // 3600, {}
        try:
            return await self._give(ask, request.peer, now)
        except CannotIssue as error:
            return said(503, {"error": str(error)})

    async def _give(self, ask: Ask, peer: str, now: int) -> Response:
        known = await asyncio.to_thread(self._issuer.knows, ask.credential)
        if not known and not peer.startswith("127."):
            refused = self._admit(ask, network(peer), now)
            if refused is not None:
                return answer(200, issuance.encode(refused), JSON)
        elif known:
            self._asked[ask.credential] = self._asked.get(ask.credential, 0) + 1
            if self._asked[ask.credential] > ASKS:
                return said(429, {"error": "too many requests. Try in an hour"})
        given = await asyncio.to_thread(self._issuer.give, ask, now)
        return answer(200, issuance.encode(given), JSON)

    def _admit(self, ask: Ask, where: bytes, now: int) -> Given | None:
        """Count a newcomer; or what to tell them instead."""
        nothing = tuple(b"" for _ in ask.wishes)
        bits = self._newcomers.owes(
            where, ask.work, lambda day: issuance.newcomer(self._issuer.watch, ask.credential, day),
            now,
        )  # fmt: skip
        if bits is None:
            return Given(nothing, "too many newcomers from this network today. Try again tomorrow")
        if bits:
            return Given(nothing, "many newcomers share this network, so it takes work", bits)
        self._newcomers.came(where, now)
        return None

    def _edit(self, request: Request) -> Response:
        try:
            self._station.edit(edits.decode(request.body))
        except (BadEdit, OSError) as error:
            return said(409, {"error": str(error)})
        self._cache.clear()
        return said(200, {"head": self._station.edits.head.hex()})

    def _look(self, request: Request, language: str) -> Response:
        """All events for an editor, the newest first."""
        now, station = self._clock(), self._station
        try:
            station.edits.admit(edits.decode_look(request.body), station.name, now)
        except BadEdit as error:
            return said(409, {"error": str(error)})
        shown = sorted(station.engine.events, key=lambda one: (-one.started, one.id))[:LOOKED]
        found = [
            {
                "public": station.visible(one),
                "verdict": station.edits.verdict(one.id),
                **feeds.as_dict(station, one, now, language),
            }
            for one in shown
        ]
        return said(200, {"head": station.edits.head.hex(), "events": found})
