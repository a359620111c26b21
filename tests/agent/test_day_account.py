"""Today's account of a source, fed as the agent feeds it, against the tiling of all that was said."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.times import ms_of
from agent.day_account import DayAccount
from agent.model import AudioFormat, Clock, Correction, Gap, GapCause, GapLine, OpenSegment, Segment
from tests.agent.build import S16_MONO, utc

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 11, 22, tzinfo=BERLIN).astimezone(UTC)
PLAIN: AudioFormat = S16_MONO.plain


def moment(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


def segment(start_s: float, end_s: float, *gaps: Gap, rev: int = 1) -> Segment:
    start, end = moment(start_s), moment(end_s)
    return Segment(
        f"s{start_s}", "shed", "mic", "boot", "run", f"mic/{start_s}.wav", "wav", PLAIN, start, end, "Europe/Berlin",
        0, None, 0, 44, True, Clock(True, None, None, 0.0, ((0, start),)), gaps=gaps, rev=rev,
    )  # fmt: skip


def gap(start_s: float, end_s: float | None, cause: GapCause = GapCause.STALL, filled: int = 0) -> Gap:
    end = None if end_s is None else moment(end_s)
    return Gap(f"g{start_s}", "mic", moment(start_s), end, cause, None, filled)


def today(account: DayAccount, now_s: float) -> tuple[float, float, float | None]:
    found = account.today(ms_of(moment(now_s)))
    return found.recorded_s, found.missing_s, found.completeness_pct


def test_nothing_was_asked_for_and_so_nothing_is_missing() -> None:
    account = DayAccount(BERLIN)
    assert today(account, 100) == (0.0, 0.0, None)
    account.line(GapLine("begin", gap(10, None, GapCause.STOPPED)))
    assert today(account, 100) == (0.0, 0.0, None)
    assert account.lost_s(ms_of(moment(100))) == 0.0


def test_a_file_grows_is_complete_and_a_gap_lasts_and_ends() -> None:
    account = DayAccount(BERLIN)
    opened = OpenSegment("mic/0.wav.part", moment(0), 1, 1, moment(8))
    account.open(opened)
    assert today(account, 10) == (8.0, 0.0, 100.0)
    account.open(replace(opened, file="mic/30.wav.part", start=moment(30), end=moment(31)))
    assert today(account, 31) == (9.0, 0.0, 100.0), "what was open before counts until it is complete"
    account.finished(segment(0, 10))
    account.line(GapLine("begin", gap(10, None)))
    assert today(account, 20) == (11.0, 10.0, 52.38)
    assert account.lost_s(ms_of(moment(20))) == 0.0, "a burst may bring it back"
    assert account.lost_s(ms_of(moment(100))) == 30.0
    account.line(GapLine("end", gap(10, 30)))
    assert today(account, 1000) == (11.0, 20.0, 35.483)
    assert account.lost_s(ms_of(moment(1000))) == 20.0


def test_silence_inside_a_file_is_missing_from_the_sidecar_or_the_ledger_alone() -> None:
    filled = gap(4, 4.5, GapCause.OVERRUN, filled=24_000)
    for told in (0, 1, 2):
        account = DayAccount(BERLIN)
        account.open(OpenSegment("mic/0.wav.part", moment(0), 1, 1, moment(8)))
        if told > 0:
            account.line(GapLine("end", filled))
            assert today(account, 8) == (7.5, 0.5, 93.75)
        if told != 1:
            account.finished(segment(0, 10, filled))
        else:
            account.finished(segment(0, 10))
        assert today(account, 10)[0] == 9.5


def test_the_day_turns_at_local_midnight() -> None:
    account = DayAccount(BERLIN)
    account.finished(segment(-20, -10))
    account.line(GapLine("begin", gap(-10, None)))
    assert today(account, -1) == (10.0, 9.0, 52.631)
    assert account.today(ms_of(moment(-1))).date == date(2026, 11, 21)
    account.line(GapLine("midnight", gap(-10, 0)))
    assert today(account, 5) == (0.0, 5.0, 0.0)
    account.line(GapLine("end", gap(-10, 6)))
    account.finished(segment(6, 12))
    assert today(account, 12) == (6.0, 6.0, 50.0)
    assert account.today(ms_of(moment(12))).date == date(2026, 11, 22)
    assert account.lost_s(ms_of(moment(12))) == 16.0


def test_a_correction_takes_the_place_of_what_it_corrects() -> None:
    account = DayAccount(BERLIN)
    account.finished(segment(0, 10))
    account.finished(segment(-30, -20))
    assert today(account, 50) == (10.0, 0.0, 100.0)
    account.finished(segment(0, 10, rev=2))
    assert today(account, 50) == (10.0, 0.0, 100.0)
    account.finished(replace(segment(0, 10, rev=3), start=moment(-50), end=moment(-40)))
    assert today(account, 50) == (0.0, 0.0, None), "it was yesterday"
    account.finished(replace(segment(-30, -20, rev=2), start=moment(30), end=moment(45)))
    assert today(account, 50) == (15.0, 0.0, 100.0)


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_silence_in_one_file_is_missing_only_where_no_other_has_audio(is_open: bool, order: int) -> None:
    """The clock was set back, and two files tell of the same time."""
    account, filled = DayAccount(BERLIN), gap(4, 6, GapCause.OVERRUN, filled=96_000)
    account.line(GapLine("end", filled))
    for one in (segment(0, 10, filled), segment(5, 15))[::order]:
        account.finished(one)
    if is_open:
        account.open(OpenSegment("mic/x.wav.part", moment(3), 1, 1, moment(5)))
    assert today(account, 20)[:2] == ((15.0, 0.0) if is_open else (14.0, 1.0))


def test_what_is_complete_counts_whatever_was_said_of_it_before() -> None:
    account = DayAccount(BERLIN)
    account.finished(segment(0, 10))
    account.open(OpenSegment("mic/0.wav.part", moment(0), 1, 1, moment(8)))
    assert today(account, 10)[0] == 10.0


Happening = tuple[str, int]
happenings = st.lists(
    st.tuples(st.sampled_from(["file", "filled", "stall", "stopped"]), st.integers(1, 40_000)), min_size=1, max_size=25
)


@given(happenings, st.integers(-90_000, 3600))
@settings(max_examples=150)
def test_what_a_source_went_through_adds_up(happened: list[Happening], begin_s: int) -> None:
    """Recorded, missing and not asked for tile the time from the first request to now, within the day."""
    account = DayAccount(BERLIN)
    at = begin_s
    wanted = {"recorded": 0, "missing": 0}
    lost_all = 0
    spans: list[tuple[int, int, str]] = []
    for what, length in happened:
        after = at + length
        if what == "file":
            account.finished(segment(at, after))
            spans.append((at, after, "recorded"))
        elif what == "filled":
            inner = gap(at, at + 1, GapCause.OVERRUN, filled=48_000)
            account.line(GapLine("end", inner))
            account.finished(segment(at, after, inner))
            spans += [(at, at + 1, "missing"), (at + 1, after, "recorded")]
        else:
            cause = GapCause.STALL if what == "stall" else GapCause.STOPPED
            account.line(GapLine("begin", gap(at, None, cause)))
            account.line(GapLine("end", gap(at, after, cause)))
            spans.append((at, after, "missing" if what == "stall" else "not asked"))
        at = after
        day_s = at // 86_400 * 86_400
        wanted = {
            name: sum(max(0, end - max(start, day_s)) for start, end, kind in spans if kind == name)
            for name in ("recorded", "missing")
        }
        lost_all = sum(end - start for start, end, kind in spans if kind == "missing")
        assert today(account, at)[:2] == (wanted["recorded"], wanted["missing"])
        assert account.lost_s(ms_of(moment(at))) == pytest.approx(lost_all)


def test_times_have_whole_milliseconds() -> None:
    assert ms_of(utc(0.0005)) - ms_of(utc(0)) == 1


def test_a_year_of_gaps_is_counted_and_not_remembered() -> None:
    """Streams with a broken packet now and then have hundreds of thousands."""
    account, lost_s = DayAccount(BERLIN), 0.0
    for day in range(365):
        for number in range(10):
            start_s = day * 86_400.0 + number * 600
            over = replace(gap(start_s, start_s + 1.5, GapCause.CORRUPT, 1152), id=f"{day}-{number}")
            account.line(GapLine("begin", replace(over, end=None)))
            account.line(GapLine("end", over))
            lost_s += 1.5
        today(account, day * 86_400.0 + 7_200)
    now_ms = ms_of(moment(364 * 86_400.0 + 7_200))
    assert account.lost_s(now_ms) == lost_s
    assert len(account._lost_ms) <= 10
    old = gap(600.0, 603.5, GapCause.CORRUPT, 1152)
    moved = Correction(moment(364 * 86_400.0), moment(600.0), moment(601.5))
    account.line(GapLine("end", replace(old, id="0-1", corrected=moved)))
    assert account.lost_s(now_ms) == lost_s + 2, "a correction takes the place of what it corrects"


def test_a_gap_that_lasts_for_days_is_counted_once() -> None:
    account, lasting = DayAccount(BERLIN), gap(0, None, GapCause.DEVICE_LOST)
    account.line(GapLine("begin", lasting))
    for day in range(1, 4):
        account.line(GapLine("midnight", replace(lasting, end=moment(day * 86_400.0))))
        today(account, day * 86_400.0 + 100)
    account.line(GapLine("end", replace(lasting, end=moment(4 * 86_400.0))))
    today(account, 9 * 86_400.0)
    assert account.lost_s(ms_of(moment(9 * 86_400.0))) == 4 * 86_400.0
