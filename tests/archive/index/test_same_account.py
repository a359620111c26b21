"""Agent and archive tell the same of a day, whatever lies in ledger and sidecars: both read the same files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.names import segment_name
from agent.archive_format.sidecar import encode, segment_json
from agent.day_account import DayAccount
from agent.gaps import filled_lines
from agent.model import AudioFormat, Clock, Correction, Deletion, Gap, GapCause, GapLine, Segment
from agent.storage.account_files import ledger_lines, segments_since
from agent.storage.ledger import Ledger
from archive_api.index.coverage import Asked, today
from archive_api.index.current import Current
from archive_api.recordings.live import Live
from tests.archive.index.rig import BOX, Scanned, reading

MIDNIGHT = datetime(2026, 11, 21, 23, tzinfo=UTC)
NOW_S = 45_000.5
HOUR_NS = 3_600_000_000_000

moments = st.one_of(st.integers(-3_600, 36_000), st.integers(0, 600)).map(float)
lengths = st.floats(0, 4_000).map(lambda length_s: round(length_s, 3))
shares = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
insides = st.lists(st.tuples(shares, st.sampled_from([GapCause.CORRUPT, GapCause.OVERRUN])), max_size=3)
files = st.lists(st.tuples(moments, lengths, insides, st.booleans()), max_size=5, unique_by=lambda one: one[0])
holes = st.lists(
    st.tuples(
        moments,
        st.none() | lengths,
        st.sampled_from([GapCause.STALL, GapCause.STOPPED, GapCause.AGENT_CRASHED]),
        st.sampled_from(["whole", "whole", "corrected", "torn"]),
    ),
    max_size=5,
)


def moment(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(milliseconds=round(seconds * 1000))


def segment(number: int, start_s: float, length_s: float, gaps: tuple[Gap, ...], is_deleted: bool) -> Segment:
    start, end = moment(start_s), moment(start_s + length_s)
    name = segment_name("mic", start, BOX.zone, "mp3")
    return Segment(
        f"s{number}", "shed", "mic", "boot", "run", name.audio, "mp3", AudioFormat("mp3", 44100, 2), start, end,
        BOX.zone.key, 1, 1, 4, 0, True, Clock(True, None, None, 0.0, ((0, start),)), gaps=gaps,
        deleted=Deletion(end, "max_age") if is_deleted else None,
    )  # fmt: skip


def inside(number: int, start_s: float, length_s: float, shares_of: list[tuple[list[float], GapCause]]) -> list[Gap]:
    return [
        Gap(f"i{number}-{place}", "mic", moment(start_s + low * length_s), moment(start_s + high * length_s), cause,
            filled_samples=1)
        for place, ((low, high), cause) in enumerate(shares_of)
    ]  # fmt: skip


@given(files, holes)
@settings(max_examples=60, deadline=None)
def test_agent_and_archive_tell_the_same_of_the_same_files(
    recorded: list[tuple[float, float, list[tuple[list[float], GapCause]], bool]],
    missing: list[tuple[float, float | None, GapCause, str]],
) -> None:
    with TemporaryDirectory() as folder:
        recordings = Path(folder) / "rec"
        ledger = Ledger(recordings, "mic")
        for number, (start_s, length_s, within, is_deleted) in enumerate(recorded):
            gaps = inside(number, start_s, length_s, within)
            one = segment(number, start_s, length_s, tuple(gaps), is_deleted)
            path = recordings / one.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".json").write_bytes(encode(segment_json(one)))
            if not is_deleted:
                path.write_bytes(b"\xff\xfb\x90\x00")
            for gap in gaps:
                ledger.append(*filled_lines(gap))
        for number, (start_s, length_or_none, cause, how) in enumerate(missing):
            gap = Gap(f"g{number}", "mic", moment(start_s), None, cause)
            ledger.append(GapLine("begin", gap))
            if length_or_none is None and number == len(missing) - 1:
                continue
            end = moment(start_s + (length_or_none or 0.0))
            ended = replace(gap, end=end)
            ledger.append(GapLine("end", ended))
            if how == "torn":
                with (recordings / "mic" / "gaps.jsonl").open("ab") as file:
                    file.write(b'{"v": 1, "id": "0192')
            if how == "corrected":
                by = timedelta(seconds=100)
                moved = Correction(end, gap.start, end)
                ledger.append(GapLine("end", replace(ended, start=gap.start + by, end=end + by, corrected=moved)))
        recordings.mkdir(exist_ok=True)
        account = DayAccount(BOX.zone)
        for lines in ledger_lines(recordings, "mic"):
            for line in lines:
                account.line(line)
        for segments in segments_since(recordings, "mic", 0.0):
            for known in segments:
                account.finished(known)
        now_ms = round(moment(NOW_S).timestamp() * 1000)
        own = account.today(now_ms)
        with closing(Scanned(recordings, Path(folder) / "state", ahead_ns=HOUR_NS)) as scanned:
            scanned.everything()
            with reading(scanned.path) as reader:
                current = Current(recordings, Live({}, None), BOX, now_ms * 1_000_000)
                found = today(Asked(reader, current, ("shed", "mic")))
    assert (found["recorded_s"], found["missing_s"]) == (own.recorded_s, own.missing_s)
    assert found["completeness_pct"] == own.completeness_pct
