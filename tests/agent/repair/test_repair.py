"""Repair by hand: whatever a crash or a careless hand leaves becomes sound, and nothing recorded is lost on the way."""

import gc
import json
import os
import random
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import clock
from agent.__main__ import main
from agent.app import App
from agent.archive_format.levels import read_levels
from agent.archive_format.times import rfc3339
from agent.config import load
from agent.errors import LockedError
from agent.repair.alone import alone
from agent.repair.rest import keep, rest_bytes
from agent.storage.files import FolderLock
from tests.agent.recorded import KINDS, record
from tests.agent.storage.crash import tree
from tests.agent.storage.not_files import NOT_FILES
from tests.agent.verify.support import checks, found
from tests.agent.verify.test_verify import audio_files, series


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two finished segments of each kind, and one that a kill left open."""
    made = {}
    for kind in KINDS:
        made[kind] = tmp_path_factory.mktemp("crashed")
        record(made[kind], kind, leave_open=True)
        aged(part_of(made[kind]))
    return made


def aged(part: Path) -> Path:
    """As if nobody had written to it for an hour."""
    long_ago_s = clock.utc_now().timestamp() - 3600
    os.utime(part, (long_ago_s, long_ago_s))
    return part


@pytest.fixture
def recordings(crashed: dict[str, Path], kind: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(crashed[kind], tmp_path / "recordings"))


def part_of(recordings: Path) -> Path:
    (part,) = (path for path in recordings.rglob("*.part") if ".json" not in path.name and ".npy" not in path.name)
    return part


def sidecar_of(audio: Path) -> dict[str, object]:
    return dict(json.loads(audio.with_suffix(".json").read_bytes()))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kill_left_is_finished(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checks(found(recordings)) == {"part"}
    assert main(["repair", str(recordings)]) == 0
    said = capsys.readouterr().out
    assert "finished: 1." in said or "finished: 2." in said
    assert found(recordings) == []
    assert not list(recordings.rglob("*.part"))
    last = sidecar_of(audio_files(recordings)[-1])
    assert (last["recovered"], last["reason"], last["agent"]) == (True, "recovered", "shed")
    line = json.loads((recordings / "mic" / "gaps.jsonl").read_bytes().splitlines()[-1])
    assert (line["at"], line["cause"], line["start"]) == ("begin", "agent_crashed", last["end"])
    before = tree(recordings)
    assert main(["repair", str(recordings)]) == 0
    assert tree(recordings) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_folder_is_enough_and_a_part_alone_too(recordings: Path, tmp_path: Path) -> None:
    part = part_of(recordings)
    copy = Path(shutil.copytree(part.parent, tmp_path / "copy"))
    assert main(["repair", str(copy)]) == 0
    assert found(copy) == []
    alone = tmp_path / "alone"
    alone.mkdir()
    aged(Path(shutil.copy(part, alone)))
    assert main(["repair", str(alone / part.name)]) == 0
    assert found(alone) == []
    (audio,) = (path for path in alone.iterdir() if path.suffix not in (".json", ".npy"))
    assert sidecar_of(audio)["file"] == str(part.relative_to(recordings)).removesuffix(".part")
    assert {path.suffix for path in alone.iterdir()} == {audio.suffix, ".json", ".npy"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_changes_nothing(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio_files(recordings)[0].with_suffix(".json").unlink()
    series(audio_files(recordings)[1]).unlink()
    before = tree(recordings)
    assert main(["repair", "--dry-run", str(recordings)]) == 0
    assert tree(recordings) == before
    said = capsys.readouterr().out
    for words in ("would be finished", "would be written anew", "would be made anew"):
        assert words in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_garbled", [False, True])
def test_a_lost_sidecar_is_written_anew(recordings: Path, *, is_garbled: bool) -> None:
    main(["repair", str(recordings)])
    audio = audio_files(recordings)[1]
    known, path = sidecar_of(audio), audio.with_suffix(".json")
    path.unlink()
    if is_garbled:
        path.write_bytes(b"{")
    assert main(["repair", str(recordings)]) == 0
    assert found(recordings) == []
    anew = sidecar_of(audio)
    same = ("file", "agent", "source", "samples", "packets", "bytes", "sha256", "start", "end", "tz", "payload_offset")
    assert {key: anew[key] for key in same} == {key: known[key] for key in same}
    assert (anew["recovered"], anew["id"] != known["id"]) == (True, True)
    broken = path.with_name(path.name + ".broken")
    assert broken.exists() is is_garbled


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["missing", "short", "garbled", "foreign"])
def test_a_wrong_level_series_is_made_anew(recordings: Path, damage: str) -> None:
    main(["repair", str(recordings)])
    audio = audio_files(recordings)[1]
    path = series(audio)
    known = read_levels(path)
    if damage == "missing":
        path.unlink()
    else:
        content = {"short": path.read_bytes()[:-70], "garbled": b"x" * 400, "foreign": path.read_bytes()[:256]}[damage]
        path.write_bytes(content)
    before = audio.read_bytes(), audio.with_suffix(".json").read_bytes()
    assert checks(found(recordings)) == {"levels"}
    assert main(["repair", str(recordings)]) == 0
    assert found(recordings) == []
    assert (audio.read_bytes(), audio.with_suffix(".json").read_bytes()) == before
    rows = read_levels(path)
    assert len(rows) == len(known)
    assert np.allclose(rows["mean_square"][2:], known["mean_square"][2:], rtol=0.3)  # the noise of AAC is random


@pytest.mark.parametrize("kind", ["mp3"])
def test_an_agent_that_records_is_not_disturbed(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = recordings / ".state"
    held = FolderLock(state)
    before = tree(recordings)
    assert main(["repair", str(recordings)]) == 1
    owner = (state / "lock").read_text().strip()
    assert f"process {owner}" in capsys.readouterr().err
    assert tree(recordings) == before
    held.release()
    assert main(["repair", str(recordings)]) == 0


@pytest.mark.parametrize("kind", ["mp3"])
def test_a_status_of_this_moment_is_an_agent_too(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the lock is not seen: the folder is mounted from another box."""
    status = {"ts": rfc3339(clock.utc_now()), "pid": 4711, "sources": [{"id": "mic"}]}
    (recordings / "status.json").write_text(json.dumps(status))
    before = tree(recordings)
    assert main(["repair", str(recordings)]) == 1
    assert "process 4711" in capsys.readouterr().err
    assert tree(recordings) == before


