"""Reports: what they may say, and the windows of their tokens."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import report

CODES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9.-]{0,23}\Z")
FUNCTIONS = st.one_of(
    st.sampled_from(report.FUNCTIONS), st.from_regex(r"\Aservice:[a-z0-9][a-z0-9.-]{0,30}\Z")
)
RESULTS = st.builds(
    report.Result,
    FUNCTIONS,
    st.booleans(),
    st.sampled_from(report.VERDICTS),
    st.sampled_from(report.RATES),
    st.sampled_from(report.RATES),
)
REPORTS = st.one_of(
    st.builds(report.Complaint, CODES, CODES, FUNCTIONS),
    st.builds(
        report.Measurement, CODES, CODES, st.lists(RESULTS, min_size=1, max_size=12).map(tuple)
    ),
    st.builds(report.Alive, CODES),
)


@given(REPORTS)
def test_round_trip(one):
    assert report.decode(report.encode(one)) == one
    assert report.kind_of(one) in report.KINDS


@given(st.binary(max_size=300))
def test_garbage(data):
    try:
        assert report.decode(report.encode(report.decode(data))) == report.decode(data)
    except report.BadReport:
        pass


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"complaint","region":"VEL","operator":"x","function":"calls","note":"by Anna"}',
        b'{"type":"complaint","region":"VEL","operator":"a b","function":"calls"}',
        b'{"type":"complaint","region":"VEL\\n","operator":"x","function":"calls"}',
        b'{"type":"complaint","region":"VEL","operator":"x","function":"service:Some Text"}',
        b'{"type":"measurement","region":"VEL","operator":"x","results":[]}',
        b"[" * 5000,
    ],
)
def test_no_free_text_and_nothing_unknown(text):
    with pytest.raises(report.BadReport):
        report.decode(text)


@given(st.integers(0, 4_000_000_000))
def test_months_are_the_calendars(now):
    date = datetime.fromtimestamp(now, UTC)
    assert report.window("alive", now) == (date.year - 1970) * 12 + date.month - 1


def test_windows_and_what_tokens_are_for():
    assert report.window("calls", 86_400 * 3 + 5) == 3
    assert report.window("measure", 7_300) == 2
    seen = {report.challenge("w", kind, 1).digest for kind in report.KINDS}
    assert len(seen) == len(report.KINDS)
    assert report.challenge("w", "text", 1).digest != report.challenge("w", "text", 2).digest


def test_rates_are_rounded_down_and_services_have_plain_names():
    assert report.coarse(100) == 64 and report.coarse(-1) == 0 and report.coarse(1e9) == 32_768
    assert report.service(" YouTube ") == "service:youtube"
    with pytest.raises(report.BadReport):
        report.service("my cat's site")
