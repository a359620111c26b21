from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archive_format.names import PART, SegmentName, home_of, name_of, segment_name, source_of, unfinished
from agent.archive_format.times import from_ns

BERLIN = ZoneInfo("Europe/Berlin")
sources = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
moments = st.integers(0, 4_102_444_800 * 10**9).map(from_ns)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Africa/Monrovia"]).map(ZoneInfo)
extensions = st.sampled_from(["flac", "wav", "mp3"])


def test_the_name_is_the_local_start_with_its_offset() -> None:
    name = segment_name("mic", datetime(2026, 11, 22, 13, tzinfo=UTC), BERLIN, "flac")
    assert name.audio == "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac"
    assert name.audio_part == name.audio + ".part"
    assert name.sidecar == "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.json"
    assert name.sidecar_part == name.sidecar + ".part"


def test_name_and_folder_come_from_the_rounded_time() -> None:
    late = datetime(2026, 11, 22, 22, 59, 59, 999_600, tzinfo=UTC)
    assert segment_name("mic", late, BERLIN, "wav").audio == "mic/2026/11/23/mic_2026-11-23T00-00-00.000+0100.wav"
    hour = datetime(2026, 11, 22, 13, 59, 59, 999_600, tzinfo=UTC)
    assert segment_name("mic", hour, ZoneInfo("UTC"), "wav").stem == "mic_2026-11-22T14-00-00.000+0000"


def test_the_hour_that_comes_twice_has_two_names() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    names = [segment_name("mic", first + timedelta(hours=n), BERLIN, "flac").stem for n in range(2)]
    assert names == ["mic_2026-10-25T02-30-00.000+0200", "mic_2026-10-25T02-30-00.000+0100"]


@given(sources, moments, zones, extensions, st.integers(1, 999))
def test_a_name_is_known_again(source: str, start: datetime, zone: ZoneInfo, extension: str, attempt: int) -> None:
    name = segment_name(source, start, zone, extension, attempt=attempt)
    assert name_of(PurePosixPath(name.audio)) == name
    assert name_of(PurePosixPath(name.audio_part)) == name
    assert source_of(name) == source
    assert name.audio.startswith(f"{source}/")
    assert ".." not in name.audio
    for other in (name.sidecar, name.sidecar_part, name.audio + ".tmp", name.audio_part + PART):
        assert name_of(PurePosixPath(other)) is None


@given(sources, moments, moments, zones)
def test_different_moments_have_different_names(source: str, one: datetime, other: datetime, zone: ZoneInfo) -> None:
    names = {segment_name(source, start, zone, "flac").audio for start in (one, other)}
    assert len(names) == (1 if one == other else 2)


@pytest.mark.parametrize(
    "path",
    [
        "mic/2026/11/22/notes.txt",
        "mic/2026/11/22/song.mp3",
        "mic/2026/11/22/song.mp3.part",
        "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.mka.part",
        "mic/2026/11/22/Mic_2026-11-22T14-00-00.000+0100.flac",
        "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100-.flac",
        "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac.part.part",
        ".part",
    ],
)
def test_a_foreign_file_has_no_name(path: str) -> None:
    assert name_of(PurePosixPath(path)) is None


def test_what_nobody_closed_is_found_oldest_first(tmp_path: Path) -> None:
    made = []
    for day in (23, 22, 24):
        name = segment_name("mic", datetime(2026, 11, day, 13, tzinfo=UTC), BERLIN, "flac")
        (tmp_path / name.folder).mkdir(parents=True)
        made.append(name)
        for path in (name.audio_part, name.sidecar_part, name.sidecar):
            (tmp_path / path).touch()
    (tmp_path / made[0].folder / "foreign.flac.part").touch()
    assert unfinished(tmp_path, "mic") == [made[1], made[0], made[2]]
    assert unfinished(tmp_path, "radio") == []


def test_in_an_hour_that_comes_twice_the_later_of_two_is_the_later_one(tmp_path: Path) -> None:
    """02:45 of summer time, and 02:00 of winter time, a quarter of an hour later."""
    names = [
        segment_name("mic", datetime(2026, 10, 25, *time, tzinfo=UTC), BERLIN, "flac") for time in ((0, 45), (1, 0))
    ]
    (tmp_path / names[0].folder).mkdir(parents=True)
    for name in names:
        (tmp_path / name.audio_part).touch()
    assert unfinished(tmp_path, "mic") == names


def test_a_file_out_of_place_keeps_the_folder_it_lies_in() -> None:
    name = name_of(PurePosixPath("elsewhere/mic_2026-11-22T14-00-00.000+0100-2.flac.part"))
    assert name == SegmentName(PurePosixPath("elsewhere"), "mic_2026-11-22T14-00-00.000+0100-2", "flac")


@given(sources, moments, zones, extensions)
def test_a_name_tells_where_it_was_recorded_to(source: str, start: datetime, zone: ZoneInfo, extension: str) -> None:
    name = segment_name(source, start, zone, extension)
    assert home_of(SegmentName(PurePosixPath("copy"), name.stem, extension)) == name.folder
