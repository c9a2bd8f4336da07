"""A test of a pure machine that reads like the conversation it is about.

    assert (
        Playbook(Session(WELCOME))
        >> do.open()
        << Send(WELCOME)
        >> do.receive(wire.encode(wire.Hello(1)), 0)
        >> do.receive(wire.encode(attach), 0)
        << Find(attach.log_id)
        >> do.found(None, 0)
        << Some(Send, lambda command: command.frame.code == "denied")
    )

`>>` calls a verb of the machine, `<<` is the next thing that it must answer with. An answer
that differs, is missing or was not asked for fails at the line where it happens, with the
script so far. `assert` on the whole makes sure that nothing is left over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Verb:
    """One call that is still to be made."""

    name: str
    args: tuple[Any, ...]
    named: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        args = [repr(arg) for arg in self.args] + [f"{name}={arg!r}" for name, arg in self.named]
        return f"{self.name}({', '.join(args)})"


class _Do:
    """`do.receive(data, now)` is the call of `receive`, to be made by a playbook."""

    def __getattr__(self, name: str) -> Callable[..., Verb]:
        def verb(*args: Any, **named: Any) -> Verb:
            return Verb(name, args, tuple(named.items()))

        return verb


do: Final = _Do()


@dataclass(frozen=True)
class Some:
    """Stands for any answer of a kind, or of a kind for which `where` holds."""

    kind: type
    where: Callable[[Any], bool] = lambda _: True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.kind) and self.where(other)

    def __hash__(self) -> int:
        return hash(self.kind)


class Playbook:
    """Plays a script against `machine`.

    What a verb returns is what the machine answers: a list is several answers, None is
    none. `take` names the verb that hands out answers of a machine that gathers them.
    `got` has every answer so far, for asking about them later.
    """

    def __init__(self, machine: object, take: str | None = None) -> None:
        self.machine = machine
        self.got: list[Any] = []
        self._take = take
        self._left: list[Any] = []
        self._script: list[str] = []

    def __rshift__(self, verb: Verb) -> Playbook:
        self._nothing_left()
        self._script.append(f">> {verb}")
        result = getattr(self.machine, verb.name)(*verb.args, **dict(verb.named))
        answers = list(result) if isinstance(result, list | tuple) else [result]
        if self._take is not None:
            answers += getattr(self.machine, self._take)()
        self._left = [answer for answer in answers if answer is not None]
        self.got += self._left
        return self

    def __lshift__(self, expected: object) -> Playbook:
        self._script.append(f"<< {expected!r}")
        if not self._left:
            raise AssertionError(f"{self}\nbut nothing came")
        answer = self._left.pop(0)
        if not expected == answer:
            raise AssertionError(f"{self}\nbut this came:\n<< {answer!r}")
        return self

    def __bool__(self) -> bool:
        self._nothing_left()
        return True

    def __str__(self) -> str:
        return "\n".join(self._script)

    def _nothing_left(self) -> None:
        if self._left:
            answers = "\n".join(f"<< {answer!r}" for answer in self._left)
            raise AssertionError(f"{self}\nand this came too:\n{answers}")
