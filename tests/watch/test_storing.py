"""Journal, ledger, rollups, events, bundles: round trips, garbage, damage, and merging."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from holdfast.watch import bundle, edits, event, ledger, places, reach, replay, rollup, simulate
from holdfast.watch.engine import Engine
from holdfast.watch.journal import DAY, STEP, Entry, Journal, frame, frames
from holdfast.watch.ledger import Ledger
from holdfast.watch.rollup import Rollup, Row, Sums
from holdfast.watch.station import Station

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SAMPLE = places.parse((Path(simulate.__file__).parent / "data" / "sample.json").read_bytes())
FEW = places.Places("ZZ", "Here", "Тут", SAMPLE.regions[:2], SAMPLE.operators)
WORDS = st.text("abcXYZ.-", min_size=1, max_size=8)
ROWS = st.builds(
    Row, st.sampled_from("cfma"), WORDS, WORDS, WORDS, st.integers(0, 99), st.integers(0, 99),
    st.dictionaries(WORDS, st.integers(1, 9), max_size=3),
)  # fmt: skip
ENTRIES = st.builds(
    Entry, st.integers(0, 10**9).map(lambda n: n * STEP), st.sampled_from("cfma"), WORDS, WORDS,
    WORDS, st.booleans(), WORDS, st.integers(0, 99), st.integers(0, 99), st.binary(max_size=16),
)  # fmt: skip


@given(st.lists(ENTRIES, max_size=5), st.binary(max_size=60))
def test_frames_end_where_they_are_damaged(entries, rest):
    whole = frame(entries)
    assert list(frames(whole + frame(entries)))[1][1] == entries
    assert list(frames(whole[:-1])) == []
    assert next(iter(frames(whole + rest)))[1] == entries
    list(frames(rest))


def test_a_torn_frame_is_cut_off_and_gone_on_behind(tmp_path):
    one = Entry(STEP * 7, "c", "VEL", "veltel", "calls")
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "0.journal").write_bytes(frame([one]) + frame([one])[:-3])
    journal = Journal(folder, lambda call: call())
    told: list[str] = []
    journal.append((one,), told.append)
    journal.close()
    assert told == [""] and list(Journal(folder, lambda call: call()).read(0)) == [one, one]


@given(st.lists(ROWS, max_size=6), st.integers(0, 10**6))
def test_lines_are_signed_and_rows_add_up(rows, number):
    sums = Sums()
    sums.merge(rows)
    one = Rollup(number * STEP, sums.rows())
    line = ledger.seal(one, KEY)
    assert ledger.unseal(line, ledger.raw(KEY)) == one
    with pytest.raises(rollup.BadRollup):
        ledger.unseal(line, ledger.raw(Ed25519PrivateKey.generate()))
    assert sum(row.seen for row in one.rows) == sum(row.seen for row in rows)


@given(st.binary(max_size=200))
def test_garbage(data):
    for decode, refusal in (
        (rollup.decode, rollup.BadRollup),
        (lambda line: ledger.unseal(line, None), rollup.BadRollup),
        (event.decode, event.BadEvent),
        (edits.decode, edits.BadEdit),
        (bundle.verify, bundle.BadBundle),
        (places.parse, places.BadPlaces),
    ):
        with pytest.raises(refusal):
            decode(data)


def test_two_watches_merged_are_one(tmp_path):
    """Half of everything is told to each; together they see what one would."""
    story = [
        simulate.Hidden(
            "calls", ("NOR",), ("veltel", "sayat"), ("calls",), 20_003 * DAY,
            20_003 * DAY + 7200, 0.9, 12, "udp-block",
        )
    ]  # fmt: skip
    country = simulate.Country(FEW, 5, story, complaints=2, reports=16)
    whole = Engine(FEW)
    folders = []
    ledgers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folders.append((tmp_path / name, ledger.raw(KEY)))
        ledgers.append(Ledger(tmp_path / name / "ledger"))
    for at in range(20_000 * DAY, 20_003 * DAY + 4 * 3600, STEP):
        rows = country.rows(at)
        whole.tick(at, rows, 2)
        halves: tuple[list[Row], list[Row]] = ([], [])
        for number, row in enumerate(rows):
            halves[number % 2].append(row)
        for each, half in zip(ledgers, halves, strict=True):
            each.append(Rollup(at, half), KEY)
    together = replay.merged(FEW, folders)
    assert [event.encode(each) for each in together] == list(map(event.encode, whole.events))
    assert any(each.published for each in together)
    alone = replay.merged(FEW, folders[:1])
    assert [event.encode(each) for each in alone] != [event.encode(each) for each in together]


def test_a_line_that_a_crash_cut_short_is_mended(tmp_path):
    kept = Ledger(tmp_path)
    kept.append(Rollup(0, []), KEY)
    kept.append(Rollup(STEP, []), KEY)
    path = kept.path(0)
    path.write_bytes(path.read_bytes()[:-9])
    kept.mend()
    kept.append(Rollup(STEP, []), KEY)
    assert [one.at for one in kept.read(key=ledger.raw(KEY))] == [0, STEP]


def test_reach_is_blurred_the_same_each_time_and_small_numbers_are_not_told():
    blurred = [reach.noise(b"s" * 32, f"R{n}", 3) for n in range(4000)]
    assert blurred == [reach.noise(b"s" * 32, f"R{n}", 3) for n in range(4000)]
    part = 2.718281828**-reach.EPSILON
    assert abs(sum(map(abs, blurred)) / 4000 - 2 * part / (1 - part * part)) < 0.1
    assert abs(sum(blurred) / 4000) < 0.1
    assert reach.told(b"s" * 32, "R", 3, 10) is None
    assert abs((reach.told(b"s" * 32, "R", 3, 900) or 0) - 900) < 20


def test_edits_build_on_each_other(tmp_path):
    kept = edits.Edits(tmp_path / "edits", frozenset({ledger.raw(KEY)}))
    one = edits.make(KEY, "e", "confirm", "yes", 1, kept.head)
    kept.add(one)
    with pytest.raises(edits.BadEdit, match="meanwhile"):
        kept.add(edits.make(KEY, "e", "reject", "", 2, edits.START))
    kept.add(edits.make(KEY, "e", "reject", "no", 2, kept.head))
    again = edits.Edits(tmp_path / "edits", frozenset())
    assert again.verdict("e") == "reject" and [e.note for e in again.of("e")] == ["yes", "no"]
    lines = (tmp_path / "edits").read_bytes().split(b"\n")
    (tmp_path / "edits").write_bytes(b"\n".join(lines[1:]))
    with pytest.raises(edits.BadEdit):
        edits.Edits(tmp_path / "edits", frozenset())


def test_an_edit_that_a_crash_or_a_full_disk_cut_short_is_gone(tmp_path, monkeypatch):
    def kept():
        return edits.Edits(tmp_path / "edits", frozenset({ledger.raw(KEY)}))

    first = kept()
    first.add(edits.make(KEY, "e", "annotate", "one", 1, first.head))
    with (tmp_path / "edits").open("ab") as file:
        file.write(b'{"event":"e","wh')
    again = kept()
    again.add(edits.make(KEY, "e", "annotate", "two", 2, again.head))

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            again.add(edits.make(KEY, "e", "annotate", "lost", 3, again.head))
    again.add(edits.make(KEY, "e", "annotate", "three", 4, again.head))
    assert [each.note for each in kept().all] == ["one", "two", "three"]


def test_a_long_life_is_played_whole_after_a_restart_too(tmp_path):
    """An event of long ago stays, and what is usual was learned from all there is."""

    def opened(now):
        made = Station(tmp_path, FEW, "w", KEY, frozenset(), lambda call: call())
        made.start(now)
        shares = list(made.play())
        assert shares == sorted(shares) and made.played == 1
        made.advance(now)
        return made

    begins = 20_000 * DAY
    ends = begins + 2 * DAY + 4 * 3600
    story = [simulate.Hidden("calls", ("NOR",), ("veltel", "sayat"), ("calls",), ends - 2 * 3600,
                             ends - 3600, 0.9, 12, "udp-block")]  # fmt: skip
    country = simulate.Country(FEW, 5, story, complaints=2, reports=16)
    one = opened(begins)
    for at in range(begins, ends, STEP):
        one.feed(Rollup(at, country.rows(at)))
    said = list(map(event.encode, one.engine.events))
    one.close()
    assert said
    again = opened(ends + 450 * DAY)
    assert list(map(event.encode, again.engine.events)) == said
    again.close()
    # The machine lost power, and of what was not synced the ledger's end is gone, not the events'.
    path = one.ledger.path(ends // DAY)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-30]))
    again = opened(ends)
    for each in (ledger.unseal(line, ledger.raw(KEY)) for line in lines[-30:]):
        again.feed(each)
    again.close()
    found = replay.replay(tmp_path, FEW, ledger.raw(KEY), simulated=True)
    assert found.same and list(map(event.encode, found.events)) == said


def test_a_step_that_does_not_fit_on_the_disk_is_closed_later(tmp_path, monkeypatch):
    station = Station(tmp_path, FEW, "w", KEY, frozenset(), lambda call: call())
    station.start(20_000 * DAY)
    told: list[str] = []
    station.submit((Entry(20_000 * DAY, "c", "NOR", "veltel", "calls"),), told.append)
    station.journal.close()
    really = ledger.append

    def full(path, data):
        really(path, data[:10])
        path.write_bytes(path.read_bytes()[:-10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger, "append", full)
    for _ in range(3):
        station.advance(20_000 * DAY + STEP)
        assert station.due == 20_000 * DAY and list(station.ledger.read()) == []
    monkeypatch.setattr(ledger, "append", really)
    station.advance(20_000 * DAY + STEP)
    assert told == [""] and station.due == 20_000 * DAY + STEP
    (one,) = station.ledger.read(key=station.public)
    assert [(row.region, row.seen) for row in one.rows] == [("NOR", 1)]
