"""`/api/v1/events` over the real server, with a status.json that changes as the agent's does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.archive.sse import EventStream, Heard
from tests.archive.support import START, Recordings, Served, close, source
from tests.parts.waiting import wait_until

LEVEL = {"rms_dbfs": -41.2, "peak_dbfs": -22.9}
GAP = {"id": "01920000-0000-7000-8000-000000000001", "start": "2026-11-22T13:00:00.000Z", "cause": "device_lost"}


def stream(served: Served, last_id: str | None = None) -> EventStream:
    return EventStream(served.port, last_id)


def change(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda data: bool(data["change"] == kind)


def test_a_stream_begins_with_everything(served: Served, recordings: Recordings) -> None:
    recordings.status(source(level=LEVEL, sound=True))
    with stream(served) as listener:
        assert listener.status == 200
        assert listener.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert listener.headers["cache-control"] == "no-store"
        assert listener.headers["x-accel-buffering"] == "no"
        first = listener.wait("snapshot")
        assert listener.events[0] is first
        now = served.get("/api/v1/status").json()
        assert {**first.data, "age_s": None} == {**now, "age_s": None}
        assert first.data["running"] is True
        assert 0 <= first.data["age_s"] <= now["age_s"]
        assert first.data["sources"][0]["level"] == LEVEL


def test_without_an_agent_there_is_a_stream_too(served: Served, recordings: Recordings) -> None:
    with stream(served) as listener:
        assert listener.wait("snapshot").data == {"running": False, "age_s": None}
        recordings.status(source(level=LEVEL))
        assert listener.wait("agent").data["running"] is True
        assert [one["id"] for one in listener.wait("snapshot", lambda data: data["running"]).data["sources"]] == ["mic"]
        (recordings.folder / "status.json").unlink()
        listener.wait("agent", lambda data: not data["running"])


def test_an_agent_that_falls_silent_is_told(served: Served, recordings: Recordings) -> None:
    recordings.status(source(), age_s=4)
    with stream(served) as listener:
        assert listener.wait("snapshot").data["running"] is True
        assert listener.wait("agent").data["running"] is False


def test_changes_are_told_one_by_one(served: Served, recordings: Recordings) -> None:
    recordings.status(source(sound=False))
    with stream(served) as listener:
        listener.wait("snapshot")
        recordings.status(source(sound=True, level=LEVEL))
        assert listener.wait("loud").data | {"ts": ""} == {"source": "mic", "loud": True, "ts": ""}
        assert listener.wait("source").data["sound"] is True
        assert "level" not in listener.wait("source").data
        level = listener.wait("level").data
        assert level | {"ts": ""} == {"source": "mic", **LEVEL, "sound": True, "ts": ""}
        recordings.status(source(state="reconnecting", sound=None, gap=GAP))
        listener.wait("loud", lambda data: not data["loud"])
        begun = listener.wait("gap").data
        assert begun | {"ts": ""} == {"source": "mic", "at": "begin", **GAP, "ts": ""}
        assert listener.wait("source", lambda data: data["gap"] == GAP).data["state"] == "reconnecting"
        recordings.status(source())
        listener.wait("gap", lambda data: data["at"] == "end" and data["id"] == GAP["id"])
        listener.wait("source", lambda data: data["gap"] is None)
    ids = [event.id for event in listener.events]
    assert len(ids) == len(set(ids))


def test_recordings_that_begin_end_and_go_are_told(served: Served, recordings: Recordings) -> None:
    wait_until(lambda: served.get("/api/v1/segments").ok, 10, "the index")
    with stream(served) as listener:
        listener.wait("snapshot")
        writer = recordings.opened(5)
        begun = listener.wait("segment", change("opened")).data["segment"]
        assert begun["state"] == "open"
        done = close(writer, START + timedelta(seconds=5))
        assert done is not None
        ended = listener.wait("segment", change("closed")).data["segment"]
        assert (ended["file"], ended["state"], ended["duration_s"]) == (done.segment.file, "done", 5.0)
        assert ended["id"] == begun["id"] == done.segment.id
        assert served.get("/api/v1/segments").json()["items"] == [ended]
        (recordings.folder / done.segment.file).unlink()
        assert listener.wait("segment", change("deleted")).data["segment"]["id"] == done.segment.id


def test_levels_come_twice_a_second_at_most(served: Served, recordings: Recordings) -> None:
    recordings.status(source("mic", level=LEVEL), source("radio", level=LEVEL))
    with stream(served) as listener:
        listener.wait("snapshot")
        deadline = time.monotonic() + 3

        def enough() -> bool:
            recordings.status(source("mic", level=LEVEL), source("radio", level=LEVEL))
            return time.monotonic() > deadline

        wait_until(enough, 10, "three seconds", poll_s=0.05)
        for name in ("mic", "radio"):
            times = [event.at_s for event in listener.of("level") if event.data["source"] == name]
            assert 3 <= len(times) <= 7
        listener.wait("level", lambda data: data["ts"] == served.get("/api/v1/status").json()["ts"])


def test_what_was_missed_is_told_again(served: Served, recordings: Recordings) -> None:
    recordings.status(source(sound=False, level=LEVEL))
    with stream(served) as listener:
        before = listener.wait("snapshot").id
        recordings.status(source(sound=True, level=LEVEL))
        listener.wait("level")
        listener.wait("source")
    recordings.status(source(sound=False, level=LEVEL))

    def told_again() -> list[Heard]:
        with stream(served, before) as again:
            last = again.wait("snapshot")
            missed = again.events[: again.events.index(last) + 1]
            return missed if len(missed) == 5 else []

    missed = wait_until(told_again, 5, "everything that was missed")
    *told, _ = [(event.type, event.data.get("loud")) for event in missed]
    assert told == [("loud", True), ("source", None), ("loud", False), ("source", None)]
    assert missed[0] == replace(listener.of("loud")[0], at_s=missed[0].at_s)
    with stream(served, missed[-1].id) as third:
        third.wait("snapshot")
        assert third.events[0].type == "snapshot"


def test_who_comes_back_after_a_restart_is_told_to_reload(served: Served, recordings: Recordings) -> None:
    recordings.status(source())
    with stream(served) as listener:
        known = listener.wait("snapshot").id
        served.part.restart()
        assert listener.ended.wait(5)
    for last_id in (known, "nonsense", "0-0", known + "9" * 30, "-", "x" * 3000):
        with stream(served, last_id) as again:
            assert again.wait("reset").data == {"reason": "restarted"}
            again.wait("snapshot")
            assert [event.type for event in again.events[:2]] == ["reset", "snapshot"]


def test_a_quiet_stream_is_kept_alive(served: Served) -> None:
    with stream(served) as listener:
        wait_until(lambda: listener.comments, 20, "a ping")
        assert listener.comments == ["ping"]


def test_open_streams_do_not_hold_up_the_end(served: Served, recordings: Recordings) -> None:
    recordings.status(source())
    listeners = [stream(served) for _ in range(5)]
    for listener in listeners:
        listener.wait("snapshot")
    began = time.monotonic()
    served.part.stop()
    assert time.monotonic() - began < 2
    for listener in listeners:
        assert listener.ended.wait(5)
        listener.close()


def test_streams_are_counted(served: Served, recordings: Recordings) -> None:
    recordings.status(source())
    listeners = [stream(served) for _ in range(32)]
    for listener in listeners:
        listener.wait("snapshot")
    refused = served.get("/api/v1/events")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert refused.headers["Content-Type"] == "application/problem+json"
    listeners.pop().close()

    def place() -> EventStream | None:
        tried = stream(served)
        if tried.status == 200:
            return tried
        tried.close()
        return None

    freed = wait_until(place, 5, "the place of who has left")
    assert freed is not None
    freed.wait("snapshot")
    for listener in (*listeners, freed):
        listener.close()


def test_one_who_takes_nothing_is_dropped(served: Served, recordings: Recordings) -> None:
    recordings.status(source())
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", served.port))
        lazy.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with stream(served) as listener:
            listener.wait("snapshot")
            numbers = iter(range(10_000))

            def dropped() -> bool:
                recordings.status(source(title=f"{next(numbers)} " + "x" * 200_000))
                return "fell behind" in served.part.log_text()

            wait_until(dropped, 60, "the client that takes nothing to be dropped", poll_s=0.3)
            last = next(numbers)
            recordings.status(source(title=f"{last}"))
            listener.wait("source", lambda data: data["title"] == f"{last}")
    assert served.part.log_text().count("fell behind") == 1


@pytest.mark.parametrize("path", ["/api/v1/events?x=1", "/api/v1/events/"])
def test_wrong_addresses_are_problems(shared: Served, path: str) -> None:
    assert shared.get(path).headers["Content-Type"] == "application/problem+json"


def test_head_does_not_stream(shared: Served) -> None:
    answer = shared.get("/api/v1/events", "HEAD")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
