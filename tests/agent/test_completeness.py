"""The account of today as the housekeeping keeps it: read from disk at the start, carried on, never in the way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent import clock
from agent.archive_format.ledger import ledger_line
from agent.archive_format.sidecar import encode, segment_json
from agent.archive_format.times import ms_of
from agent.completeness import Completeness
from agent.model import Desired, FinishedSegment, Gap, GapCause, GapLine, Segment, SourceState, SourceStatus
from agent.status import StatusBoard
from agent.storage.ledger import Ledger
from tests.agent.test_day_account import gap, moment, segment

BERLIN = ZoneInfo("Europe/Berlin")


class Kept:
    """An account of the source mic over a real folder, with clocks that the test moves."""

    def __init__(self, recordings: Path, now_s: float) -> None:
        self.recordings, self.now_s = recordings, now_s
        self.board = StatusBoard()
        self.board.put(SourceStatus("mic", "Mic", "alsa", SourceState.RECORDING, Desired.RECORD, moment(0)))
        self.told: list[SourceStatus] = []
        self.board.listen(self.told.append)
        self.account = Completeness(
            recordings, BERLIN, self.board, now_ms=lambda: ms_of(moment(self.now_s)), now_s=lambda: self.now_s
        )
        self.account.add("mic")

    def settled(self) -> "Kept":
        for _ in range(10_000):
            if not self.account.step():
                return self
        raise AssertionError("there is always more to do")

    @property
    def today(self) -> tuple[float, float]:
        found = self.board.of("mic").today
        assert found is not None
        return found.recorded_s, found.missing_s

    @property
    def lost_s(self) -> float | None:
        return self.board.of("mic").missing_total_s


def write(recordings: Path, written: Segment, *, day: datetime | None = None, **more: object) -> None:
    folder = recordings / "mic" / f"{(day or written.start).astimezone(BERLIN):%Y/%m/%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"mic_{written.start:%H%M%S%f}.json").write_bytes(encode({**segment_json(written), **more}))


def test_a_start_finds_today_again_deleted_audio_and_corrected_times_too(tmp_path: Path) -> None:
    write(tmp_path, segment(-100, 0))
    write(tmp_path, segment(0, 10))
    write(tmp_path, segment(20, 30), deleted={"at": "2026-11-22T00:00:00.000Z", "why": "max_age"})
    write(tmp_path, segment(40, 50), day=datetime(2024, 1, 1, tzinfo=UTC))  # the box had no clock when it was named
    ledger = Ledger(tmp_path, "mic")
    yesterday = gap(-200, -100)
    for line in (GapLine("begin", yesterday), GapLine("end", yesterday), GapLine("end", gap(10, 20))):
        ledger.append(line)
    ledger.append(GapLine("begin", gap(50, None)))
    kept = Kept(tmp_path, 60)
    assert kept.board.of("mic").today is None, "not known yet"
    kept.settled()
    assert kept.today == (30.0, 20.0)
    assert kept.lost_s == 110.0, "what lasts is sure after a minute"


def test_what_happens_while_it_is_read_is_not_forgotten(tmp_path: Path) -> None:
    for number in range(100):
        write(tmp_path, segment(number * 10, number * 10 + 10))
    kept = Kept(tmp_path, 2000)
    assert kept.account.step()
    kept.account.put(GapLine("begin", gap(1000, None)))
    kept.account.put(GapLine("end", gap(1000, 1100)))
    kept.account.put(FinishedSegment(segment(1100, 1200), tmp_path / "x"))
    kept.settled()
    assert kept.today == (1100.0, 100.0)


def test_it_changes_with_files_and_gaps_each_minute_and_at_midnight(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 86_400 - 100).settled()
    told = len(kept.told)
    kept.account.put(GapLine("begin", gap(86_400 - 100, None)))
    kept.settled()
    assert (len(kept.told), kept.today) == (told, (0.0, 0.0)), "it has only begun"
    kept.now_s += 59
    kept.settled()
    assert kept.today == (0.0, 0.0)
    kept.now_s += 1
    kept.settled()
    assert kept.today == (0.0, 60.0)
    kept.now_s = 86_400 + 1
    kept.settled()
    assert kept.today == (0.0, 1.0)
    kept.account.put(GapLine("end", gap(86_400 - 100, 86_400 + 1)))
    kept.account.put(FinishedSegment(segment(86_401, 86_402), tmp_path / "x"))
    kept.settled()
    assert kept.today == (1.0, 1.0)


def test_what_is_lost_never_becomes_less(tmp_path: Path) -> None:
    """A burst after a reconnect brings back what was missing; who adds up would take less for a new beginning."""
    kept = Kept(tmp_path, 0).settled()
    kept.account.put(GapLine("begin", gap(0, None, GapCause.DISCONNECTED)))
    kept.now_s = 90
    kept.settled()
    assert kept.lost_s == 30.0
    kept.account.put(GapLine("end", gap(0, 0, GapCause.DISCONNECTED)))
    kept.settled()
    assert kept.lost_s == 30.0
    assert kept.today == (0.0, 0.0)


def test_corrected_times_take_the_place_of_those_before(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 7200).settled()
    kept.account.put(FinishedSegment(segment(0, 10), tmp_path / "x"))
    kept.settled()
    corrected = replace(segment(0, 10, rev=2), start=moment(3600), end=moment(3610))
    kept.account.put(FinishedSegment(corrected, tmp_path / "x"))
    kept.settled()
    assert kept.today == (10.0, 0.0)


def test_a_folder_that_cannot_be_read_is_tried_again_and_delays_nothing(tmp_path: Path) -> None:
    (tmp_path / "mic").mkdir()
    (tmp_path / "mic" / "gaps.jsonl").mkdir()
    kept = Kept(tmp_path, 100).settled()
    assert kept.board.of("mic").today is None
    (tmp_path / "mic" / "gaps.jsonl").rmdir()
    kept.account.put(FinishedSegment(segment(0, 10), tmp_path / "x"))
    kept.now_s += 61
    kept.settled()
    assert kept.today == (10.0, 0.0)


def test_a_torn_last_line_hides_nothing(tmp_path: Path) -> None:
    Ledger(tmp_path, "mic").append(GapLine("end", gap(0, 10)))
    path = tmp_path / "mic" / "gaps.jsonl"
    path.write_bytes(path.read_bytes() + ledger_line(GapLine("end", gap(20, 30)))[:-40])
    kept = Kept(tmp_path, 100).settled()
    assert kept.today == (0.0, 10.0)


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_ledger_of_years_is_read_in_portions_and_its_end_at_once(tmp_path: Path, count: int) -> None:
    lines = []
    for number in range(count // 2):
        start = moment(-3600.0 * (count // 2 - number))
        one = Gap(f"{number:036d}", "mic", start, None, GapCause.DEVICE_LOST, "read error: No such device")
        lines.append(ledger_line(GapLine("begin", one)))
        end = start + timedelta(seconds=7)
        lines.append(ledger_line(GapLine("end", Gap(one.id, "mic", start, end, one.cause, one.detail))))
    (tmp_path / "mic").mkdir()
    (tmp_path / "mic" / "gaps.jsonl").write_bytes(b"".join(lines))
    began_s = clock.monotonic_s()
    assert Ledger(tmp_path, "mic").open_gap() is None
    assert clock.monotonic_s() - began_s < 0.1
    kept = Kept(tmp_path, 60)
    longest_s, began_s, steps = 0.0, clock.monotonic_s(), 0
    more = True
    while more:
        step_s = clock.monotonic_s()
        more = kept.account.step()
        longest_s = max(longest_s, clock.monotonic_s() - step_s)
        steps += 1
    print(
        f"{count} lines: {clock.monotonic_s() - began_s:.2f} s in {steps} steps, the longest {longest_s * 1000:.1f} ms"
    )
    assert longest_s < 0.5
    assert kept.lost_s == count // 2 * 7.0
