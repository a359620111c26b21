"""Recordings and sources over HTTP, from the index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from agent.archive_format.sidecar import segment_json
from agent.storage.files import write_whole
from tests.archive.index.rig import edit, loud
from tests.archive.support import RATE, ROOT, START, Recordings, Served, close, feed, serving, source, write_config
from tests.parts.waiting import wait_until

MINUTES_15 = timedelta(minutes=15)


def items(served: Served, query: str = "") -> list[dict[str, Any]]:
    answer = served.get(f"/api/v1/segments{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def wait_for(served: Served, count: int, query: str = "") -> list[dict[str, Any]]:
    """So many recordings, once the index has them."""

    def there() -> list[dict[str, Any]] | None:
        answer = served.get(f"/api/v1/segments{query}")
        found: list[dict[str, Any]] = answer.json()["items"] if answer.status_code == 200 else []
        return found if len(found) == count else None

    return wait_until(there, 10, f"{count} recordings in the index") or []


def test_a_finished_recording(served: Served, recordings: Recordings) -> None:
    done = recordings.finished(10)
    edit(
        done.path.with_suffix(".json"),
        loudness={"rms_dbfs": -40.5, "peak_dbfs": -12.0},
        events=[loud("2026-11-22T13:00:01Z")],
        titles=[{"at": "2026-11-22T13:00:01Z", "offset_s": 1.0, "text": "Ein <b>Lied</b>"}],
    )
    wait_for(served, 1, "?loud=1")
    (item,) = items(served)
    address = f"/api/v1/segments/{done.segment.id}"
    assert item == {
        "id": done.segment.id,
        "source": "mic",
        "agent": "shed",
        "file": done.segment.file,
        "container": "flac",
        "codec": "flac",
        "start": "2026-11-22T13:00:00.000Z",
        "end": "2026-11-22T13:00:10.000Z",
        "duration_s": 10.0,
        "bytes": done.path.stat().st_size,
        "samples": 80000,
        "sample_rate_hz": RATE,
        "channels": 1,
        "state": "done",
        "reason": "boundary",
        "missing_s": 0.0,
        "loudness": {"rms_dbfs": -40.5, "peak_dbfs": -12.0},
        "loud_events": 1,
        "title": "Ein <b>Lied</b>",
        "tz": "Europe/Berlin",
        "links": {"self": address, "audio": f"{address}/audio", "download": f"{address}/download"},
    }
    answer = served.get(address)
    told = json.loads(done.path.with_suffix(".json").read_bytes())
    assert answer.json() == {**told, "state": "done", "links": item["links"]}
    assert served.get(address, If_None_Match=answer.headers["ETag"]).status_code == 304
    whole = served.get("/api/v1/segments")
    assert served.get("/api/v1/segments", If_None_Match=whole.headers["ETag"]).status_code == 304


def test_audio_by_id_is_audio_by_path(served: Served, recordings: Recordings) -> None:
    done = recordings.finished(30)
    (item,) = wait_for(served, 1)
    for kind, path in (("audio", "/stream/"), ("download", "/download/")):
        for fields in ({}, {"Range": "bytes=5-9"}, {"Range": "bytes=-7"}, {"Range": "bytes=999999999-"}):
            by_id = served.get(item["links"][kind], **fields)
            by_path = served.get(path + done.segment.file, **fields)
            assert by_id.status_code == by_path.status_code
            if by_id.status_code == 416:
                continue
            assert by_id.content == by_path.content
            for name in ("ETag", "Content-Disposition", "Content-Type", "Content-Security-Policy", "Content-Length"):
                assert by_id.headers[name] == by_path.headers[name]
        head = served.get(item["links"][kind], "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(done.path.stat().st_size)
        tag = {"If_None_Match": head.headers["ETag"]}
        assert served.get(item["links"][kind], **tag).status_code == 304


def test_what_is_being_recorded_grows_from_answer_to_answer(served: Served, recordings: Recordings) -> None:
    writer = recordings.opened(10)
    recordings.status(source(writer=writer))
    (item,) = wait_for(served, 1)
    assert (item["state"], item["reason"], item["start"]) == ("open", None, "2026-11-22T13:00:00.000Z")
    assert writer.open_segment is not None
    assert item["bytes"] == writer.open_segment.bytes_safe
    assert item["samples"] == writer.open_segment.samples_safe
    feed(writer, START + timedelta(seconds=10), 10)
    recordings.status(source(writer=writer))
    (grown,) = items(served, "?state=open&from=2026-11-22T13:00:15Z&to=2026-11-22T13:00:16Z&source=mic")
    assert (grown["id"], grown["samples"]) == (item["id"], writer.open_segment.samples_safe)
    assert grown["samples"] > item["samples"]
    assert served.get(item["links"]["self"]).json()["samples"] == grown["samples"]
    redirect = served.get(item["links"]["audio"])
    assert redirect.status_code == 307
    audio = served.get(item["links"]["audio"] + redirect.headers["Location"])
    assert audio.status_code == 200
    done = close(writer, START + timedelta(seconds=20))
    assert done is not None
    wait_for(served, 1, "?state=done")
    (closed,) = items(served)
    assert (closed["id"], closed["state"], closed["samples"]) == (item["id"], "done", 160000)
    # The address of the snapshot means the same bytes for ever.
    assert served.get(item["links"]["audio"] + redirect.headers["Location"]).content == audio.content
    assert served.get(item["links"]["audio"]).content == done.path.read_bytes()


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", '"\\ud800"'])
def test_what_json_cannot_say_does_no_harm(served: Served, recordings: Recordings, number: str) -> None:
    done = recordings.finished(1)
    sidecar = done.path.with_suffix(".json")
    write_whole(sidecar, sidecar.read_bytes().replace(b'"overruns": 0', f'"overruns": {number}'.encode()))
    is_sidecar = number.startswith('"')  # half a character is JSON, the numbers are not
    (item,) = wait_for(served, 1, "?state=done")
    assert item["source"] == "mic"
    wait_until(lambda: items(served)[0]["id"].startswith("f-") != is_sidecar, 10, "what its sidecar is worth")
    detail = served.get(items(served)[0]["links"]["self"])
    assert detail.status_code == 200
    assert detail.json()["file"] == done.segment.file


def test_what_a_crash_left_is_damaged(served: Served, recordings: Recordings) -> None:
    writer = recordings.opened(10)
    wait_for(served, 1)
    assert [item["state"] for item in items(served)] == ["damaged"]  # no agent
    recordings.status(source(state="stopped"))
    assert [item["state"] for item in items(served)] == ["open"]  # it has only just begun
    assert writer.open_segment is not None
    os.utime(recordings.folder / writer.open_segment.file, (START.timestamp(), START.timestamp()))
    (item,) = items(served, "?state=damaged")
    assert item["samples"] == writer.open_segment.samples_safe
    assert items(served, "?state=open,done") == []
    assert served.get(item["links"]["audio"]).status_code == 307


def test_what_was_deleted_is_known_and_its_audio_is_gone(served: Served, recordings: Recordings) -> None:
    done, other = recordings.finished(5), recordings.finished(5, start=START + MINUTES_15)
    wait_for(served, 2)
    edit(done.path.with_suffix(".json"), rev=2, deleted={"at": "2026-11-23T00:00:00.000Z", "why": "max_age"})
    done.path.unlink()
    (item,) = wait_for(served, 1, "?state=deleted")
    assert (item["id"], item["state"], item["bytes"]) == (done.segment.id, "deleted", 0)
    assert [one["id"] for one in wait_for(served, 1)] == [other.segment.id]
    for leaf in ("audio", "download"):
        answer = served.get(f"/api/v1/segments/{done.segment.id}/{leaf}")
        assert answer.status_code == 410
        assert "deleted" in answer.json()["detail"]
    known = served.get(f"/api/v1/segments/{done.segment.id}").json()
    assert known["state"] == "deleted"
    assert known["deleted"] == {"at": "2026-11-23T00:00:00.000Z", "why": "max_age"}
    assert served.get(f"/stream/{done.segment.file}").status_code == 404
    assert [one["name"] for one in served.get("/api/files").json()] == [other.segment.file]
    (source,) = served.get("/api/v1/sources").json()["items"]
    assert (source["segments"], source["bytes"]) == (1, other.path.stat().st_size)


def test_a_foreign_file_has_the_same_shape(served: Served, recordings: Recordings) -> None:
    file = recordings.folder / "Ünï “x”.wav"
    soundfile.write(file, np.zeros(RATE * 3, np.int16), RATE)
    os.utime(file, (START.timestamp(), START.timestamp()))
    (item,) = wait_for(served, 1)
    done = recordings.finished(1, start=START + MINUTES_15)
    (other,) = wait_for(served, 1, "?source=mic")
    assert list(item) == list(other)
    assert {name for name, value in item.items() if value is None} == {
        *("source", "agent", "codec", "samples", "sample_rate_hz", "channels", "reason", "missing_s", "loudness"),
        "title",
    }
    assert (item["duration_s"], item["end"]) == (3.0, "2026-11-22T13:00:03.000Z")
    detail = served.get(item["links"]["self"]).json()
    assert set(detail) == {*segment_json(done.segment), "state", "links"}
    assert (detail["file"], detail["start_local"]) == ("Ünï “x”.wav", "2026-11-22T14:00:00.000+01:00")
    assert served.get(item["links"]["download"]).content == file.read_bytes()


def test_all_pages_show_everything_once_also_while_more_comes(served: Served, recordings: Recordings) -> None:
    before = [recordings.finished(0.1, start=START + number * MINUTES_15) for number in range(12)]
    writer = recordings.opened(1, source="radio", start=START + 5 * MINUTES_15)
    recordings.status(source("radio", writer=writer))
    wait_for(served, 13)
    for order in ("asc", "desc"):
        seen: list[str] = []
        address = f"?limit=2&order={order}"
        for turn in range(20):
            answer = served.get(f"/api/v1/segments{address}")
            page = answer.json()
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                assert "Link" not in answer.headers
                break
            address, _, relation = answer.headers["Link"].partition(">; ")
            assert relation == 'rel="next"'
            address = address.removeprefix("<")
            assert f"cursor={page['next']}" in address
            if order == "desc":  # newer than all of them, and older
                for number in (100 + turn, -100 - turn):
                    recordings.finished(0.1, source="late", start=START + number * MINUTES_15)
                wait_for(served, 2 * turn + 2, "?source=late&limit=1000")
        wanted = {done.segment.id for done in before}
        assert len(seen) == len(set(seen))
        assert wanted <= set(seen)
        assert len([one for one in seen if one in wanted]) == 12


def test_filters(served: Served, recordings: Recordings) -> None:
    for number in range(4):
        done = recordings.finished(1, start=START + number * MINUTES_15, source=("mic", "radio")[number % 2])
        level = {"rms_dbfs": -40.0, "peak_dbfs": -10.0 * number}
        titles = [{"at": "2026-11-22T13:00:01Z", "offset_s": 1.0, "text": f"ÉTÉ {number}"}]
        edit(done.path.with_suffix(".json"), loudness=level, titles=titles, agent=("shed", "barn")[number == 3])
    wait_for(served, 4, "?q=ÉTÉ")
    wait_for(served, 1, "?source=barn/radio")  # until then, the last may be known only as it was while it was open

    def found(query: str) -> list[int]:
        starts = [item["start"] for item in items(served, query)]
        return [int(start[14:16]) // 15 for start in starts]

    assert found("") == [3, 2, 1, 0]
    assert found("?order=asc") == [0, 1, 2, 3]
    assert found("?source=mic") == [2, 0]
    assert found("?source=shed/mic&source=shed/radio") == [2, 1, 0]
    assert found("?source=barn/radio") == [3]
    assert found("?source=nobody") == []
    assert found("?min_peak=-15") == [1, 0]
    assert found("?q=été%202") == [2]
    assert found("?q=%25") == []
    assert found("?from=2026-11-22T14:15:00.5%2B01:00&to=2026-11-22T13:45:00Z") == [2, 1]
    assert found("?from=1795353300&to=1795353301") == [1]
    answer = served.get("/api/v1/segments?source=radio")
    assert answer.status_code == 400
    assert "barn, shed" in answer.json()["detail"]
    assert answer.json()["errors"][0]["parameter"] == "source"


def test_a_cursor_goes_with_its_filters(served: Served, recordings: Recordings) -> None:
    for number in range(3):
        recordings.finished(0.1, start=START + number * MINUTES_15)
    wait_for(served, 3)
    following = served.get("/api/v1/segments?limit=1&source=mic").json()["next"]
    assert len(items(served, f"?limit=2&source=mic&cursor={following}")) == 2
    for query, reason in ((f"?cursor={following}", "other filters"), ("?cursor=junk", "no cursor")):
        answer = served.get(f"/api/v1/segments{query}")
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert reason in answer.json()["detail"]
        assert answer.json()["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/api/v1/segments?form=5", 400, "'form'"),
        ("/api/v1/segments?from=2026-11-22T14:00:00", 400, "offset"),
        ("/api/v1/segments?limit=1001", 400, "1000"),
        ("/api/v1/segments?order=asc&order=asc", 400, "twice"),
        ("/api/v1/sources?x=1", 400, "'x'"),
        ("/api/v1/segments/none", 404, "no recording"),
        ("/api/v1/segments/none?x=1", 400, "'x'"),
        ("/api/v1/segments/none/audio", 404, "no recording"),
        ("/api/v1/segments/none/download?lenn=1", 400, "lenn"),
        ("/api/v1/segments/..%2f..%2fstatus.json/audio", 404, ""),
        ("/api/v1/segments/%00/audio", 404, ""),
    ],
)
def test_mistakes_are_problems(shared: Served, path: str, status: int, detail: str) -> None:
    answer = shared.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert detail in answer.json()["detail"]


def test_a_link_put_in_the_way_is_not_followed(tmp_path: Path, served: Served, recordings: Recordings) -> None:
    done = recordings.finished(1)
    (item,) = wait_for(served, 1)
    secret = tmp_path / "secret.flac"
    secret.write_bytes(b"SECRET")
    done.path.unlink()
    done.path.symlink_to(secret)
    for address in item["links"].values():
        assert served.get(address).status_code == 404
    wait_until(lambda: items(served) == [], 10, "its end in the index")


def test_sources(served: Served, recordings: Recordings) -> None:
    first = recordings.finished(1, source="gone")
    done = recordings.finished(2)
    writer = recordings.opened(10, start=START + MINUTES_15)
    soundfile.write(recordings.folder / "foreign.wav", np.zeros(RATE, np.int16), RATE)
    gap = {"id": "g", "start": "2026-11-22T13:00:02.000Z", "cause": "device_lost"}
    recordings.status(source("new", state="starting"), source(writer=writer, gap=gap))
    wait_for(served, 4)
    answer = served.get("/api/v1/sources")
    new, mic, gone = answer.json()["items"]
    assert writer.open_segment is not None
    for one in (new, mic, gone):
        today = one.pop("today")
        assert {"day", "recorded_s", "missing_s", "completeness_pct", "coverage"} <= today.keys()
    assert mic == {
        "id": "shed/mic",
        "agent": "shed",
        "source": "mic",
        "name": "Mic",
        "type": "alsa",
        "state": "recording",
        "desired": "record",
        "format": {"codec": "pcm", "sample_rate_hz": RATE, "channels": 1, "bits": 16},
        "tz": "Europe/Berlin",
        "first": "2026-11-22T13:00:00.000Z",
        "last": items(served, "?state=open")[0]["end"],
        "segments": 2,
        "bytes": done.path.stat().st_size + writer.open_segment.bytes_safe,
        "gap": gap,
        "live": True,
    }
    assert (new["id"], new["segments"], new["bytes"], new["first"], new["last"]) == ("shed/new", 0, 0, None, None)
    assert gone == {
        **dict.fromkeys(("type", "state", "desired", "format", "gap")),
        "id": "shed/gone",
        "agent": "shed",
        "source": "gone",
        "name": "gone",
        "tz": "Europe/Berlin",
        "first": "2026-11-22T13:00:00.000Z",
        "last": "2026-11-22T13:00:01.000Z",
        "segments": 1,
        "bytes": first.path.stat().st_size,
        "live": False,
    }
    assert served.get("/api/v1/sources", If_None_Match=answer.headers["ETag"]).status_code == 304
    recordings.status(source(writer=writer), age_s=6)
    by_id = {item["id"]: item for item in served.get("/api/v1/sources").json()["items"]}
    assert (by_id["shed/mic"]["state"], by_id["shed/mic"]["live"], by_id["shed/mic"]["name"]) == (None, False, "Mic")
    (recordings.folder / "status.json").write_text('{"ts": 1, "sources": 7}')
    assert [item["id"] for item in served.get("/api/v1/sources").json()["items"]] == ["shed/gone", "shed/mic"]


def test_without_folder_or_index_it_is_said(tmp_path: Path, served: Served, recordings: Recordings) -> None:
    recordings.finished(1)
    wait_for(served, 1)
    recordings.folder.rename(tmp_path / "elsewhere")
    for path in ("/api/v1/segments", "/api/v1/sources", "/api/v1/segments/x", "/api/v1/segments/x/audio"):
        answer = served.get(path)
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert str(tmp_path) not in answer.text


def test_the_recordings_folder_is_never_written(tmp_path: Path, recordings: Recordings) -> None:
    recordings.finished(1)
    before = sorted((path, path.lstat().st_mtime_ns) for path in recordings.folder.rglob("*"))
    with serving(tmp_path) as served:
        wait_for(served, 1)
    _reindex(tmp_path)
    assert sorted((path, path.lstat().st_mtime_ns) for path in recordings.folder.rglob("*")) == before
    assert (tmp_path / ".rec-archive" / "index.sqlite").exists()


def _reindex(folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-W", "error", "-m", "archive_api", "reindex", "--config", str(write_config(folder, 8080))]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def test_reindex_while_the_server_runs(tmp_path: Path, served: Served, recordings: Recordings) -> None:
    for number in range(20):
        recordings.finished(0.1, start=START + number * MINUTES_15)
    before = wait_for(served, 20)
    done = _reindex(tmp_path)
    assert (done.returncode, done.stdout) == (0, "20 recordings are in the index.\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "0 %: 1 of 20 files"
    assert lines[-1] == "100 %: 20 of 20 files"
    assert len(lines) == 11
    assert items(served) == before
    recordings.finished(0.1, source="late")
    assert len(wait_for(served, 21)) == 21
    recordings.folder.rename(tmp_path / "elsewhere")
    failed = _reindex(tmp_path)
    assert failed.returncode == 1
    assert "No such file or directory" in failed.stderr
    assert "Traceback" not in failed.stderr
    (tmp_path / "elsewhere").rename(recordings.folder)


def test_the_bar_on_a_terminal(tmp_path: Path, recordings: Recordings) -> None:
    for number in range(4):
        recordings.finished(0.1, start=START + number * MINUTES_15)
    main, other = os.openpty()
    argv = [sys.executable, "-m", "archive_api", "reindex", "--config", str(write_config(tmp_path, 8080))]
    subprocess.run(argv, stderr=other, stdout=subprocess.DEVNULL, timeout=60, cwd=ROOT, check=True)
    os.close(other)
    shown = b""
    while not shown.endswith(b"\n"):
        shown += os.read(main, 4096)
    os.close(main)
    bars = shown.decode().strip().split("\r")
    assert bars[0].startswith("[#######                       ]  25 %  1 of 4 files")
    assert bars[-1].startswith(f"[{'#' * 30}] 100 %  4 of 4 files")


def test_a_state_folder_in_the_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    file = write_config(tmp_path, 8080)
    file.write_text(file.read_text().replace("{port: 8080", "{state_directory: rec/index, port: 8080"))
    argv = [sys.executable, "-m", "archive_api", "serve", "--config", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "archive.state_directory: 'rec/index' lies in the recordings folder" in done.stderr
    file.write_text(file.read_text().replace("rec/index", "config.yaml/x"))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr
