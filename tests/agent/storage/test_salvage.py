import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.archive_format.levels import loudness, read_levels, row_start
from agent.archive_format.names import LEVELS
from agent.archive_format.sidecar import segment_from
from agent.archive_format.times import to_ms
from agent.codecs import CONTAINERS
from agent.errors import StorageError
from agent.model import AudioFormat, CloseReason, FinishedSegment, Frame, SampleFormat, Segment, SegmentTitle
from agent.storage.salvage import salvage_source
from agent.storage.writer import SegmentWriter
from tests.agent.build import (
    MP3_STEREO,
    S16_MONO,
    at,
    decoded_samples,
    mp3_stream,
    origin,
    pcm_frame,
    pushed,
    ticked,
    utc,
    writer,
)
from tests.agent.schemas import validate
from tests.agent.storage.crash import Killed, died, dying, tree
from tests.agent.storage.test_writer import closing, data, opened

DAY = "mic/2026/11/22"
STEM = "mic_2026-11-22T13-00-00.000+0000"
KINDS = ["flac", "wav", "mp3"]


def frames_for(kind: str) -> list[Frame]:
    if kind == "mp3":
        return [
            Frame(raw, 1152, MP3_STEREO, at((number + 1) * 1152 / 44100)) for number, raw in enumerate(mp3_stream(30))
        ]
    return [pcm_frame(3000, (number + 1) / 16, seed=number) for number in range(8)]


def format_for(kind: str) -> AudioFormat:
    return MP3_STEREO if kind == "mp3" else S16_MONO


def record(files: SegmentWriter, kind: str, *, start_s: float = 0.0) -> FinishedSegment | None:
    """One whole segment, synced three times on its way."""
    frames, audio_format = frames_for(kind), format_for(kind)
    pushed(files, opened(start_s, audio_format))
    end_s = start_s
    for number, frame in enumerate(frames):
        end_s += frame.samples / audio_format.sample_rate_hz
        pushed(files, data(frame, end_s))
        if number == 1:
            pushed(files, SegmentTitle("a song", utc(end_s)))
        if number % 3 == 0:
            ticked(files, at(100 * (number + 1)))
    return pushed(files, closing(end_s))


def stored(recordings: Path) -> tuple[int, int]:
    """Samples that can be read of whatever audio lies there, finished or not, and how many files hold any."""
    samples = count = 0
    for path in recordings.glob("*/*/*/*/*"):
        extension = path.name.removesuffix(".part").rpartition(".")[2]
        if extension in CONTAINERS and path.stat().st_size:
            whole = CONTAINERS[extension].whole(path.read_bytes())
            samples += whole.samples if whole else 0
            count += whole is not None
    return samples, count


def assert_complete(recordings: Path) -> list[Segment]:
    """Nothing but finished audio with sidecars that tell the truth."""
    segments = []
    paths = sorted(path for path in recordings.glob("*/*/*/*/*") if path.is_file())
    series = {path for path in paths if path.name.endswith(LEVELS)}
    for path in (path for path in paths if path not in series):
        assert path.suffix in (".json", ".flac", ".wav", ".mp3"), path
        if path.suffix == ".json":
            body = json.loads(path.read_bytes())
            validate("segment", body)
            segment = segment_from(body)
            segments.append(segment)
            content = (recordings / segment.file).read_bytes()
            assert len(content) == segment.bytes
            whole = CONTAINERS[segment.container].whole(content)
            assert whole is not None
            assert (whole.samples, whole.packets) == (segment.samples, segment.packets)
            assert segment.clock.map[-1] == (segment.samples, segment.end)
            assert segment.end >= segment.start
            assert path == (recordings / segment.file).with_suffix(".json")
            assert path.with_suffix(LEVELS) in series
            if segment.recovered:
                assert_measured(path.with_suffix(LEVELS), segment)
    assert len(paths) == 3 * len(segments)
    return segments


def assert_measured(series: Path, segment: Segment) -> None:
    """The series covers the whole file, and says what the file's loudness says."""
    rows = read_levels(series)
    rate = segment.format.sample_rate_hz
    assert rows["sample"].tolist() == [row_start(row, rate) for row in range(len(rows))]
    assert row_start(len(rows) - 1, rate) < segment.samples <= row_start(len(rows), rate)
    assert segment.loudness == loudness(rows, segment.samples)


