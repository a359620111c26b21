import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.archive_format.sidecar import segment_from
from agent.codecs import CONTAINERS
from agent.errors import StorageError
from agent.model import (
    AudioFormat,
    CloseReason,
    FinishedSegment,
    Frame,
    Gap,
    GapCause,
    SampleFormat,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    SegmentTitle,
)
from agent.storage.writer import SegmentWriter
from tests.agent.build import MP3_STEREO, S16_MONO, at, mp3_frame, pcm_frame, pushed, ticked, utc, writer
from tests.agent.schemas import validate

STEPS = ("open", "data", "close")
FLOAT = AudioFormat.pcm(48000, 2, SampleFormat.FLOAT_LE)


def opened(start_s: float = 0.0, audio_format: AudioFormat = S16_MONO, gap: Gap | None = None) -> SegmentOpen:
    return SegmentOpen(utc(start_s), 1000.0 + start_s, audio_format, aligned_start=True, gap_before=gap)


def data(frame: Frame, end_s: float) -> SegmentData:
    return SegmentData(frame, utc(end_s))


def closing(end_s: float, reason: CloseReason = CloseReason.BOUNDARY) -> SegmentClose:
    return SegmentClose(utc(end_s), reason, aligned_end=reason is CloseReason.BOUNDARY, drift_ppm=1.5)


def record(
    files: SegmentWriter, blocks: int, start_s: float = 0.0, audio_format: AudioFormat = S16_MONO
) -> list[Frame]:
    """Open a segment and write blocks of 50 ms into it."""
    pushed(files, opened(start_s, audio_format))
    frames = []
    for number in range(blocks):
        end_s = start_s + (number + 1) * 0.05
        frames.append(pcm_frame(2400, end_s, audio_format=audio_format, seed=number))
        pushed(files, data(frames[-1], end_s))
    return frames


def checked(recordings: Path, finished: FinishedSegment) -> dict[str, object]:
    """The sidecar of a finished segment, held against the schema and the file itself."""
    segment = finished.segment
    audio = recordings / segment.file
    assert finished.path == audio
    body = json.loads(audio.with_suffix(".json").read_bytes())
    validate("segment", body)
    assert segment_from(body) == segment
    content = audio.read_bytes()
    assert len(content) == segment.bytes
    assert hashlib.sha256(content).hexdigest() == segment.sha256
    whole = CONTAINERS[segment.container].whole(content)
    assert whole is not None
    assert (whole.samples, whole.packets) == (segment.samples, segment.packets)
    assert whole.payload_offset == segment.payload_offset
    pairs = segment.clock.map
    assert pairs[0] == (0, segment.start)
    assert pairs[-1] == (segment.samples, segment.end)
    assert list(pairs) == sorted(pairs)
    return dict(body)


@pytest.mark.parametrize(("container", "audio_format"), [("flac", S16_MONO), ("wav", S16_MONO), ("wav", FLOAT)])
def test_a_segment_becomes_a_file_and_its_sidecar(tmp_path: Path, container: str, audio_format: AudioFormat) -> None:
    files = writer(tmp_path, container=container)
    frames = record(files, 100, audio_format=audio_format)
    finished = pushed(files, closing(5.0))
    assert finished is not None
    body = checked(tmp_path, finished)
    assert body["file"] == f"mic/2026/11/22/mic_2026-11-22T13-00-00.000+0000.{container}"
    assert (body["samples"], body["duration_s"], body["reason"]) == (240_000, 5.0, "boundary")
    assert body["recovered"] is False
    stored, rate = soundfile.read(finished.path, dtype="float32" if audio_format is FLOAT else "int16")
    assert rate == 48000
    assert stored.tobytes() == b"".join(frame.data for frame in frames)
    endings = {path.name.partition("+0000")[2] for path in finished.path.parent.iterdir()}
    assert endings == {f".{container}", ".json", ".levels.npy"}
    assert files.open_segment is None


