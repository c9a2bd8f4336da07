"""Which regions, operators and services an observatory knows, from one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from holdfast.core.report import Code, Page

Name = Annotated[str, Meta(min_length=1, max_length=60)]


class Region(Struct, frozen=True, forbid_unknown_fields=True):
    """A region: its code, its names, its tile in the grid, and where it lies."""

    code: Code
    en: Name
    ru: Name
    row: Annotated[int, Meta(ge=1, le=40)]
    column: Annotated[int, Meta(ge=1, le=40)]
    in_en: Annotated[str, Meta(max_length=80)] = ""
    """"in Velin", where that is not "in" and the name."""
    in_ru: Annotated[str, Meta(max_length=80)] = ""
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None


class Operator(Struct, frozen=True, forbid_unknown_fields=True):
    """A network operator."""

    code: Code
    name: Name
    asn: Annotated[int, Meta(ge=0)] = 0


class Places(Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
    """ISO 3166; ZZ for one that is made up."""
    en: Name
    ru: Name
    regions: Annotated[tuple[Region, ...], Meta(min_length=1, max_length=400)]
    operators: Annotated[tuple[Operator, ...], Meta(min_length=1, max_length=200)]
    services: Annotated[tuple[Code, ...], Meta(max_length=50)] = ()
    looks: Annotated[dict[Code, Page], Meta(max_length=50)] = {}
    """Of services, the page by which a node measures one."""
    control: Page | None = None
    """A page of 64 KB or more that nobody has a reason to slow down."""
    holidays: Annotated[tuple[str, ...], Meta(max_length=2000)] = ()
    """Days like 2026-01-01 that are like Sundays."""
    timezone: Name = "UTC"
    """In which times are shown."""

    def region(self, code: str) -> Region | None:
        """By its code."""
        return next((each for each in self.regions if each.code == code), None)

    def operator(self, code: str) -> Operator | None:
        """By its code."""
        return next((each for each in self.operators if each.code == code), None)


class BadPlaces(ValueError):
    """The file of places cannot be used; the sentence says why."""


def parse(data: bytes) -> Places:
    """From JSON. Raises `BadPlaces`."""
    try:
        places = msgspec.json.decode(data, type=Places)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadPlaces(f"the places cannot be read: {error}") from None
    for codes in ([r.code for r in places.regions], [o.code for o in places.operators]):
        if len(set(codes)) != len(codes):
            raise BadPlaces("the places cannot be read: a code is there twice")
    return places


def load(path: Path) -> Places:
    """From a file. Raises `BadPlaces`."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise BadPlaces(f"the places {path} cannot be read: {error.strerror}") from error
