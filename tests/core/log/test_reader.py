"""A reader against a model of the log: whatever the schedule, each record once, in order."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import wire
from holdfast.core.log.reader import CHUNK, Fetch, Reader


def seqs(frames: list[wire.RelayFrame]) -> list[int]:
    return [s for f in frames if isinstance(f, wire.Records) for s, _ in f.records]


def test_reads_what_is_stored_tells_so_and_then_follows() -> None:
    reader = Reader(1, 0, follow=True)
    assert reader.go_on(True) == Fetch(0)
    reader.fetched([(1, b"a"), (2, b"b")], False)
    frames = reader.flush()
    assert seqs(frames) == [1, 2] and frames[-1] == wire.Done(1, "read")
    reader.published(3, b"c", True)
    assert reader.flush() == [wire.Records(1, ((3, b"c"),))]


def test_without_follow_it_ends_after_what_was_stored() -> None:
    reader = Reader(1, 5, follow=False)
    reader.go_on(True)
    reader.fetched([], False)
    assert reader.flush() == [wire.Done(1, "read")]
    reader.published(6, b"x", True)
    assert not reader.follows
    assert reader.state == "ended" and reader.flush() == []


def test_a_slow_reader_keeps_nothing_and_goes_on_from_its_cursor() -> None:
    reader = Reader(1, 0, follow=True)
    reader.go_on(True)
    reader.fetched([], False)
    reader.flush()
    reader.published(1, b"a", False)
    assert reader.state == "waiting" and reader.flush() == []
    assert reader.go_on(False) is None
    assert reader.go_on(True) == Fetch(0)


def test_frames_are_cut_at_about_a_chunk() -> None:
    reader = Reader(1, 0, follow=True)
    reader.go_on(True)
    reader.fetched([(n, b"x" * (CHUNK // 2 - 100)) for n in range(1, 8)], False)
    frames = reader.flush()
    assert len(frames) == 5  # and `Done`
    assert seqs(frames) == list(range(1, 8))
    for frame in frames:
        assert len(wire.encode(frame)) < CHUNK + 1_000 < wire.MAX_FRAME


@given(
    st.lists(st.sampled_from(["publish", "go", "answer", "flush", "trim"]), max_size=60),
    st.data(),
)
def test_any_schedule_gives_every_kept_record_once_in_order(
    steps: list[str], data: st.DataObject
) -> None:
    reader = Reader(1, 0, follow=True)
    stored: list[int] = []
    trimmed: set[int] = set()
    coming = 1
    fetch: Fetch | None = None
    got: list[int] = []

    def go() -> None:
        nonlocal fetch
        if fetch is None:
            fetch = reader.go_on(data.draw(st.booleans()) if drawing else True)

    def answer() -> None:
        nonlocal fetch
        if fetch is not None:
            since, fetch = fetch.since, None
            after = [s for s in stored if s > since]
            reader.fetched([(s, b"x") for s in after[:2]], len(after) > 2)

    drawing = True
    for step in steps:
        if step == "publish":
            stored.append(coming)
            reader.published(coming, b"x", data.draw(st.booleans()))
            coming += 1
        elif step == "go":
            go()
        elif step == "answer":
            answer()
        elif step == "flush":
            got += seqs(reader.flush())
        elif stored:
            trimmed.add(stored.pop(0))
    drawing = False
    for _ in range(2 * coming + 4):
        go()
        answer()
    frames = reader.flush()
    got += seqs(frames)
    assert reader.state == "following"
    assert got == sorted(set(got))
    assert set(stored) <= set(got) <= set(stored) | trimmed
