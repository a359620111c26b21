import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.disk_watch import DiskWatch, min_free_bytes
from agent.forecast import WriteRate, hours_left
from agent.model import DiskStatus, Notice, NoticeCode, Retention, Severity
from agent.retention import Rules

GB = 10**9


@given(st.integers(0, 10**7), st.floats(70, 20_000))
def test_a_steady_rate_is_found(rate: int, lasts_s: float) -> None:
    measured = WriteRate()
    for second in range(0, int(lasts_s), 10):
        measured.put(1000.0 + second, second * rate)
    assert measured.bytes_per_s == pytest.approx(rate)


def test_it_is_not_known_before_a_minute_and_forgets_after_an_hour() -> None:
    measured = WriteRate()
    for second in range(60):
        measured.put(float(second), 10**6 * second)
        assert measured.bytes_per_s is None
    measured.put(61.0, 61 * 10**6)
    assert measured.bytes_per_s == pytest.approx(10**6)
    for second in range(70, 3800, 10):
        measured.put(float(second), 61 * 10**6)
    assert measured.bytes_per_s == 0.0


def forecast(free: int, rate: float | None, kept: int = 0, own: Retention | None = None, **others: int) -> float | None:
    rules = Rules(Retention(**others), {"mic": own or Retention()})  # type: ignore[arg-type]
    return hours_left(free, {"mic": rate}, {"mic": kept}, rules)


def test_without_rules_the_free_space_lasts_as_long_as_it_does() -> None:
    assert forecast(36 * GB, 10**6) == 10.0
    assert forecast(0, 10**6) == 0.0


def test_null_where_nothing_is_known_or_written() -> None:
    assert forecast(36 * GB, None) is None
    assert forecast(36 * GB, 0.0) is None


def test_no_end_is_in_sight_where_the_rules_keep_the_disk_from_filling() -> None:
    assert forecast(GB, 10**6, own=Retention(min_free_bytes=GB)) is None
    assert forecast(36 * GB, 10**6, own=Retention(max_size_bytes=30 * GB)) is None
    assert forecast(36 * GB, 10**6, own=Retention(max_age_s=9 * 3600.0)) is None
    assert forecast(36 * GB, 10**6, max_size_bytes=30 * GB) is None


def test_rules_that_let_it_fill_do_not_count() -> None:
    assert forecast(36 * GB, 10**6, own=Retention(max_size_bytes=40 * GB)) == 10.0
    assert forecast(36 * GB, 10**6, kept=10 * GB, own=Retention(max_size_bytes=40 * GB)) is None
    assert forecast(36 * GB, 10**6, own=Retention(max_age_s=11 * 3600.0)) == 10.0


def test_the_default_of_min_free() -> None:
    assert min_free_bytes(None, 1000 * GB) == 2 * GB
    assert min_free_bytes(None, 20 * GB) == GB
    assert min_free_bytes(5, 20 * GB) == 5


def look(
    watch: DiskWatch, free: int | None, hours: float | None = None, *, full: bool = False, deletes: bool = False
) -> list[Notice]:
    is_low = free is not None and free < 2 * GB
    return watch.look(DiskStatus(free, hours, is_low), 2 * GB, is_full=full, deletes=deletes)


def codes(notices: list[Notice]) -> list[NoticeCode]:
    return [one.code for one in notices]


def test_a_warning_before_an_alarm_at_it_each_once() -> None:
    watch = DiskWatch()
    assert look(watch, 5 * GB) == []
    (low,) = look(watch, 4 * GB - 1)
    assert (low.code, low.severity) == (NoticeCode.DISK_LOW, Severity.WARNING)
    assert look(watch, 3 * GB) == []
    (alarm,) = look(watch, 2 * GB - 1)
    assert (alarm.code, alarm.severity) == (NoticeCode.DISK_MIN_FREE, Severity.ERROR)
    assert look(watch, GB) == []
    (full,) = look(watch, 0, full=True)
    assert (full.code, full.severity) == (NoticeCode.DISK_FULL, Severity.ERROR)
    assert look(watch, 0, full=True) == []


def test_it_comes_again_only_after_there_was_room() -> None:
    watch = DiskWatch()
    assert codes(look(watch, GB)) == [NoticeCode.DISK_LOW, NoticeCode.DISK_MIN_FREE]
    assert look(watch, 2 * GB + 1) == []
    assert look(watch, GB) == []
    assert look(watch, 5 * GB) == []
    assert codes(look(watch, GB)) == [NoticeCode.DISK_LOW, NoticeCode.DISK_MIN_FREE]


def test_less_than_a_day_is_a_warning_too() -> None:
    watch = DiskWatch()
    assert look(watch, 50 * GB, 24.0) == []
    assert codes(look(watch, 50 * GB, 23.9)) == [NoticeCode.DISK_LOW]
    assert look(watch, 50 * GB, 25.0) == []
    assert look(watch, 50 * GB, 23.0) == []


def test_retention_at_work_is_no_news() -> None:
    watch = DiskWatch()
    assert look(watch, 2 * GB, deletes=True) == []
    assert codes(look(watch, GB, deletes=True)) == [NoticeCode.DISK_MIN_FREE]


def test_a_disk_that_does_not_tell_is_no_news() -> None:
    assert look(DiskWatch(), None, full=True) == []


def test_a_source_that_cannot_grow_any_more_fills_nothing() -> None:
    own = Rules(Retention(), {"a": Retention(max_size_bytes=GB), "b": Retention()})
    assert hours_left(10 * GB, {"a": 1e6, "b": 1e3}, {"a": GB, "b": 0}, own) == round(10 * GB / 1e3 / 3600, 1)
    # Half of it by both, the rest by the other alone.
    both = hours_left(10 * GB, {"a": 1e6, "b": 1e6}, {"a": 0, "b": 0}, own)
    assert both == round((GB / 1e6 + 8 * GB / 1e6) / 3600, 1)
    assert hours_left(10 * GB, {"a": 1e6}, {"a": GB}, own) is None


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**9) | st.none()), min_size=1, max_size=5),
    st.integers(0, 10**9),
)
def test_the_forecast_is_when_what_was_written_fills_the_room(sources: list[tuple[int, int | None]], free: int) -> None:
    own = {f"s{number}": Retention(max_size_bytes=most) for number, (_, most) in enumerate(sources)}
    rates = {f"s{number}": float(rate) for number, (rate, _) in enumerate(sources)}
    hours = hours_left(free, rates, {}, Rules(Retention(), own))

    def written(after_s: float) -> float:
        return sum(min(rate * after_s, float("inf") if most is None else most) for rate, most in sources)

    if hours is None:
        assert written(1e12) <= free
    else:
        assert written(max(0.0, hours - 0.051) * 3600) <= free * (1 + 1e-9) + 1
        assert written((hours + 0.051) * 3600) >= free * (1 - 1e-9)
