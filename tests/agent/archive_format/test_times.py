from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archive_format.times import from_ns, parse, rfc3339, rfc3339_local, to_ms, to_ns

moments_ns = st.integers(0, 4_102_444_800 * 10**9)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati", "Etc/GMT+12"]


@given(moments_ns)
def test_nanoseconds_become_the_nearest_millisecond_and_stay_there(utc_ns: int) -> None:
    at = from_ns(utc_ns)
    assert at.tzinfo is UTC
    assert abs(to_ns(at) - utc_ns) <= 500_000
    assert to_ns(at) % 1_000_000 == 0
    assert to_ms(at) == from_ns(to_ns(at)) == at


@given(moments_ns, st.sampled_from(ZONES))
def test_what_is_written_is_read_back(utc_ns: int, zone: str) -> None:
    at = from_ns(utc_ns)
    assert parse(rfc3339(at)) == at
    assert parse(rfc3339_local(at, ZoneInfo(zone))) == at
    assert len(rfc3339(at)) == len("2026-11-22T13:00:00.000Z")


@given(st.integers(0, 7_258_118_400_000_000))
def test_microseconds_are_rounded_once_and_never_cut_off(utc_us: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_us)
    assert abs(parse(rfc3339(at)) - at) <= timedelta(microseconds=500)


def test_the_last_half_millisecond_of_an_hour_belongs_to_the_next() -> None:
    at = datetime(2026, 11, 22, 13, 59, 59, 999_600, tzinfo=UTC)
    assert rfc3339(at) == "2026-11-22T14:00:00.000Z"
    assert rfc3339_local(at, ZoneInfo("Asia/Kolkata")) == "2026-11-22T19:30:00.000+05:30"


@pytest.mark.parametrize(
    "text", ["2026-11-22T13:00:00", "", "now", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
             "9999-12-31T23:59:59-14:00"]
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    try:
        assert parse(text).tzinfo is UTC
    except ValueError:
        return
