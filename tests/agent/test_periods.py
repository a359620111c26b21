from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.periods import DAY_S, local_midnight_ns, nearest_period_s, next_boundary_ns

NS = 1_000_000_000
DIVISORS = [s for s in range(5, DAY_S + 1) if DAY_S % s == 0]

# Days on which the local clock changes, and one on which it does not; (zone, UTC date).
CHANGES = [
    ("Europe/Berlin", (2026, 3, 29)),
    ("Europe/Berlin", (2026, 10, 25)),
    ("America/St_Johns", (2026, 3, 8)),
    ("America/St_Johns", (2026, 11, 1)),
    ("America/St_Johns", (2010, 11, 7)),  # at 00:01: the day begins twice
    ("Australia/Lord_Howe", (2026, 4, 4)),
    ("Australia/Lord_Howe", (2026, 10, 3)),
    ("Asia/Kolkata", (2026, 11, 22)),
    ("Asia/Kathmandu", (2026, 11, 22)),
    ("America/Sao_Paulo", (2018, 11, 4)),  # midnight is skipped
    ("America/Sao_Paulo", (2018, 2, 18)),  # the hour before midnight comes twice
    ("Asia/Beirut", (2022, 3, 26)),  # midnight is skipped
    ("Asia/Beirut", (2022, 10, 29)),
    ("Africa/Casablanca", (2026, 2, 15)),
    ("Africa/Casablanca", (2026, 3, 22)),
    ("America/Havana", (2026, 11, 1)),  # midnight comes twice
    ("Pacific/Apia", (2011, 12, 30)),  # a whole day is skipped
    ("America/Nuuk", (2026, 10, 25)),
    ("UTC", (2026, 11, 22)),
]


def local_second_of_day(utc_s: int, zone: ZoneInfo) -> int:
    local = datetime.fromtimestamp(utc_s, zone)
    return local.hour * 3600 + local.minute * 60 + local.second


def noon(day: tuple[int, int, int]) -> int:
    return int(datetime(*day, 12, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(("name", "day"), CHANGES, ids=str)
def test_every_boundary_that_the_local_clock_shows_and_no_other(name: str, day: tuple[int, int, int]) -> None:
    """Every second of two days around the change is looked at."""
    zone = ZoneInfo(name)
    low, high = noon(day) - DAY_S, noon(day) + DAY_S
    seconds = [local_second_of_day(utc_s, zone) for utc_s in range(low, high)]
    for period_s in (5, 60, 864, 900, 1800, 3600, 7200, 21600, 43200, DAY_S):
        expected = [low + i for i, second in enumerate(seconds) if second % period_s == 0 and i > 0]
        found = []
        now_ns = low * NS
        while (now_ns := next_boundary_ns(now_ns, period_s, zone)) < high * NS:
            found.append(now_ns // NS)
            assert now_ns % NS == 0
        assert found == expected, period_s


@given(st.sampled_from(CHANGES), st.integers(-DAY_S * NS, DAY_S * NS), st.sampled_from(DIVISORS))
def test_the_next_boundary_is_the_first_one_later_than_now(
    change: tuple[str, tuple[int, int, int]], shift_ns: int, period_s: int
) -> None:
    zone = ZoneInfo(change[0])
    now_ns = noon(change[1]) * NS + shift_ns
    boundary_ns = next_boundary_ns(now_ns, period_s, zone)
    assert boundary_ns > now_ns
    assert local_second_of_day(boundary_ns // NS, zone) % period_s == 0
    # Nothing lies between: from just before the boundary, and from half way, it is the next one too.
    assert next_boundary_ns(boundary_ns - 1, period_s, zone) == boundary_ns
    assert next_boundary_ns((now_ns + boundary_ns) // 2, period_s, zone) == boundary_ns


def test_a_skipped_hour_has_no_boundaries_and_a_repeated_one_has_them_twice() -> None:
    berlin = ZoneInfo("Europe/Berlin")

    def hours(start: str, count: int) -> list[str]:
        now_ns = int(datetime.fromisoformat(start).timestamp()) * NS
        found = []
        for _ in range(count):
            now_ns = next_boundary_ns(now_ns, 3600, berlin)
            found.append(datetime.fromtimestamp(now_ns // NS, berlin).strftime("%H:%M%z"))
        return found

    assert hours("2026-03-29T00:00:00+01:00", 3) == ["01:00+0100", "03:00+0200", "04:00+0200"]
    assert hours("2026-10-25T00:30:00+02:00", 4) == ["01:00+0200", "02:00+0200", "02:00+0100", "03:00+0100"]


@pytest.mark.parametrize(("name", "day"), CHANGES, ids=str)
def test_the_local_day_began_at_the_first_second_of_its_date(name: str, day: tuple[int, int, int]) -> None:
    zone = ZoneInfo(name)
    low, high = noon(day) - 2 * DAY_S, noon(day) + DAY_S
    first_of: dict[object, int] = {}
    for utc_s in range(low, high):
        first_of.setdefault(datetime.fromtimestamp(utc_s, zone).date(), utc_s)
    for utc_s in [*range(low + DAY_S + 3600, high, 997), *range(noon(day) - 50, noon(day) + 50)]:
        date = datetime.fromtimestamp(utc_s, zone).date()
        assert local_midnight_ns(utc_s * NS + 999, zone) == first_of[date] * NS


@given(
    st.sampled_from(["Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata", "Africa/Monrovia"]),
    st.integers(0, 4_000_000_000),
)
@example("Africa/Monrovia", 5)
def test_midnight_is_not_later_than_now_and_at_most_a_day_back(name: str, utc_s: int) -> None:
    zone = ZoneInfo(name)
    midnight_s = local_midnight_ns(utc_s * NS, zone) // NS
    assert midnight_s <= utc_s < midnight_s + DAY_S + 7200
    assert datetime.fromtimestamp(midnight_s, zone).date() == datetime.fromtimestamp(utc_s, zone).date()
    assert datetime.fromtimestamp(midnight_s - 1, zone).date() < datetime.fromtimestamp(utc_s, zone).date()


@given(st.floats(0, 1e12))
def test_the_nearest_period_divides_the_day_and_none_is_nearer(wanted_s: float) -> None:
    nearest = nearest_period_s(wanted_s)
    assert nearest in DIVISORS
    assert abs(nearest - wanted_s) == min(abs(other - wanted_s) for other in DIVISORS)