def reference(folder: Path, kind: str) -> bytes:
    """The audio of the same segment when nothing happens."""
    finished = record(writer(folder, container=kind if kind != "mp3" else "flac"), kind)
    assert finished is not None
    return finished.path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment_the_next_start_completes_everything(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped before each operation on files in turn, from the first folder to the last sync, two segments long."""
    caplog.set_level(logging.CRITICAL)
    whole_audio = reference(tmp_path / "reference", kind)
    total = sum(frame.samples for frame in frames_for(kind))
    before, ended = 0, False
    while not ended:
        folder = tmp_path / str(before)
        folder.mkdir()
        files = writer(folder, container=kind if kind != "mp3" else "flac", sync_s=0.1)
        closed = 0
        with dying(before):
            try:
                closed += record(files, kind) is not None
                closed += record(files, kind, start_s=60.0) is not None
                ended = True
            except Killed:
                pass
        died(files)
        samples, count = stored(folder)
        found = salvage_source(folder, origin())
        segments = assert_complete(folder)
        assert sum(segment.samples for segment in segments) == samples
        assert len(segments) == count
        assert {finished.segment.id for finished in found} <= {segment.id for segment in segments}
        for segment in segments[:closed]:
            assert not segment.recovered
            assert segment.samples == total
        for segment in segments:
            assert segment.recovered == (segment.reason is CloseReason.RECOVERED)
            content = (folder / segment.file).read_bytes()
            if segment.recovered:
                assert content[segment.payload_offset :] == whole_audio[segment.payload_offset : len(content)]
            else:
                assert content == whole_audio
        again = tree(folder)
        assert salvage_source(folder, origin()) == []
        assert tree(folder) == again
        before += 1
    assert before > 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_step", [-1, -3, -4, -6, -12])
def test_salvage_itself_may_be_killed_at_any_moment(
    tmp_path: Path, kind: str, at_step: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    with dying(10_000) as killer:
        files = writer(tmp_path / "count", container=kind if kind != "mp3" else "flac", sync_s=0.1)
        record(files, kind)
    steps = 10_000 - killer.left
    before, ended = 0, False
    while not ended:
        folder = tmp_path / str(before)
        folder.mkdir()
        files = writer(folder, container=kind if kind != "mp3" else "flac", sync_s=0.1)
        with dying(steps + at_step), suppress(Killed):
            record(files, kind)
        files.abandon()
        samples, _ = stored(folder)
        with dying(before):
            try:
                salvage_source(folder, origin())
                ended = True
            except Killed:
                pass
        salvage_source(folder, origin())
        segments = assert_complete(folder)
        assert sum(segment.samples for segment in segments) == samples
        before += 1


@given(st.sampled_from(KINDS), st.floats(0, 1), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_a_power_cut_leaves_any_length_and_maybe_no_sidecar(
    tmp_path_factory: pytest.TempPathFactory, kind: str, share: float, with_sidecar: bool
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    files = writer(folder, container=kind if kind != "mp3" else "flac", sync_s=0.1)
    pushed(files, opened(audio_format=format_for(kind)))
    end_s = 0.0
    for frame in frames_for(kind):
        end_s += frame.samples / frame.format.sample_rate_hz
        pushed(files, data(frame, end_s))
    files.abandon()
    part = folder / DAY / f"{STEM}.{kind}.part"
    os.truncate(part, int(part.stat().st_size * share))
    whole = CONTAINERS[kind].whole(part.read_bytes())
    if not with_sidecar:
        (folder / DAY / f"{STEM}.json.part").unlink()
    found = salvage_source(folder, origin())
    segments = assert_complete(folder)
    assert [finished.segment for finished in found] == segments
    assert [segment.samples for segment in segments] == ([] if whole is None else [whole.samples])
    for segment in segments:
        assert segment.start == utc(0)
        assert segment.recovered
        assert segment.end == segment.clock.map[-1][1]
        assert abs((segment.end - segment.start).total_seconds() - segment.duration_s) < 0.002


@pytest.mark.parametrize("kind", KINDS)
def test_real_programs_play_what_was_salvaged(tmp_path: Path, kind: str) -> None:
    files = writer(tmp_path, container=kind if kind != "mp3" else "flac")
    frames = frames_for(kind)
    pushed(files, opened(audio_format=format_for(kind)))
    for frame in frames:
        pushed(files, data(frame, 1.0))
    files.abandon()
    part = tmp_path / DAY / f"{STEM}.{kind}.part"
    os.truncate(part, part.stat().st_size - 5)
    (finished,) = salvage_source(tmp_path, origin())
    if kind == "mp3":
        return  # these frames have no sound; test_mp3 plays real ones
    assert decoded_samples(finished.path, 1) == finished.segment.samples
    values, _ = soundfile.read(finished.path, dtype="int16")
    raw = np.frombuffer(b"".join(frame.data for frame in frames), "<i2")
    assert np.array_equal(values, raw[: len(values)])


def test_what_was_safe_and_what_the_sidecar_knew_stays(tmp_path: Path) -> None:
    files = writer(tmp_path, container="wav", sync_s=0.0)
    pushed(files, SegmentTitle("on air", utc(-1)))
    pushed(files, opened())
    pushed(files, data(pcm_frame(4800, 0.1), 0.1))
    files.abandon()
    so_far = segment_from(json.loads((tmp_path / DAY / f"{STEM}.json.part").read_bytes()))
    (finished,) = salvage_source(tmp_path, origin())
    segment = finished.segment
    assert segment.id == so_far.id
    assert (segment.titles, segment.start, segment.boot, segment.run) == (
        so_far.titles,
        utc(0),
        so_far.boot,
        so_far.run,
    )
    assert (segment.end, segment.samples, segment.aligned_end) == (utc(0.1), 4800, False)


# --- what is not ours ------------------------------------------------------------------------------------------------


def test_foreign_files_and_folders_are_never_touched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / DAY
    folder.mkdir(parents=True)
    for name in (
        "notes.json.part",
        "notes.json.part.tmp",
        "song.mp3.part",
        "song.flac",
        "x.part",
        f"{STEM}.ogg.part",
        "README",
        f"{STEM}.flac.tmp",
    ):
        (folder / name).write_bytes(b"somebody's")
    for name in (f"{STEM}.json.part", f"{STEM}.wav.part", "other.json.part.d", "dir.json.part"):
        (folder / name).mkdir()
    (tmp_path / "mic" / "loose.json.part").write_bytes(b"somebody's")
    before = tree(tmp_path)
    assert salvage_source(tmp_path, origin()) == []
    assert tree(tmp_path) == before
    assert f"{STEM}.wav.part" in caplog.text


def left_open(recordings: Path) -> Path:
    files = writer(recordings, container="wav")
    pushed(files, opened())
    pushed(files, data(pcm_frame(4800), 0.1))
    files.abandon()
    return recordings / DAY / f"{STEM}.wav.part"


@pytest.mark.parametrize("linked", ["mic/2026", "mic/2026/11", DAY])
def test_behind_a_linked_folder_nothing_is_touched(tmp_path: Path, linked: str) -> None:
    backup, recordings = tmp_path / "backup", tmp_path / "recordings"
    left_open(backup)
    (backup / DAY / "mic_2026-11-22T14-00-00.000+0000.json.part").touch()  # a leftover
    before = tree(backup)
    (recordings / linked).parent.mkdir(parents=True)
    (recordings / linked).symlink_to(backup / linked)
    assert salvage_source(recordings, origin()) == []
    assert tree(backup) == before


def test_the_folder_of_a_source_may_be_a_link(tmp_path: Path) -> None:
    other, recordings = tmp_path / "other", tmp_path / "recordings"
    left_open(other)
    recordings.mkdir()
    (recordings / "mic").symlink_to(other / "mic")
    assert len(salvage_source(recordings, origin())) == 1
    assert_complete(other)


@pytest.mark.parametrize("suffix", [".wav.part", ".levels.npy.part"])
def test_a_linked_part_is_named_and_what_it_leads_to_stays(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    part = left_open(tmp_path / "recordings").with_name(STEM + suffix)
    outside = part.rename(tmp_path / "outside")
    outside.write_bytes(outside.read_bytes() + b"tags")
    part.symlink_to(outside)
    before = tree(tmp_path)
    assert salvage_source(tmp_path / "recordings", origin()) == []
    assert tree(tmp_path) == before
    assert f"{STEM}{suffix} is no regular file" in caplog.text


@pytest.mark.parametrize("suffix", [".json.part.tmp", ".json.tmp", ".levels.npy.part.tmp"])
def test_a_linked_temporary_file_is_not_written_through(tmp_path: Path, suffix: str) -> None:
    part, outside = left_open(tmp_path / "recordings"), tmp_path / "outside"
    outside.write_bytes(b"somebody's")
    part.with_name(STEM + suffix).symlink_to(outside)
    assert len(salvage_source(tmp_path / "recordings", origin())) == 1
    assert outside.read_bytes() == b"somebody's"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize("suffix", [".json.part", ".json"])
@pytest.mark.timeout(20)
def test_a_sidecar_that_is_no_file_does_not_keep_the_agent_waiting(
    tmp_path: Path, suffix: str, make: Callable[[Path], None]
) -> None:
    part = left_open(tmp_path)
    part.with_name(STEM + suffix).unlink(missing_ok=True)
    make(part.with_name(STEM + suffix))
    salvage_source(tmp_path, origin())


def unreadable(kind: str) -> Callable[[Path], None]:
    def damage(part: Path) -> None:
        if kind == "empty":
            part.write_bytes(b"")
        elif kind == "zeros":
            part.write_bytes(bytes(5000))
        elif kind == "text":
            part.write_bytes(b"this is no audio at all, " * 50)
        elif kind == "head":
            part.write_bytes(part.read_bytes()[:30])

    return damage


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["zeros", "text"])
def test_what_is_no_audio_is_named_and_stays_and_the_others_are_finished(
    tmp_path: Path, kind: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    for start_s in (0.0, 60.0):
        files = writer(tmp_path, container=kind if kind != "mp3" else "flac")
        pushed(files, opened(start_s, format_for(kind)))
        for frame in frames_for(kind):
            pushed(files, data(frame, start_s + 1.0))
        files.abandon()
    part = tmp_path / DAY / f"{STEM}.{kind}.part"
    unreadable(how)(part)
    before = part.read_bytes()
    (finished,) = salvage_source(tmp_path, origin())
    assert finished.segment.start == utc(60)
    assert part.read_bytes() == before
    assert part.name in caplog.text
    assert salvage_source(tmp_path, origin()) == []


@pytest.mark.parametrize("how", ["empty", "head"])
def test_a_file_without_one_whole_packet_is_removed_and_named(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = writer(tmp_path)
    pushed(files, opened())
    pushed(files, data(pcm_frame(9000), 0.1875))
    files.abandon()
    unreadable(how)(tmp_path / DAY / f"{STEM}.flac.part")
    assert salvage_source(tmp_path, origin()) == []
    assert list((tmp_path / DAY).iterdir()) == []
    assert f"{STEM}.flac.part" in caplog.text


def test_a_long_file_whose_beginning_is_damaged_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = writer(tmp_path)
    pushed(files, opened())
    for second in range(10):
        pushed(files, data(pcm_frame(48000), second + 1))
    files.abandon()
    part = tmp_path / DAY / f"{STEM}.flac.part"
    damaged = bytes(200) + part.read_bytes()[200:] + bytes(1 << 18)
    part.write_bytes(damaged)
    assert salvage_source(tmp_path, origin()) == []
    assert part.read_bytes() == damaged
    assert f"{STEM}.flac.part" in caplog.text


sidecars = st.sampled_from(
    [b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"{}", b"[" * 3000, b'{"clock": {"map": [["x", 1]]}}']
) | st.binary(max_size=30)


@given(sidecars, st.sampled_from([".json.part", ".json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_a_sidecar_that_is_none_does_not_cost_the_audio(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    files = writer(folder, container="wav")
    pushed(files, opened())
    pushed(files, data(pcm_frame(4800), 0.1))
    files.abandon()
    (folder / DAY / f"{STEM}{suffix}").write_bytes(content)
    (finished,) = salvage_source(folder, origin())
    assert (finished.segment.samples, finished.segment.start) == (4800, utc(0))
    assert_complete(folder)


@given(st.sampled_from(["samples", "bytes", "tz", "clock", "sample_rate_hz", "channels", "start", "titles", "rev"]),
       st.sampled_from(["x", None, [], {}, -1, 1.5, True]))  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_sidecar_with_wrong_values_keeps_no_other_file_from_being_salvaged(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    folder = tmp_path_factory.mktemp("wrong")
    for start_s in (0.0, 60.0):
        files = writer(folder, container="wav", sync_s=0.0)
        pushed(files, opened(start_s))
        pushed(files, data(pcm_frame(4800), start_s + 0.1))
        files.abandon()
    path = folder / DAY / f"{STEM}.json.part"
    body = json.loads(path.read_bytes())
    path.write_text(json.dumps({**body, key: value}), encoding="utf-8")
    found = salvage_source(folder, origin())
    assert utc(60) in [finished.segment.start for finished in found]
    audio = list((folder / DAY).glob(f"{STEM}.wav*"))
    assert len(audio) == 1


def test_a_finished_file_of_the_same_name_is_never_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = writer(tmp_path, container="wav")
    pushed(files, opened())
    pushed(files, data(pcm_frame(4800), 0.1))
    files.abandon()
    audio = tmp_path / DAY / f"{STEM}.wav"
    audio.write_bytes(b"another")
    assert salvage_source(tmp_path, origin()) == []
    assert audio.read_bytes() == b"another"
    assert "cannot be salvaged and stays" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_part_put_back_beside_its_finished_file_changes_nothing(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture, *, is_whole: bool
) -> None:
    """A backup was made while it was recorded, and put back when it was finished."""
    finished = record(writer(tmp_path, container=kind if kind != "mp3" else "flac"), kind)
    assert finished is not None
    content = finished.path.read_bytes()
    part = finished.path.with_name(finished.path.name + ".part")
    part.write_bytes(content if is_whole else content[: len(content) // 2])
    before = tree(tmp_path)
    assert salvage_source(tmp_path, origin()) == []
    assert tree(tmp_path) == before
    assert part.name in caplog.text
    assert "finished audio of this name already" in caplog.text


def test_a_part_takes_no_sidecar_from_finished_audio_of_another_kind(tmp_path: Path) -> None:
    assert record(writer(tmp_path, container="flac"), "flac") is not None
    left_open(tmp_path / "other").rename(tmp_path / DAY / f"{STEM}.wav.part")
    before = tree(tmp_path)
    assert salvage_source(tmp_path, origin()) == []
    assert tree(tmp_path) == before


@pytest.mark.parametrize("code", [28, 122, 30])
def test_a_disk_that_takes_nothing_is_told_apart(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    files = writer(tmp_path, container="wav")
    pushed(files, opened())
    pushed(files, data(pcm_frame(4800), 0.1))
    files.abandon()

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(StorageError, match="cannot write"):
            salvage_source(tmp_path, origin())
    (finished,) = salvage_source(tmp_path, origin())
    assert finished.segment.samples == 4800


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_being_made_safe_is_what_it_was_to_be(tmp_path: Path, kind: str) -> None:
    """All of it was written when the kill came: nothing is missing, so it is no recovered file."""
    files = writer(tmp_path, container=kind if kind != "mp3" else "flac")
    frames, audio_format = frames_for(kind), format_for(kind)
    pushed(files, opened(0.0, audio_format))
    end_s = 0.0
    for frame in frames:
        end_s += frame.samples / audio_format.sample_rate_hz
        pushed(files, data(frame, end_s))
    with patch.object(os, "fsync", side_effect=[None, Killed()]), pytest.raises(Killed):
        pushed(files, closing(end_s))  # the first is that of what is known, the second that of the audio
    died(files)
    (finished,) = salvage_source(tmp_path, origin())
    segment = finished.segment
    assert (segment.reason, segment.recovered, segment.aligned_end) == (CloseReason.BOUNDARY, False, True)
    assert segment.end == to_ms(utc(end_s))
    assert segment.samples == sum(frame.samples for frame in frames)
    assert segment.sha256 == hashlib.sha256(finished.path.read_bytes()).hexdigest()
    assert not list(tmp_path.rglob("*.part"))


def test_a_wav_of_odd_length_gets_its_pad_byte(tmp_path: Path) -> None:
    """Chunks are of even length, and the length in the header counts the byte. Stopped at any moment."""
    audio_format = AudioFormat.pcm(44100, 1, SampleFormat.S24_3LE)
    before, ended = 0, False
    while not ended:
        folder = tmp_path / str(before)
        folder.mkdir()
        files = writer(folder, container="wav", sync_s=0.1)
        with dying(before):
            try:
                pushed(files, opened(0.0, audio_format))
                pushed(files, data(pcm_frame(4411, 0.1, audio_format=audio_format), 0.1))
                ticked(files, at(100))
                pushed(files, closing(0.1))
                ended = True
            except Killed:
                pass
        died(files)
        salvage_source(folder, origin())
        for path in folder.rglob("*.wav"):
            content, sidecar = path.read_bytes(), json.loads(path.with_suffix(".json").read_bytes())
            assert (len(content) % 2, content[-1]) == (0, 0)
            assert int.from_bytes(content[4:8], "little") == len(content) - 8
            assert (sidecar["bytes"], sidecar["samples"]) == (len(content), 4411)
            assert sidecar["sha256"] == hashlib.sha256(content).hexdigest()
            assert soundfile.info(path).frames == 4411
        before += 1
    assert before > 10
    assert list(folder.rglob("*.wav"))
