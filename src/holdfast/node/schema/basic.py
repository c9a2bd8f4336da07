"""Bounds of what is taken. See `schema`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Millis = int
Seconds = int
Id = Annotated[str, Meta(max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Words = Annotated[str, Meta(min_length=1, max_length=16_000)]
Passphrase = Annotated[str, Meta(min_length=1, max_length=1024)]
Emoji = Annotated[str, Meta(min_length=1, max_length=32)]
FileName = Annotated[str, Meta(min_length=1, max_length=255)]
MediaType = Annotated[str, Meta(max_length=100)]
Thumb = Annotated[str, Meta(max_length=16_000)]
Side = Annotated[int, Meta(ge=0, le=100_000)]
Duration = Annotated[int, Meta(ge=0, le=86_400_000)]
Wave = Annotated[list[Annotated[int, Meta(ge=0, le=31)]], Meta(max_length=64)]