def test_a_stream_keeps_its_own_container(tmp_path: Path) -> None:
    files = writer(tmp_path, source="radio")
    pushed(files, opened(audio_format=MP3_STEREO))
    for number in range(40):
        end_s = (number + 1) * 1152 / 44100
        pushed(files, data(Frame(mp3_frame(number), 1152, MP3_STEREO, at(end_s)), end_s))
    finished = pushed(files, closing(40 * 1152 / 44100))
    assert finished is not None
    body = checked(tmp_path, finished)
    assert (body["container"], body["codec"], body["packets"], body["bits"]) == ("mp3", "mp3", 40, None)


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=8), st.sampled_from(["flac", "wav"]), st.floats(0.0, 3.0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_whatever_is_safe_is_whole_at_every_moment(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], container: str, sync_s: float
) -> None:
    """What the open segment claims to be safe can be read from a copy of the file taken then."""
    folder = tmp_path_factory.mktemp("safe")
    files = writer(folder, container=container, sync_s=sync_s)
    pushed(files, opened())
    samples = 0
    for number, size in enumerate(sizes):
        samples += size
        frame = pcm_frame(size, samples / 48000, seed=number)
        pushed(files, data(frame, samples / 48000))
        safe = files.open_segment
        assert safe is not None
        content = (folder / safe.file).read_bytes()
        assert safe.bytes_safe <= len(content)
        whole = CONTAINERS[container].whole(content[: safe.bytes_safe]) if safe.bytes_safe else None
        assert (whole.samples if whole else 0) == safe.samples_safe <= samples
        so_far = json.loads((folder / safe.file).with_suffix("").with_suffix(".json.part").read_bytes())
        validate("segment", so_far)
        assert so_far["samples"] == safe.samples_safe
        assert so_far["reason"] is None
    finished = pushed(files, closing(samples / 48000))
    assert finished is not None
    assert finished.segment.samples == samples
    checked(folder, finished)


def test_the_interval_is_kept_also_while_nothing_comes(tmp_path: Path) -> None:
    files = writer(tmp_path, sync_s=2.0)
    ticked(files, at(0))
    record(files, 1)
    assert files.open_segment is not None
    first = files.open_segment
    ticked(files, at(1.9))
    assert files.open_segment is first
    ticked(files, at(2.1))
    second = files.open_segment
    assert second is not first
    ticked(files, at(2.2))
    assert files.open_segment is second
    files.abandon()


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    files = writer(tmp_path)
    names = []
    for _ in range(3):
        record(files, 2)
        finished = pushed(files, closing(0.1))
        assert finished is not None
        names.append(finished.path.name)
    assert names == [f"mic_2026-11-22T13-00-00.000+0000{end}.flac" for end in ("", "-2", "-3")]


