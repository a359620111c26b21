"""The ring of events, and what is new in a status, without a server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.archive_format.times import rfc3339
from archive_api.events.changes import Changes
from archive_api.events.ring import Event, Reset, Ring
from archive_api.recordings.live import Live, parse_live

START = datetime(2026, 11, 22, 13, tzinfo=UTC)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def status(second: int, *sources: dict[str, Any], free: int = 10**9, run: str = "r1", age_s: float = 0) -> Live:
    written = START + timedelta(seconds=second)
    body = {"ts": rfc3339(written), "run": run, "disk": {"free_bytes": free, "hours_left": None}}
    return parse_live(json.dumps({**body, "sources": sources}).encode(), written + timedelta(seconds=age_s))


def mic(**more: object) -> dict[str, Any]:
    return {"id": "mic", "state": "recording", "sound": False, "gap": None, "level": None, **more}


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 70), st.integers(1, 20))
def test_the_ring_tells_all_that_was_kept_or_says_that_it_cannot(kept: list[bool], last: int, most: int) -> None:
    ring = Ring("abcd", most)
    wires = [ring.add(Event("x", {"n": number}, is_kept)) for number, is_kept in enumerate(kept, start=1)]
    missed = [wires[number] for number in range(len(kept)) if kept[number] and number >= last]
    found = ring.since(f"abcd-{last}")
    if last > len(kept):
        assert found is Reset.RESTARTED
    elif len(missed) > most:
        assert found is Reset.EXPIRED
    else:
        assert found == missed
    assert ring.since(f"abce-{last}") is Reset.RESTARTED


@given(st.text(max_size=20))
def test_an_event_is_one_event_whatever_it_says(text: str) -> None:
    wire = Ring("abcd").add(Event("x", {"text": text}))
    assert wire.endswith(b"\n\n")
    lines = wire[:-2].split(b"\n")
    assert [line.partition(b":")[0] for line in lines] == [b"event", b"id", b"data"]
    assert b"\r" not in wire


@given(st.lists(st.tuples(JUNK, JUNK), max_size=4))
def test_a_status_of_whatever_kind_breaks_nothing(bodies: list[tuple[Any, Any]]) -> None:
    changes = Changes()
    for second, (junk, other) in enumerate(bodies):
        body = {"ts": rfc3339(START), "disk": junk, "sources": [junk, {"id": "mic", "gap": junk, "level": other}]}
        body |= {"open_segment": other}
        changes.look(parse_live(json.dumps(body).encode(), START), float(second))
        changes.look(parse_live(json.dumps({**body, "sources": junk}).encode(), START), second + 0.5)


def test_growing_counters_are_told_every_ten_seconds_and_not_again() -> None:
    changes, told = Changes(), []
    for second in range(25):
        opened = {"file": "a.flac.part", "samples_safe": second, "bytes_safe": second}
        live = status(second, mic(recorded_today_s=second, open_segment=opened))
        told += [(second, event.type, event.kept) for event in changes.look(live, float(second))]
    assert told == [(10, "source", False), (20, "source", False)]


def test_free_space_is_told_when_it_jumps_and_now_and_then() -> None:
    changes, told = Changes(), []
    for second in range(70):
        free = 10**9 - second - (10**8 if second >= 40 else 0)
        told += [(second, event.kept) for event in changes.look(status(second, free=free), float(second))]
    assert told == [(30, False), (40, True)]


def test_an_agent_that_ended_is_told_once_and_comes_back() -> None:
    changes = Changes()
    assert changes.look(status(0, mic()), 0.0) == []
    assert kinds(changes.look(status(0, mic(), age_s=6), 6.0)) == ["agent"]
    assert changes.look(status(0, mic(), age_s=7), 7.0) == []
    assert changes.look(Live({}, None), 8.0) == []
    assert kinds(changes.look(status(9, mic(sound=True), run="r2"), 9.0)) == ["agent", "loud", "source"]


def test_a_gap_after_a_gap_is_two() -> None:
    changes = Changes()
    changes.look(status(0, mic(gap={"id": "a", "start": "s", "cause": "stall"})), 0.0)
    events = changes.look(status(1, mic(gap={"id": "b", "start": "t", "cause": "refused"})), 1.0)
    gaps = [(event.data["at"], event.data["id"]) for event in events if event.type == "gap"]
    assert gaps == [("end", "a"), ("begin", "b")]


def test_levels_end_with_one_that_says_so() -> None:
    changes, told = Changes(), []
    level = {"rms_dbfs": -20.0, "peak_dbfs": -10.0}
    for second, now in enumerate([level, level, None, None, None]):
        events = changes.look(status(second, mic(level=now)), float(second))
        told.append([event.data["rms_dbfs"] for event in events if event.type == "level"])
    assert told == [[], [-20.0], [None], [], []]
