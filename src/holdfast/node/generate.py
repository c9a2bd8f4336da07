"""Writes what follows from `schema`: `web/src/api.ts` and the tables of `spec/node-api.md`.

`python -m holdfast.node.generate` writes, `--check` only says whether they are current.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from holdfast.node import schema
from holdfast.node.schema import (
    calls,
    channels,
    devices,
    events,
    groups,
    network,
    people,
    settings,
    talk,
)

ROOT: Final = Path(__file__).resolve().parents[3]
PARTS: Final = (network, settings, people, groups, talk, calls, channels, devices, events)
NOTE: Final = "Generated from src/holdfast/node/schema by `make generate`; do not edit."


def structs() -> list[type[Struct]]:
    """The API's types, in the order in which they are written."""
    return [
        value
        for part in PARTS
        for value in vars(part).values()
        if isinstance(value, type)
        and issubclass(value, Struct)
        and value.__module__ == part.__name__
    ]


def methods() -> list[tuple[str, dict[str, Any], Any, dict[str, Any], str]]:
    """Name, parameter types, result type, defaults and docstring of every call."""
    found = []
    for name, function in vars(schema.NodeApi).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        hints = typing.get_type_hints(function, include_extras=True)
        result = hints.pop("return")
        defaults = {
            key: value.default
            for key, value in inspect.signature(function).parameters.items()
            if value.default is not inspect.Parameter.empty
        }
        found.append((name, hints, result, defaults, inspect.getdoc(function) or ""))
    return found


def typescript(kind: Any) -> str:
    """A Python annotation as a TypeScript type."""
    origin = get_origin(kind)
    if origin is Annotated:
        return typescript(get_args(kind)[0])
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in get_args(kind))
    if origin in (Union, types.UnionType):
        return " | ".join(typescript(part) for part in get_args(kind))
    if origin is list:
        inner = typescript(get_args(kind)[0])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if origin is tuple:
        return f"[{', '.join(typescript(part) for part in get_args(kind))}]"
    simple = {
        str: "string",
        int: "number",
        float: "number",
        bool: "boolean",
        type(None): "null",
    }
    if kind in simple:
        return simple[kind]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind.__name__
    raise TypeError(f"no TypeScript for {kind!r}")


def _fields(struct: type[Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(struct, include_extras=True)
    return {field.name: hints[field.name] for field in msgspec.structs.fields(struct)}


def _tag(struct: type[Struct]) -> str | None:
    tag = struct.__struct_config__.tag
    return tag if isinstance(tag, str) else None


def _attribute_docs() -> dict[tuple[str, str], str]:
    """The strings below attributes, which Python does not keep, out of the source."""
    import ast

    found: dict[tuple[str, str], str] = {}
    for node in (node for part in PARTS for node in ast.parse(inspect.getsource(part)).body):
        if not isinstance(node, ast.ClassDef):
            continue
        last = ""
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                last = item.target.id
            elif isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and last:
                found[node.name, last] = inspect.cleandoc(str(item.value.value))
    return found


def api_ts() -> str:
    """The TypeScript module."""
    docs = _attribute_docs()
    lines = [f"// {NOTE}", ""]
    for struct in structs():
        lines.append(f"export interface {struct.__name__} {{")
        tag = _tag(struct)
        if tag is not None:
            lines.append(f'  type: "{tag}";')
        for name, kind in _fields(struct).items():
            doc = docs.get((struct.__name__, name))
            if doc:
                lines.append(f"  /** {' '.join(doc.split())} */")
            lines.append(f"  {name}: {typescript(kind)};")
        lines += ["}", ""]
    events = " | ".join(kind.__name__ for kind in get_args(schema.Event))
    lines += [f"export type Event = {events};", ""]
    lines += ["/** Parameters and result of every call. */", "export interface Calls {"]
    for name, hints, result, defaults, doc in methods():
        params = "; ".join(
            f"{key}{'?' if key in defaults else ''}: {typescript(kind)}"
            for key, kind in hints.items()
        )
        lines.append(f"  /** {' '.join(doc.split())} */")
        opened = f"{{ {params} }}" if params else "Record<string, never>"
        lines.append(f"  {name}: {{ params: {opened}; result: {typescript(result)} }};")
    lines += ["}", ""]
    return "\n".join(lines)


def node_api_md(current: str) -> str:
    """The page with its tables made anew between the two marks; the rest is kept."""
    docs = _attribute_docs()
    lines = [
        START,
        "",
        "## Calls",
        "",
        "| call | parameters | result | |",
        "|---|---|---|---|",
    ]
    for name, hints, result, defaults, doc in methods():
        params = ", ".join(
            f"`{key}`: {_cell(kind)}" + (f" = {_default(defaults[key])}" if key in defaults else "")
            for key, kind in hints.items()
        )
        words = " ".join(doc.split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {params} | {_cell(result)} | {words} |")
    lines += ["", "## Events", ""]
    lines.append("| `type` | carries |")
    lines.append("|---|---|")
    for kind in get_args(schema.Event):
        carried = ", ".join(f"`{key}`: {_cell(value)}" for key, value in _fields(kind).items())
        lines.append(f"| `{_tag(kind)}` | {carried} |")
    lines += ["", "## Types"]
    for struct in structs():
        if _tag(struct) is not None:
            continue
        doc = " ".join((inspect.getdoc(struct) or "").split())
        doc = "" if doc.startswith(struct.__name__ + "(") else doc
        lines += ["", f"### {struct.__name__}"] + ([doc] if doc else [])
        lines += ["", "| field | type | |", "|---|---|---|"]
        for name, kind in _fields(struct).items():
            words = " ".join(docs.get((struct.__name__, name), "").split()).replace("|", "\\|")
            lines.append(f"| `{name}` | {_cell(kind)} | {words} |")
    lines += ["", END]
    before, _, rest = current.partition(START)
    _, _, after = rest.partition(END)
    return before + "\n".join(lines) + after


START: Final = "<!-- generated from here -->"
END: Final = "<!-- to here -->"


def _cell(kind: Any) -> str:
    return typescript(kind).replace("|", "\\|")


def _default(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}.get(value, repr(value).replace("'", '"'))


def outputs() -> dict[Path, str]:
    """Every generated file and what it must contain."""
    page = ROOT / "spec" / "node-api.md"
    current = page.read_text() if page.exists() else f"{START}\n{END}\n"
    return {ROOT / "web" / "src" / "api.ts": api_ts(), page: node_api_md(current)}


def main(arguments: list[str]) -> int:
    """Write, or with `--check` compare; 1 if something is not current."""
    stale = [
        path for path, text in outputs().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is not what node/schema says. Run: make generate")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(outputs()[path])
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
