import json
from pathlib import Path

import pytest

from agent.model import Frame, Instant, Tail
from agent.storage.tail import read_tail
from tests.agent.build import MP3_STEREO, at, mp3_stream, origin, pcm_frame, pushed, writer
from tests.agent.storage.test_writer import closing, data, opened

PACKET_S = 1152 / 44100
STREAM = mp3_stream(3000)
BOOT = origin().boot


def recorded(folder: Path, first: int, count: int) -> None:
    """A finished file of so many packets."""
    files = writer(folder)
    pushed(files, opened(first * PACKET_S, MP3_STEREO))
    for number in range(first, first + count):
        end_s = (number + 1) * PACKET_S
        files.push(data(Frame(STREAM[number], 1152, MP3_STEREO, at(end_s)), end_s))
    assert pushed(files, closing((first + count) * PACKET_S)) is not None
    files.end()


def read(folder: Path, now_s: float) -> Tail:
    tail = read_tail(folder, "mic", at(now_s), BOOT)
    assert tail is not None
    return tail


def test_the_newest_file_is_read_back(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 200)
    tail = read(tmp_path, 60)
    assert tail.packets == tuple(STREAM[:200])
    assert tail.format == MP3_STEREO
    assert tail.ended.wall_ns == pytest.approx(at(200 * PACKET_S).wall_ns, abs=1_000_000)
    assert tail.ended.boottime_ns == pytest.approx(at(200 * PACKET_S).boottime_ns, abs=1_000_000)


def test_files_that_join_are_one_tail_and_a_gap_is_its_beginning(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 100)
    recorded(tmp_path, 300, 100)
    recorded(tmp_path, 400, 3)
    recorded(tmp_path, 403, 2)
    assert read(tmp_path, 60).packets == tuple(STREAM[300:405])


def test_no_more_is_read_than_is_of_use(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 1500)
    recorded(tmp_path, 1500, 1500)
    packets = read(tmp_path, 80).packets
    assert 1024 < len(packets) < 1500
    assert packets == tuple(STREAM[3000 - len(packets) :])


@pytest.mark.parametrize("now_s", [660.0, -60.0])
def test_a_file_of_another_time_is_no_tail(tmp_path: Path, now_s: float) -> None:
    recorded(tmp_path, 0, 200)
    assert read_tail(tmp_path, "mic", at(now_s), BOOT) is None


def test_where_nothing_was_recorded_there_is_no_tail(tmp_path: Path) -> None:
    assert read_tail(tmp_path, "mic", at(0), BOOT) is None


def test_samples_of_a_card_are_no_tail(tmp_path: Path) -> None:
    files = writer(tmp_path)
    pushed(files, opened(0.0))
    files.push(data(pcm_frame(48000, 1.0), 1.0))
    assert pushed(files, closing(1.0)) is not None
    assert read_tail(tmp_path, "mic", at(2), BOOT) is None


def test_a_file_that_is_gone_is_named_and_is_no_tail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorded(tmp_path, 0, 200)
    (path,) = tmp_path.rglob("*.mp3")
    path.unlink()
    assert read_tail(tmp_path, "mic", at(60), BOOT) is None
    assert path.name in caplog.text


def test_after_the_clock_was_set_back_the_newest_file_is_what_was_recorded_last(tmp_path: Path) -> None:
    """Its name and its times are those of a moment before the other file, and that one lies ahead."""
    recorded(tmp_path, 1000, 200)
    recorded(tmp_path, 0, 200)
    for path in tmp_path.rglob("*.json"):
        body = json.loads(path.read_bytes())
        is_last = body["start"] == min(json.loads(one.read_bytes())["start"] for one in tmp_path.rglob("*.json"))
        body["clock"]["start_boottime_s"] = 1040.0 if is_last else 1010.0
        path.write_text(json.dumps(body))
    now = Instant(at(8).wall_ns, 1048_000_000_000, 1048_000_000_000)
    tail = read_tail(tmp_path, "mic", now, BOOT)
    assert tail is not None
    assert tail.packets == tuple(STREAM[:200])
    assert tail.ended.boottime_ns == pytest.approx(1040e9 + 200 * PACKET_S * 1e9, abs=1_000_000)


def test_what_seems_to_have_ended_just_now_is_a_tail(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 200)
    assert read(tmp_path, 200 * PACKET_S - 0.01).ended.boottime_ns == at(200 * PACKET_S - 0.01).boottime_ns
