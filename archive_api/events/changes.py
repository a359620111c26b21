"""What is new in one look at status.json, compared with the look before. Pure: the time is handed in."""

from dataclasses import dataclass
from typing import Any

from archive_api.events.ring import Event, Json
from archive_api.recordings.live import Live

LEVEL_EVERY_S = 0.5
REFRESH_EVERY_S = 10.0
STORAGE_EVERY_S = 30.0
_NOTICEABLE = 0.01
_COUNTERS = ("recorded_today_s", "missing_today_s", "completeness_pct", "missing_total_s")
_COUNTERS_OF_SEGMENT = ("samples_safe", "bytes_safe")


@dataclass(slots=True)
class _Source:
    """What has been told of one source, and when (monotonic seconds)."""

    state: Json
    told_at_s: float
    level_ts: str
    level_at_s: float
    has_level: bool


@dataclass(slots=True)
class _Told:
    """What has been told at all."""

    agent: Json
    storage: Json
    storage_at_s: float
    sources: dict[str, _Source]


class Changes:
    """The first look tells nothing: who listens gets a snapshot first."""

    def __init__(self) -> None:
        self._told: _Told | None = None

    def look(self, live: Live, now_s: float) -> list[Event]:
        """What there is to tell at this moment; `now_s` is monotonic."""
        sources = sources_of(live)
        if self._told is None:
            first = {key: _first(source, live, now_s) for key, source in sources.items()}
            self._told = _Told(_agent(live), _storage(live), now_s, first)
            return []
        told = self._told
        events = self._agent_events(told, live)
        if not live.running:
            return events  # its last word is old, and has been told
        events += self._storage_events(told, live, now_s)
        if list(told.sources) != list(sources):
            events.append(Event("snapshot", live.as_json()))
            told.sources = {key: told.sources.get(key) or _first(sources[key], live, now_s) for key in sources}
        for key, source in sources.items():
            events += _source_events(told.sources[key], source, live, now_s)
        return events

    def _agent_events(self, told: _Told, live: Live) -> list[Event]:
        agent = _agent(live)
        if live.status == {}:
            agent = {**told.agent, "running": False}
        before, told.agent = told.agent, agent
        is_news = (before["running"], before["run"]) != (agent["running"], agent["run"])
        return [Event("agent", agent)] if is_news else []

    def _storage_events(self, told: _Told, live: Live, now_s: float) -> list[Event]:
        storage = _storage(live)
        free, before = storage["free_bytes"], told.storage["free_bytes"]
        if free == before:
            return []
        numbers = isinstance(free, int) and isinstance(before, int)
        is_jump = not numbers or abs(free - before) > _NOTICEABLE * before
        if not is_jump and now_s - told.storage_at_s < STORAGE_EVERY_S:
            return []
        told.storage, told.storage_at_s = storage, now_s
        return [Event("storage", storage, kept=is_jump)]


def sources_of(live: Live) -> dict[str, Json]:
    """The sources of a status by id; what is none is passed over."""
    found = live.status.get("sources")
    listed = found if isinstance(found, list) else []
    return {source["id"]: source for source in listed if isinstance(source, dict) and isinstance(source.get("id"), str)}


def _first(source: Json, live: Live, now_s: float) -> _Source:
    return _Source(_state(source), now_s, _ts(live), now_s, _has_level(source))


def _source_events(seen: _Source, source: Json, live: Live, now_s: float) -> list[Event]:
    """Of one source, in this order: its gap, its loudness, its state, its level."""
    state, ts = _state(source), _ts(live)
    events = _gap_events(seen.state, state, ts)
    loud = state.get("sound") is True
    if loud != (seen.state.get("sound") is True):
        events.append(Event("loud", {"source": state["id"], "loud": loud, "ts": ts}))
    is_news = _steady(state) != _steady(seen.state)
    if is_news or (state != seen.state and now_s - seen.told_at_s >= REFRESH_EVERY_S):
        events.append(Event("source", {**state, "ts": ts}, kept=is_news))
        seen.state, seen.told_at_s = state, now_s
    if ts != seen.level_ts and now_s - seen.level_at_s >= LEVEL_EVERY_S:
        if seen.has_level or _has_level(source):
            events.append(Event("level", _level(source, ts), kept=False))
        seen.level_ts, seen.level_at_s, seen.has_level = ts, now_s, _has_level(source)
    return events


def _gap_events(before: Json, after: Json, ts: str) -> list[Event]:
    old, new = _dict(before.get("gap")), _dict(after.get("gap"))
    if old.get("id") == new.get("id"):
        return []
    edges = (("end", old), ("begin", new))
    return [Event("gap", {"source": after["id"], "at": at, **gap, "ts": ts}) for at, gap in edges if gap]


def _has_level(source: Json) -> bool:
    return bool(_dict(source.get("level")))


def _level(source: Json, ts: str) -> Json:
    level = _dict(source.get("level"))
    return {
        "source": source["id"],
        "rms_dbfs": level.get("rms_dbfs"),
        "peak_dbfs": level.get("peak_dbfs"),
        "sound": source.get("sound"),
        "ts": ts,
    }


def _agent(live: Live) -> Json:
    known = {key: live.status.get(key) for key in ("agent", "version", "run", "ts")}
    return {"running": live.running, **known}


def _storage(live: Live) -> Json:
    disk = _dict(live.status.get("disk"))
    return {"free_bytes": disk.get("free_bytes"), "hours_left": disk.get("hours_left"), "ts": live.status.get("ts")}


def _state(source: Json) -> Json:
    return {key: value for key, value in source.items() if key != "level"}


def _steady(state: Json) -> Json:
    """The state without what grows all the time."""
    opened = _dict(state.get("open_segment"))
    steady = {key: value for key, value in state.items() if key not in _COUNTERS}
    return {**steady, "open_segment": {key: opened[key] for key in opened if key not in _COUNTERS_OF_SEGMENT}}


def _ts(live: Live) -> str:
    return str(live.status.get("ts"))


def _dict(value: Any) -> Json:  # noqa: ANN401 - JSON of whatever kind
    return value if isinstance(value, dict) else {}
