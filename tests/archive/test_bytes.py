"""Bytes over real HTTP: ranges, conditions, growing and shrinking files, descriptors, names."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from agent import clock
from tests.archive.support import START, Recordings, Served, archive_part, close, feed, serving
from tests.parts.process import free_port
from tests.parts.waiting import wait_until

LARGE_BYTES = 24 << 20


@pytest.fixture
def song(recordings: Recordings) -> tuple[str, bytes]:
    """The address of a finished recording, and its bytes."""
    done = recordings.finished(30)
    return f"/stream/{done.segment.file}", done.path.read_bytes()


@pytest.fixture
def large(recordings: Recordings) -> Path:
    """A file that takes many chunks."""
    file = recordings.folder / "large.wav"
    file.write_bytes(os.urandom(LARGE_BYTES))
    return file


def test_a_whole_file(served: Served, song: tuple[str, bytes]) -> None:
    address, data = song
    answer = served.get(address)
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["Content-Type"] == "audio/flac"
    assert answer.headers["Content-Disposition"].startswith('inline; filename="mic_')
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox allow-same-origin; default-src 'none'")
    assert re.fullmatch('"[0-9a-f]{24}"', answer.headers["ETag"])
    head = served.get(address, "HEAD", Range="bytes=0-9")
    same = {name: value for name, value in answer.headers.items() if name != "date"}
    assert (head.status_code, head.content) == (200, b"")
    assert {name: value for name, value in head.headers.items() if name != "date"} == same
    download = served.get(address.replace("/stream/", "/download/"))
    assert download.content == data
    assert download.headers["Content-Disposition"].startswith('attachment; filename="mic_')


@pytest.mark.parametrize(
    ("field", "status", "span"),
    [
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=100-199", 206, (100, 200)),
        ("bytes=100-", 206, (100, None)),
        ("bytes=-100", 206, (-100, None)),
        ("bytes=0-", 206, (0, None)),
        ("bytes=0-4,2-9", 206, (0, 10)),
        ("items=0-9", 200, (0, None)),
        ("bytes=9-0", 200, (0, None)),
        ("bytes=x", 200, (0, None)),
        ("bytes=0-,0-", 200, (0, None)),
    ],
)
def test_one_range(shared: Served, field: str, status: int, span: tuple[int, int | None]) -> None:
    address = "/stream/" + shared.get("/api/files").json()[0]["name"]
    data = shared.get(address).content
    answer = shared.get(address, Range=field)
    wanted = data[span[0] : span[1]]
    assert (answer.status_code, answer.content) == (status, wanted)
    assert answer.headers["Content-Length"] == str(len(wanted))
    start = data.index(wanted)
    expected = f"bytes {start}-{start + len(wanted) - 1}/{len(data)}" if status == 206 else None
    assert answer.headers.get("Content-Range") == expected


def test_many_ranges(served: Served, song: tuple[str, bytes]) -> None:
    address, data = song
    answer = served.get(address, Range="bytes=-5,0-4,100-104,102-109")
    assert answer.status_code == 206
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", answer.headers["Content-Type"])
    assert boundary is not None
    parts = answer.content.split(f"--{boundary[1]}".encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    size = len(data)
    for part, (start, stop) in zip(parts[1:-1], [(size - 5, size), (0, 5), (100, 110)], strict=True):
        head, _, body = part.partition(b"\r\n\r\n")
        assert head.decode() == f"\r\nContent-Type: audio/flac\r\nContent-Range: bytes {start}-{stop - 1}/{size}"
        assert body == data[start:stop] + b"\r\n"


def test_nothing_of_a_range_is_there(served: Served, song: tuple[str, bytes], recordings: Recordings) -> None:
    address, data = song
    answer = served.get(address, Range=f"bytes={len(data)}-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(data)}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    (recordings.folder / "empty.wav").touch()
    assert served.get("/stream/empty.wav", Range="bytes=0-").headers["Content-Range"] == "bytes */0"
    empty = served.get("/stream/empty.wav")
    assert (empty.status_code, empty.content, empty.headers["Content-Length"]) == (200, b"", "0")


def test_conditions(served: Served, song: tuple[str, bytes]) -> None:
    address, data = song
    whole = served.get(address)
    tag, date = whole.headers["ETag"], whole.headers["Last-Modified"]
    unchanged = served.get(address, If_None_Match=tag, Range="bytes=0-9")
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    assert served.get(address, If_Modified_Since=date).status_code == 304
    assert served.get(address, "HEAD", If_None_Match=f"W/{tag}").status_code == 304
    assert served.get(address, If_Match='"other"', Range="bytes=0-9").status_code == 412
    assert served.get(address, If_Range=tag, Range="bytes=0-9").status_code == 206
    assert served.get(address, If_Range='"other"', Range="bytes=0-9").content == data


def test_short_answers_do_not_wait_for_acknowledgements(shared: Served) -> None:
    with requests.Session() as session:
        took_s = []
        for _ in range(20):
            begin_s = clock.monotonic_s()
            assert session.get(shared.url("/healthz"), timeout=10).status_code == 200
            took_s.append(clock.monotonic_s() - begin_s)
    assert min(took_s[5:]) < 0.03


def test_a_rewritten_file_has_another_tag(served: Served, song: tuple[str, bytes], recordings: Recordings) -> None:
    address, data = song
    before = served.get(address).headers["ETag"]
    file = recordings.folder / address.removeprefix("/stream/")
    status = file.stat()
    file.write_bytes(bytes(len(data)))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert served.get(address).headers["ETag"] != before


def test_names_with_plus_and_space(served: Served, recordings: Recordings) -> None:
    (recordings.folder / "a+b.wav").write_bytes(b"plus")
    (recordings.folder / "c d.wav").write_bytes(b"space")
    (recordings.folder / "c+d.wav").write_bytes(b"plus")
    assert served.get("/stream/a+b.wav").content == b"plus"
    assert served.get("/stream/a%2Bb.wav").content == b"plus"
    assert served.get("/stream/a%20b.wav").content == b"plus"
    assert served.get("/stream/c%20d.wav").content == b"space"
    assert served.get("/stream/c+d.wav").content == b"plus"
    (recordings.folder / "Übung “1”.mp3").write_bytes(b"x")
    answer = served.get("/download/Übung “1”.mp3")
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert "filename*=UTF-8''%C3%9Cbung%20%E2%80%9C1%E2%80%9D.mp3" in answer.headers["Content-Disposition"]


def test_an_open_segment_is_pinned_and_outlives_its_close(served: Served, recordings: Recordings) -> None:
    writer = recordings.opened(60)
    assert writer.open_segment is not None
    address = f"/stream/{writer.open_segment.file}"
    redirect = served.get(address, Range="bytes=0-")
    assert redirect.status_code == 307
    assert redirect.headers["Cache-Control"] == "no-store"
    pinned = address + redirect.headers["Location"]
    length = int(redirect.headers["Location"].removeprefix("?len="))
    before = served.get(pinned)
    assert (before.status_code, len(before.content)) == (200, length)
    assert served.get(address, "HEAD").status_code == 307
    feed(writer, START + timedelta(seconds=60), 60, seed=2)
    longer = served.get(address).headers["Location"]
    assert int(longer.removeprefix("?len=")) > length
    done = close(writer, START + timedelta(seconds=120))
    assert done is not None
    after = served.get(pinned)
    assert after.content == before.content
    assert after.headers["ETag"] == before.headers["ETag"]
    piece = served.get(pinned, Range="bytes=5-99", If_Range=before.headers["ETag"])
    assert (piece.status_code, piece.content) == (206, before.content[5:100])
    assert served.get(address).content == done.path.read_bytes()
    assert served.get(f"{address}?len={length + 1}").status_code == 400
    assert served.get(f"{address}?len=0").status_code == 400
    assert served.get(f"{address}?len=99999999").status_code == 416


def test_before_the_first_unit(served: Served, recordings: Recordings) -> None:
    writer = recordings.opened(0.01)
    assert writer.open_segment is not None
    answer = served.get(f"/stream/{writer.open_segment.file}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["status"] == 503


def test_requests_during_growth(served: Served, recordings: Recordings) -> None:
    writer = recordings.opened(10)
    assert writer.open_segment is not None
    address = served.url(f"/stream/{writer.open_segment.file}")
    ended = threading.Event()
    wrong: list[str] = []
    asked: list[tuple[str, bytes]] = []

    def listen() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                answer = session.get(address, timeout=10)
                if answer.status_code != 200 or len(answer.content) != int(answer.headers["Content-Length"]):
                    wrong.append(f"{answer.url}: {answer.status_code}, {len(answer.content)}")
                asked.append((answer.url, answer.content))

    listeners = [threading.Thread(target=listen) for _ in range(3)]
    for listener in listeners:
        listener.start()
    at = START + timedelta(seconds=10)
    for step in range(100):
        feed(writer, at, 5, seed=step)
        at += timedelta(seconds=5)
    wait_until(lambda: len(asked) > 30, 30, "thirty answers")
    done = close(writer, at)
    ended.set()
    for listener in listeners:
        listener.join(10)
    assert not wrong
    assert done is not None
    final = done.path.read_bytes()
    for url, content in asked:
        if "len=" in url:
            assert len(content) == int(url.rpartition("=")[2])
        assert content[42:] == final[42 : len(content)]
        assert content[:8] == final[:8]


def test_a_foreign_file_that_grows_is_served_as_promised(served: Served, recordings: Recordings) -> None:
    file = recordings.folder / "growing.wav"
    file.write_bytes(os.urandom(LARGE_BYTES))
    with requests.get(served.url("/stream/growing.wav"), stream=True, timeout=10) as answer:
        with file.open("ab") as growing:
            growing.write(bytes(1 << 20))
        assert len(answer.content) == LARGE_BYTES == int(answer.headers["Content-Length"])


def _half_read(served: Served, target: bytes) -> socket.socket:
    """A client that has got some of an answer and reads no further."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return connection