@pytest.mark.parametrize("left", [".json", ".json.part", ".wav", ".flac.part", ".levels.npy"])
def test_a_name_is_taken_if_any_of_its_files_exists(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "mic/2026/11/22"
    folder.mkdir(parents=True)
    (folder / f"mic_2026-11-22T13-00-00.000+0000{left}").write_bytes(b"somebody's")
    files = writer(tmp_path)
    record(files, 2)
    finished = pushed(files, closing(0.1))
    assert finished is not None
    assert finished.path.name == "mic_2026-11-22T13-00-00.000+0000-2.flac"
    assert (folder / f"mic_2026-11-22T13-00-00.000+0000{left}").read_bytes() == b"somebody's"


def test_a_segment_without_samples_leaves_nothing(tmp_path: Path) -> None:
    files = writer(tmp_path)
    pushed(files, opened())
    assert pushed(files, closing(0.0)) is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_gap_before_and_the_titles_are_kept(tmp_path: Path) -> None:
    files = writer(tmp_path)
    gap = Gap("01920000-0000-7000-8000-000000000000", "mic", utc(-5), utc(0), GapCause.DISCONNECTED, "x")
    pushed(files, SegmentTitle("before", utc(-1)))
    pushed(files, opened(gap=gap))
    pushed(files, data(pcm_frame(4800, 0.1), 0.1))
    pushed(files, SegmentTitle("within", utc(0.1)))
    pushed(files, data(pcm_frame(4800, 0.2), 0.2))
    first = pushed(files, closing(0.2))
    pushed(files, opened(0.2))
    pushed(files, data(pcm_frame(4800, 0.3), 0.3))
    second = pushed(files, closing(0.3))
    assert first is not None
    assert second is not None
    checked(tmp_path, first)
    assert first.segment.gap_before == gap
    assert [(title.text, title.offset_s) for title in first.segment.titles] == [("before", 0.0), ("within", 0.1)]
    assert [(title.text, title.at) for title in second.segment.titles] == [("within", utc(0.2))]


def test_a_title_at_the_first_sample_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    files = writer(tmp_path)
    pushed(files, SegmentTitle("old", utc(-1)))
    pushed(files, opened())
    pushed(files, SegmentTitle("new", utc(0)))
    pushed(files, data(pcm_frame(4800, 0.1), 0.1))
    finished = pushed(files, closing(0.1))
    assert finished is not None
    assert [title.text for title in finished.segment.titles] == ["new"]


def test_the_clock_is_pinned_down_every_ten_minutes(tmp_path: Path) -> None:
    slow = AudioFormat.pcm(100, 1, SampleFormat.S16_LE)
    files = writer(tmp_path, container="wav")
    pushed(files, opened(audio_format=slow))
    for minute in range(1, 36):
        pushed(files, data(Frame(bytes(12000), 6000, slow, at(60 * minute)), 60.0 * minute))
    finished = pushed(files, closing(35 * 60))
    assert finished is not None
    assert [sample for sample, _ in finished.segment.clock.map] == [0, 60_000, 120_000, 180_000, 210_000]
    checked(tmp_path, finished)


def test_an_abandoned_file_stays_for_salvage_and_the_next_is_a_new_one(tmp_path: Path) -> None:
    files = writer(tmp_path)
    record(files, 3)
    files.abandon()
    assert files.open_segment is None
    pushed(files, data(pcm_frame(100), 0.2))
    assert pushed(files, closing(0.2)) is None
    record(files, 3, start_s=60)
    assert pushed(files, closing(60.15)) is not None
    names = sorted(path.name for path in (tmp_path / "mic/2026/11/22").iterdir())
    assert [name.partition("+0000")[2] for name in names] == [
        *(".flac.part", ".json.part", ".levels.npy.part"),
        *(".flac", ".json", ".levels.npy"),
    ]


@pytest.mark.parametrize(
    ("operation", "used"),
    [
        ("fsync", ("open", "data", "close")),
        ("fdatasync", ("data",)),
        ("pwrite", ("data", "close")),
        ("replace", ("open", "data", "close")),
    ],
)
def test_a_failing_disk_is_a_storage_error_and_leaves_no_descriptor(
    tmp_path: Path, operation: str, used: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    before = len(list(Path("/proc/self/fd").iterdir()))
    for moment in STEPS:
        # The one operation fails from this moment on.
        files = writer(tmp_path / moment, sync_s=0)
        failed = False
        with monkeypatch.context() as patched:
            for step in STEPS:
                if step == moment:
                    patched.setattr(os, operation, fail)
                try:
                    if step == "open":
                        pushed(files, opened())
                    elif step == "data":
                        pushed(files, data(pcm_frame(9000, 0.2), 0.2))
                    else:
                        pushed(files, closing(0.2))
                except StorageError as error:
                    failed = True
                    assert "Input/output error" in error.message
                    assert files.open_segment is None
        assert failed == any(step in used for step in STEPS[STEPS.index(moment) :])
        files.abandon()
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_encoder_is_given_up_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = writer(tmp_path)
    record(files, 50)
    files.abandon()
    del files
    assert capfd.readouterr() == ("", "")


def test_a_large_file_is_read_while_it_grows(tmp_path: Path) -> None:
    """What the archive does: a snapshot of the open file, whenever it looks."""
    files = writer(tmp_path, sync_s=0)
    frames = record(files, 60)
    safe = files.open_segment
    assert safe is not None
    content = (tmp_path / safe.file).read_bytes()
    snapshot = CONTAINERS["flac"].snapshot(content)
    assert snapshot is not None
    part = bytearray(content[: snapshot.length])
    for patch in snapshot.patches:
        part[patch.offset : patch.offset + len(patch.data)] = patch.data
    (tmp_path / "copy.flac").write_bytes(part)
    stored, _ = soundfile.read(tmp_path / "copy.flac", dtype="int16")
    raw = np.frombuffer(b"".join(frame.data for frame in frames), "<i2")
    assert np.array_equal(stored, raw[: snapshot.samples])
    files.abandon()