@pytest.mark.parametrize("kind", ["mp3"])
def test_a_finished_file_of_this_name_stays(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = part_of(recordings)
    finished = part.with_suffix("")
    finished.write_bytes(b"mine")
    assert main(["repair", str(recordings)]) == 1
    assert "there is a finished" in capsys.readouterr().out
    assert finished.read_bytes() == b"mine"
    assert part.exists()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_cut_at_any_byte_what_is_whole_becomes_sound(
    crashed: dict[str, Path], kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    recordings = Path(shutil.copytree(crashed[kind], tmp_path_factory.mktemp("cut") / "recordings"))
    part = part_of(recordings)
    content = part.read_bytes()
    cut = data.draw(st.one_of(st.integers(0, 300), st.integers(0, len(content))))
    part.write_bytes(content[:cut])
    aged(part)
    if data.draw(st.booleans()):
        part.with_name(part.with_suffix("").with_suffix(".json").name + ".part").unlink()
    code = main(["repair", str(recordings)])
    if part.exists():
        assert code == 1
        assert part.read_bytes() == content[:cut]
        assert checks(found(recordings)) == {"part"}
    else:
        assert code == 0
        assert found(recordings) == []
        assert cut == 0 or part.with_suffix("").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_behind_damage_is_kept(recordings: Path, kind: str) -> None:
    part = part_of(recordings)
    sound = part.read_bytes()
    rest = random.Random(kind).randbytes(100_000)
    part.write_bytes(sound + rest)
    aged(part)
    assert main(["repair", str(recordings)]) == 0
    assert found(recordings) == []
    if not kind.endswith("wav"):  # there anything is a sample
        kept = part.with_suffix(".rest") if part.suffix != ".part" else part.with_name(part.stem + ".rest")
        assert kept.read_bytes().endswith(rest[-1000:])


@pytest.mark.parametrize("kind", ["mp3"])
@pytest.mark.parametrize("linked", ["mic/2026/11/22", "mic/2026", "mic"])
def test_through_a_link_an_agent_that_records_is_seen_too(recordings: Path, tmp_path: Path, linked: str) -> None:
    held = FolderLock(recordings / ".state")
    link = tmp_path / "link"
    link.symlink_to(recordings / linked)
    before = tree(recordings)
    assert main(["repair", str(link)]) == 1
    assert main(["repair", str(link / part_of(recordings).relative_to(recordings / linked))]) == 1
    assert tree(recordings) == before
    held.release()
    assert main(["repair", str(link)]) == 0


@pytest.mark.parametrize("kind", ["mp3"])
def test_where_a_source_is_linked_the_lock_before_the_link_counts(recordings: Path, tmp_path: Path) -> None:
    (recordings / "mic").rename(tmp_path / "mic")
    (recordings / "mic").symlink_to(tmp_path / "mic")
    held = FolderLock(recordings / ".state")
    before = tree(recordings)
    assert main(["repair", str(recordings / "mic" / "2026")]) == 1
    assert tree(recordings) == before
    held.release()
    assert main(["repair", str(recordings / "mic" / "2026")]) == 0


@pytest.mark.parametrize("kind", ["mp3"])
@pytest.mark.parametrize("has_place", [True, False])
def test_without_a_lock_what_was_just_written_stays(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, has_place: bool
) -> None:
    """The folder is mounted at a second place, or at a second box."""
    part = part_of(recordings)
    os.utime(part)
    folder = recordings if has_place else Path(shutil.copytree(part.parent, tmp_path / "day"))
    before = tree(folder)
    assert main(["repair", str(folder)]) == 1
    assert "less than 10 minutes ago" in capsys.readouterr().out
    assert tree(folder) == before
    aged(part_of(folder))
    assert main(["repair", str(folder)]) == 0


def broken_sidecar(recordings: Path, **changes: object) -> tuple[Path, dict[str, object]]:
    """A sidecar that knows a lot, and has a fault."""
    audio = audio_files(recordings)[1]
    known = sidecar_of(audio)
    known |= {"protected": True, "titles": [{"at": known["start"], "offset_s": 0.0, "text": "Kept"}], "note": "mine"}
    audio.with_suffix(".json").write_text(json.dumps({**known, **changes}), encoding="utf-8")
    return audio, known


@pytest.mark.parametrize("kind", ["card flac", "mp3"])
@pytest.mark.parametrize(
    "fault",
    [{"reason": "reason_of_a_later_version"}, {"loudness": {"rms_dbfs": "x"}}, {"bytes": "many"}, {"titles": 5},
     {"clock": None}, {"gap_before": {}}, {"gaps": [{"cause": "of a later version"}]}, {"agent": "Not An Id"}],
)  # fmt: skip
def test_a_sidecar_with_one_fault_keeps_all_the_rest(recordings: Path, fault: dict[str, object]) -> None:
    main(["repair", str(recordings)])
    audio, known = broken_sidecar(recordings, **fault)
    assert main(["repair", str(recordings)]) == 0
    assert found(recordings) == []
    anew = sidecar_of(audio)
    other = {"rev", "recovered", *fault}
    assert {key: value for key, value in anew.items() if key not in other} == {
        key: value for key, value in known.items() if key not in other
    }
    assert anew["rev"] == int(str(known["rev"])) + 1
    assert json.loads(audio.with_suffix(".json.broken").read_bytes()) == {**known, **fault}


@pytest.mark.parametrize("kind", ["mp3"])
def test_a_torn_sidecar_that_said_protected_is_protected(recordings: Path) -> None:
    main(["repair", str(recordings)])
    audio, known = broken_sidecar(recordings)
    audio.with_suffix(".json").write_bytes(json.dumps(known, indent=1).encode()[:-3])
    assert main(["repair", str(recordings)]) == 0
    assert sidecar_of(audio)["protected"] is True


@pytest.mark.parametrize("kind", ["mp3"])
def test_of_the_sidecar_of_another_file_only_the_protection_counts(recordings: Path) -> None:
    main(["repair", str(recordings)])
    audio, known = broken_sidecar(recordings, reason="x", file="mic/2026/11/22/mic_2026-11-22T23-00-00.000+0000.mp3")
    assert main(["repair", str(recordings)]) == 0
    anew = sidecar_of(audio)
    assert (anew["protected"], anew["titles"], anew["id"] != known["id"]) == (True, [], True)


@pytest.mark.parametrize("kind", ["mp3"])
def test_a_sidecar_of_a_later_version_stays(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["repair", str(recordings)])
    broken_sidecar(recordings, v=2)
    before = tree(recordings)
    assert main(["repair", str(recordings)]) == 1
    assert "a later version" in capsys.readouterr().out
    assert tree(recordings) == before


@pytest.mark.parametrize("kind", ["card flac"])
@pytest.mark.parametrize("how", NOT_FILES)
@pytest.mark.parametrize("name", [".flac", ".json", ".levels.npy", ".flac.part", ".json.part", "ledger", "status"])
@pytest.mark.timeout(60)
def test_what_is_no_file_keeps_neither_waiting(
    recordings: Path, name: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = part_of(recordings)
    first = audio_files(recordings)[0]
    at = {"ledger": recordings / "mic" / "gaps.jsonl", "status": recordings / "status.json"}.get(name)
    if at is None and name.endswith(".part"):
        at = part.with_name(part.name.removesuffix(".flac.part") + name)
    at = at or first.with_name(first.stem + name)
    at.unlink(missing_ok=True)
    NOT_FILES[how](at)
    found(recordings)
    assert main(["verify", "--quick", "--since", "2026-11-22T13:00:01Z", str(recordings)]) == 1
    code = main(["repair", str(recordings)])
    assert code == (name != "status")
    assert not at.is_file() or at.is_symlink()
    assert how == "folder" or not at.is_dir()
    if code:
        assert "no regular file" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["card flac"])
@pytest.mark.parametrize("suffix", ["flac", "json", "levels.npy"])
def test_what_a_link_leads_to_stays(recordings: Path, tmp_path: Path, suffix: str) -> None:
    part = part_of(recordings)
    linked = part.with_name(part.name.replace("flac", suffix))
    outside = linked.rename(tmp_path / "outside")
    outside.write_bytes(outside.read_bytes() + b"tags")
    linked.symlink_to(outside)
    before = tree(tmp_path)
    assert main(["repair", str(recordings)]) == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["mp3"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a refused agent ends, and lets go so
def test_an_agent_sees_the_repair_of_a_folder_where_none_ever_was(recordings: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"agent: {{id: shed, timezone: UTC, state_directory: {tmp_path / 'state'}}}\n"
        f"recording: {{directory: {recordings}}}\nsources: [{{id: tone, type: test}}]\n",
        encoding="utf-8",
    )
    with alone([recordings], clock.utc_now()), pytest.raises(LockedError, match="isr-agent repair"):
        App(load(file))
    gc.collect()
    app = App(load(file))
    with pytest.raises(LockedError), alone([recordings], clock.utc_now()):
        pass
    for lock in app._locks:
        lock.release()


class Stopped(BaseException):
    """As Ctrl-C, or a kill."""


@pytest.mark.parametrize("kind", ["card flac", "mp3"])
@pytest.mark.parametrize("where", ["agent.repair.rest.rename_new", "agent.repair.repair.salvage"])
def test_a_repair_that_was_cut_short_is_completed_by_the_next(recordings: Path, where: str) -> None:
    part = part_of(recordings)
    rest = random.Random(where).randbytes(3 << 20)
    part.write_bytes(part.read_bytes() + rest + bytes(2 << 20))
    aged(part)

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    with patch(where, stop), pytest.raises(Stopped):
        main(["repair", str(recordings)])
    assert main(["repair", str(recordings)]) == 0
    assert found(recordings) == []
    (kept,) = recordings.rglob("*.rest*")
    assert kept.name.endswith(".rest")
    assert kept.read_bytes().endswith(rest[-1000:].rstrip(b"\0"))


@pytest.mark.parametrize("kind", ["mp3"])
def test_another_rest_is_never_replaced(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = part_of(recordings)
    part.write_bytes(part.read_bytes() + random.Random(1).randbytes(100_000))
    aged(part)
    part.with_suffix(".rest").write_bytes(b"another")
    before = tree(recordings)
    assert main(["repair", str(recordings)]) == 1
    assert "File exists" in capsys.readouterr().out
    assert tree(recordings) == before


@given(st.binary(max_size=40), st.integers(0, 30), st.integers(0, 40), st.integers(1, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_rest_is_all_but_the_zeros_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, zeros: int, begin: int, piece: int
) -> None:
    audio = tmp_path_factory.mktemp("rest") / "audio"
    audio.write_bytes(content + bytes(zeros))
    wanted = (content + bytes(zeros))[begin:].rstrip(b"\0")
    with patch("agent.repair.rest._PIECE_BYTES", piece):
        assert rest_bytes(audio, begin) == len(wanted)
        for _ in range(2):
            keep(audio, begin, len(wanted), audio.with_suffix(".rest"))
    assert audio.with_suffix(".rest").read_bytes() == wanted


@pytest.mark.parametrize("kind", ["mp3"])
@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", ""])
def test_a_neighbour_with_a_zone_that_is_none_is_no_neighbour(recordings: Path, zone: str) -> None:
    audio, lost, *_ = audio_files(recordings)
    sidecar = audio.with_suffix(".json")
    sidecar.write_text(json.dumps({**sidecar_of(audio), "tz": zone}), encoding="utf-8")
    known = sidecar_of(lost)
    lost.with_suffix(".json").unlink()
    main(["repair", str(recordings)])
    assert not list(recordings.rglob("*.part"))
    assert sidecar_of(lost)["start"] == known["start"]


@pytest.mark.parametrize("kind", ["mp3"])
def test_of_a_part_beside_finished_audio_verify_says_what_to_do(recordings: Path) -> None:
    audio = audio_files(recordings)[0]
    shutil.copy(audio, audio.with_name(audio.name + ".part"))
    (finding,) = (one for one in found(recordings) if audio.name in one.file)
    assert (str(finding.check), "compare them" in finding.advice) == ("part", True)
