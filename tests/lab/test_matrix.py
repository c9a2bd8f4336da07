"""The matrix: what is on record comes back, and the table says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.lab import matrix
from holdfast.lab.play import Cell, Row

ABOUT = {"megabytes": 10.0, "seed": 0}


def row(peer: str = "holdfast", id: str = "tcp16-20", **cells: Cell) -> Row:
    named = {name.replace("_", " "): cell for name, cell in cells.items()}
    return Row(peer, id, {"packets": 25}, "freeze", named, "freeze", ["frozen after 16 KB"])


def test_a_record_comes_back_with_the_last_row_of_each(tmp_path: Path) -> None:
    path = tmp_path / "record"
    first, second = row(text=Cell(False, 30)), row(text=Cell(True, 0.2))
    other = row("xmpp", text=Cell(False, 30))
    for one in (first, other, second):
        matrix.write(path, one, ABOUT)
    assert matrix.read(path, ABOUT) == [second, other]


def test_other_circumstances_and_broken_lines_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert matrix.read(path, ABOUT) == []
    matrix.write(path, row(text=Cell(True, 1)), ABOUT | {"seed": 1})
    matrix.write(path, row(text=Cell(True, 1)), ABOUT)
    with path.open("a") as file:
        file.write('[]\n7\n{"megabytes": 10.0, "seed": 0}\n{"megabytes": 10.0, "se')
    assert matrix.read(path, ABOUT) == [row(text=Cell(True, 1))]


def test_the_table_says_what_was_measured_and_nothing_else() -> None:
    mine = row(
        connect=Cell(True, 1.23),
        text=Cell(False, 30),
        file=Cell(False, 180, share=0.126),
        in_file=Cell(True, 12, kept=False),
        call=Cell(True, 0.5, heard=0.9),
        in_call=Cell(False, 0.5, heard=0.31),
    )
    lines = matrix.tables([mine]).splitlines()
    assert lines[0].split(" | ")[1:] == [
        "connects", "text", "file", "file under way", "call", "call under way", "says |",
    ]  # fmt: skip
    cells = "1.2 s | no | 13% in 180 s | 12.0 s, anew | 0.5 s | no (0.31)"
    assert lines[2] == f"| tcp16-20 | {cells} | freeze |"


def test_peers_stand_beside_one_another() -> None:
    rows = [
        row("xmpp", "a", text=Cell(True, 0.2), connect=Cell(True, 1)),
        row("sip", "a", call=Cell(True, 1)),
        row("sip", "b", call=Cell(False, 1, heard=0)),
    ]
    assert matrix.tables(rows).splitlines() == [
        "| scenario | xmpp: text | sip: call |",
        "|---|---|---|",
        "| a | 0.2 s | 1.0 s |",
        "| b |  | no |",
    ]


def test_figures_are_of_those_scenarios_in_which_one_connects() -> None:
    rows = [
        row(id=str(n), connect=Cell(True, n), text=Cell(n < 9, 20 if n == 9 else 0.1 * n))
        for n in range(1, 10)
    ]
    rows += [row(id="no", connect=Cell(False, 30), text=Cell(False, 5))]
    assert matrix.figures(rows).splitlines()[2:] == [
        "| first connection in a new network | 5.0 s | 9.0 s | 0 |",
        "| a text, once connected | 0.4 s | 0.8 s | 1 |",
    ]
    assert matrix.figures(rows[:4]) == ""
    under_way = [row(connect=Cell(True, 1), in_file=Cell(True, 9, kept=n > 1)) for n in range(6)]
    assert "nothing was lost | 4 of 6" in matrix.figures(under_way)


def test_a_page_gets_the_matrix_between_its_marks() -> None:
    page = f"before\n{matrix.BEGIN}\nold\n{matrix.END}\nafter"
    made = matrix.into(page, r"new \1")
    assert made == f"before\n{matrix.BEGIN}\nnew \\1\n{matrix.END}\nafter"
    assert matrix.into(made, "newer").count("new") == 1
    with pytest.raises(ValueError, match="there is no line"):
        matrix.into("a page", "new")
