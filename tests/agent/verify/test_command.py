"""The command as people and programs use it."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.__main__ import main
from agent.verify.ledger import judge_ledger
from agent.verify.since import since
from tests.agent.build import utc
from tests.agent.recorded import record
from tests.agent.verify.support import checks, found
from tests.agent.verify.test_verify import audio_files, edited, flipped, truncated
from tests.system.running import REPOSITORY

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    record(folder, "card flac")
    return folder


@pytest.fixture
def recordings(sound: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(sound, tmp_path / "recordings"))
    (tmp_path / "config.yaml").write_text("agent: {id: shed, timezone: UTC}\nsources: [{id: mic, type: test}]\n")
    return copy


def run(*arguments: str | Path) -> int:
    return main(["verify", *map(str, arguments)])


def test_without_a_path_the_recordings_of_the_configuration_are_checked(
    recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = recordings.parent / "config.yaml"
    assert run("--config", config) == 0
    assert capsys.readouterr().out.startswith("3 segments, ")
    truncated(audio_files(recordings)[0])
    assert run("--config", config) == 1
    out = capsys.readouterr().out
    assert "2 findings." in out
    assert run("--config", config, "--source", "other") == 0
    assert run("--config", config, "--since", "2026-11-22T13:00:03Z") == 0
    assert run("--config", config, "--since", "2026-11-22") == 1


def test_for_programs(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncated(audio_files(recordings)[0])
    edited(audio_files(recordings)[1], sha256=None)
    assert run("--json", "--quick", recordings) == 1
    body = json.loads(capsys.readouterr().out)
    assert (body["v"], body["complete"], body["segments"], body["without_checksum"]) == (1, True, 3, 1)
    assert {one["check"] for one in body["findings"]} == {"size", "damaged"}


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["--since", "yesterday", "."], ["/etc/passwd"], ["--config", "none.yaml"]]
)
def test_a_wrong_use_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(*arguments) == 2
    assert capsys.readouterr().err


def test_quick_decodes_nothing(recordings: Path) -> None:
    audio = audio_files(recordings)[0]
    edited(audio, sha256=None)
    flipped(audio)
    assert found(audio) != []
    assert checks(found(audio, quick=True)) <= {"damaged"}


def test_on_a_terminal_there_is_a_bar(recordings: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agent", "verify", str(recordings)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True, env=env, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "[##############################] 100 %" in shown
    assert result.stdout.startswith(b"3 segments")


def test_ctrl_c_ends_it_with_what_was_found_so_far(recordings: Path) -> None:
    for number in range(400):
        day = recordings / "mic" / "2026" / "10" / "01"
        day.mkdir(parents=True, exist_ok=True)
        shutil.copy(
            audio_files(recordings)[-1], day / f"mic_2026-10-01T{number // 60:02d}-{number % 60:02d}-00.000+0000.flac"
        )
    command = [sys.executable, "-m", "agent", "verify", str(recordings)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=30)
    assert b"no_sidecar" in first
    assert b"Traceback" not in error
    assert process.returncode in (130, 1)
    assert (b"Interrupted after" in rest) is (process.returncode == 130)


def test_parts_and_lost_audio_and_what_is_recorded_now(recordings: Path) -> None:
    audio = audio_files(recordings)[-1]
    part = audio.with_name(audio.name + ".part")
    audio.rename(part)
    assert checks(found(recordings)) == {"part"}
    status = {"ts": "2026-11-23T00:00:00.000Z", "sources": [{"id": "mic"}], "pid": 1}
    (recordings / "status.json").write_text(json.dumps(status))
    assert found(recordings) == []  # an agent has it
    (recordings / "status.json").write_text(json.dumps({**status, "ts": "2026-11-22T23:59:00.000Z"}))
    assert checks(found(recordings)) == {"part"}
    part.unlink()
    assert checks(found(recordings)) == {"lost"}
    edited(audio, deleted={"at": "2026-11-22T14:00:00.000Z", "why": "max_age"})
    assert found(recordings) == []
    part.write_bytes(b"")
    part.rename(audio)
    assert checks(found(recordings)) >= {"deleted"}


def test_the_ledger_is_read_line_by_line(recordings: Path) -> None:
    ledger = recordings / "mic" / "gaps.jsonl"
    good = ledger.read_bytes()
    ledger.write_bytes(b'{"v": 1, "id\n' + good + b'{"v": 1')
    (finding,) = found(recordings)
    assert (finding.check, finding.file) == ("ledger", "mic/gaps.jsonl")
    assert "in line 1 no JSON" in str(finding)
    ledger.unlink()
    assert "ledger" in checks(found(recordings))
    assert list(judge_ledger("gaps.jsonl", good, "mic")) == []
    assert len(list(judge_ledger("gaps.jsonl", good, "other"))) == len(good.splitlines())


@pytest.mark.parametrize(
    "torn", [b'{"v": 1, "id', b'{"v": 1, "id": "x", "corrected": {"by_s": 1}', b"\0" * 300, b'{"v"\0\0']
)
def test_a_line_that_a_power_cut_tore_is_blanked_and_then_good(
    recordings: Path, torn: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = recordings / "mic" / "gaps.jsonl"
    good = ledger.read_bytes()
    ledger.write_bytes(good + torn + b"\n" + good)
    assert checks(found(recordings)) == {"ledger"}
    assert main(["repair", "--dry-run", str(recordings)]) == 0
    assert ledger.read_bytes() == good + torn + b"\n" + good
    for _ in range(2):
        assert main(["repair", str(recordings)]) == 0
        assert ledger.read_bytes() == good + b" " * len(torn) + b"\n" + good
    out = capsys.readouterr().out
    assert out.count("which a power cut has torn, is blanked") == 1
    assert out.count("which a power cut has torn, would be blanked") == 1
    assert "0 repairs, nothing is left" in out
    assert found(recordings) == []


def test_a_line_that_is_whole_and_wrong_stays(recordings: Path) -> None:
    ledger = recordings / "mic" / "gaps.jsonl"
    wrong = ledger.read_bytes() + b'{"v": 1, "id": x}\n{"v": 1}\nnotes\n'
    ledger.write_bytes(wrong)
    assert main(["repair", str(recordings)]) == 0
    assert ledger.read_bytes() == wrong
    assert len(found(recordings)) == 3


def test_a_missing_segment_is_a_hole(recordings: Path) -> None:
    middle = audio_files(recordings)[1]
    for path in middle.parent.glob(middle.stem + "*"):
        path.unlink()
    (finding,) = found(recordings)
    assert finding.check == "hole"
    assert found(*audio_files(recordings)) == []  # single files say nothing of what lies between them


def test_nothing_is_written(recordings: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in recordings.rglob("*")}
    found(recordings)
    assert {path: path.stat().st_mtime_ns for path in recordings.rglob("*")} == before


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", datetime(2026, 11, 16, 12, tzinfo=UTC)),
        ("90m", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 21, 23, tzinfo=UTC)),
        ("2026-11-22T14:00:00+01:00", utc()),
        ("2026-11-22T13:00:00Z", utc()),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert since(text, NOW, ZoneInfo("Europe/Berlin")) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22T13:00:00", "12:00", "7", "99999999999d"])
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like 7d"):
        since(text, NOW, UTC)