def test_a_file_that_shrinks_ends_the_connection(served: Served, large: Path, recordings: Recordings) -> None:
    data = large.read_bytes()
    with _half_read(served, b"/stream/large.wav") as connection:
        os.truncate(large, 4 << 20)
        rest = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert len(rest) < LARGE_BYTES
    assert rest in data[: 4 << 20] or data.find(rest[-1000:]) >= 0
    wait_until(lambda: "broke off" in served.part.log_text(), 5, "a line in the log")
    wait_until(lambda: not served.descriptors_of(recordings.folder), 5, "the descriptor to be given back")


def test_no_descriptor_is_left_behind(served: Served, large: Path, recordings: Recordings) -> None:
    connections = [_half_read(served, b"/stream/large.wav") for _ in range(20)]
    assert len(served.descriptors_of(recordings.folder)) == 20
    for connection in connections:
        connection.close()
    wait_until(lambda: not served.descriptors_of(recordings.folder), 10, "all descriptors to be given back")
    for field in ("bytes=0-9", "bytes=0-9,20-29", f"bytes=0-{2 << 20}", "bytes=99999999999-", "bytes=x"):
        served.get("/stream/large.wav", Range=field)
    served.get("/api/files")
    wait_until(lambda: not served.descriptors_of(recordings.folder), 5, "all descriptors to be given back")
    assert "ERROR" not in served.part.log_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_prompt_end_with_open_streams(tmp_path: Path, large: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as served:
        connections = [_half_read(served, b"/stream/large.wav") for _ in range(3)]
        begin_s = clock.monotonic_s()
        served.part.send_signal(number)
        assert served.part.wait_for_end(10) == 0
        assert clock.monotonic_s() - begin_s < 3
        for connection in connections:
            connection.close()
        assert "ERROR" not in served.part.log_text()


def test_a_signal_right_after_the_start_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    part = archive_part(tmp_path, free_port())
    with part:
        part.send_signal(signal.SIGTERM)
        assert part.wait_for_end(10) == 0
