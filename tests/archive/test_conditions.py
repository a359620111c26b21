"""Conditional requests: a table, the order of precedence, and dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.answers.conditions import (
    Fields,
    Validators,
    Verdict,
    evaluate,
    http_date,
    parse_date,
    range_holds,
)

MODIFIED = datetime(2026, 11, 22, 13, 0, 0, tzinfo=UTC)
NOW = MODIFIED + timedelta(hours=1)
OURS = Validators('"abc"', MODIFIED)
SAME, EARLIER, LATER = (http_date(MODIFIED + timedelta(seconds=s)) for s in (0, -1, 1))
GO_ON, NOT_MODIFIED, FAILED = Verdict.GO_ON, Verdict.NOT_MODIFIED, Verdict.FAILED

TABLE: list[tuple[Fields, Verdict]] = [
    ({}, GO_ON),
    ({"if-match": ['"abc"']}, GO_ON),
    ({"if-match": ['"x", "abc"']}, GO_ON),
    ({"if-match": ['"x"', '"abc"']}, GO_ON),
    ({"if-match": ["*"]}, GO_ON),
    ({"if-match": ['"x"']}, FAILED),
    ({"if-match": ['W/"abc"']}, FAILED),
    ({"if-match": ["abc"]}, FAILED),
    ({"if-unmodified-since": [SAME]}, GO_ON),
    ({"if-unmodified-since": [LATER]}, GO_ON),
    ({"if-unmodified-since": [EARLIER]}, FAILED),
    ({"if-unmodified-since": ["yesterday"]}, GO_ON),
    ({"if-match": ['"abc"'], "if-unmodified-since": [EARLIER]}, GO_ON),
    ({"if-none-match": ['"abc"']}, NOT_MODIFIED),
    ({"if-none-match": ['W/"abc"']}, NOT_MODIFIED),
    ({"if-none-match": ['"x" ,, "abc"']}, NOT_MODIFIED),
    ({"if-none-match": ["*"]}, NOT_MODIFIED),
    ({"if-none-match": ['"x"']}, GO_ON),
    ({"if-none-match": ['"a,b"']}, GO_ON),
    ({"if-none-match": ['"abc']}, GO_ON),
    ({"if-none-match": ['"x"'], "if-modified-since": [LATER]}, GO_ON),
    ({"if-modified-since": [SAME]}, NOT_MODIFIED),
    ({"if-modified-since": [LATER]}, NOT_MODIFIED),
    ({"if-modified-since": [EARLIER]}, GO_ON),
    ({"if-modified-since": ["now"]}, GO_ON),
    ({"if-modified-since": [SAME, SAME]}, GO_ON),
    ({"if-match": ['"x"'], "if-none-match": ['"abc"']}, FAILED),
    ({"if-unmodified-since": [EARLIER], "if-none-match": ['"abc"']}, FAILED),
    ({"if-match": ['"abc"'], "if-none-match": ['"abc"']}, NOT_MODIFIED),
]


@pytest.mark.parametrize(("fields", "verdict"), TABLE)
def test_the_table(fields: Fields, verdict: Verdict) -> None:
    assert evaluate(fields, OURS) is verdict


@pytest.mark.parametrize(
    ("lines", "holds"),
    [
        (None, True),
        (['"abc"'], True),
        (['W/"abc"'], False),
        (['"x"'], False),
        (['"x", "abc"'], False),
        (["*"], False),
        ([SAME], True),
        ([LATER], False),
        ([EARLIER], False),
        (["soon"], False),
        ([SAME, SAME], False),
    ],
)
def test_if_range(lines: list[str] | None, *, holds: bool) -> None:
    fields: Fields = {} if lines is None else {"if-range": lines}
    assert range_holds(fields, OURS, NOW) is holds


def test_a_date_of_this_very_second_is_too_weak_for_if_range() -> None:
    assert not range_holds({"if-range": [SAME]}, OURS, MODIFIED + timedelta(milliseconds=900))
    assert range_holds({"if-range": [SAME]}, OURS, MODIFIED + timedelta(seconds=1))


def test_without_a_time_of_change_dates_say_nothing() -> None:
    timeless = Validators('"abc"', None)
    assert evaluate({"if-modified-since": [LATER]}, timeless) is GO_ON
    assert evaluate({"if-unmodified-since": [EARLIER]}, timeless) is GO_ON
    assert not range_holds({"if-range": [SAME]}, timeless, NOW)


def test_the_three_forms_of_a_date() -> None:
    expected = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        assert parse_date(text) == expected
    for text in ("", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 +0100", "Sun, 31 Feb 2026 00:00:00 GMT"):
        assert parse_date(text) is None


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_dates_go_there_and_back(at: datetime) -> None:
    assert parse_date(http_date(at)) == at.replace(microsecond=0)


@given(st.dictionaries(st.sampled_from(["if-match", "if-none-match", "if-modified-since"]), st.lists(st.text())))
def test_anything_at_all(fields: dict[str, list[str]]) -> None:
    assert evaluate(fields, OURS) in Verdict
