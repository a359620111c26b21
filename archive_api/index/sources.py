"""Sources: those that the agent tells of, and those of which there are only recordings."""

from typing import Any, TypeAlias

from agent.archive_format.times import rfc3339
from archive_api.index.coverage import Asked, today
from archive_api.index.current import Current
from archive_api.index.reader import Reader, Total
from archive_api.index.row import Row
from archive_api.index.times import at_ms
from archive_api.index.walk import SourceId

Json = dict[str, Any]
Grown: TypeAlias = dict[tuple[str | None, str | None], list[Row]]


def sources(reader: Reader, current: Current) -> list[Json]:
    """Every source with what it does and what there is of it. Raises OSError where the disk is in trouble."""
    totals = {(total.agent, total.source): total for total in reader.totals()}
    grown = _grown(reader, current)
    return [
        _source(one, totals.get(key), grown.get(key), current)
        for key, one in asked(reader, current, grown).items()
        if one.told is not None or key in totals
    ]


def asked(reader: Reader, current: Current, grown: Grown | None = None) -> dict[SourceId, Asked]:
    """Every source, to ask how complete it is. Raises OSError where the disk is in trouble."""
    told = _told(current)
    grown = _grown(reader, current) if grown is None else grown
    return {
        key: Asked(reader, current, key, [(row.start_ms, row.end_ms) for row in grown.get(key, ())], told.get(key))
        for key in dict.fromkeys([*told, *reader.source_ids()])
    }


def _told(current: Current) -> dict[SourceId, Json]:
    """What the agent last said of each source."""
    status = current.live.status
    agent = status.get("agent")
    found: dict[SourceId, Json] = {}
    for source in status.get("sources") or [] if isinstance(status.get("sources"), list) else []:
        if isinstance(agent, str) and isinstance(source, dict) and isinstance(source.get("id"), str):
            found[agent, source["id"]] = source
    return found


def _grown(reader: Reader, current: Current) -> Grown:
    """What is open of each source, as it is now: the totals know nothing of its length."""
    found: Grown = {}
    for row in reader.open_ones():
        look = current.look(row)
        if look is not None:
            found.setdefault((row.agent, row.source), []).append(look[0])
    return found


def _source(asked: Asked, total: Total | None, grown: list[Row] | None, current: Current) -> Json:
    (agent, source), told = asked.key, asked.told
    is_live = told is not None and current.live.running
    says = told or {}
    ends = [row.end_ms for row in (*(grown or ()), *((total.last,) if total else ()))]
    tz = current.live.status.get("tz") if told is not None else None
    return {
        "id": f"{agent}/{source}",
        "agent": agent,
        "source": source,
        "name": says.get("name") or source,
        "type": says.get("type"),
        "state": says.get("state") if is_live else None,
        "desired": says.get("desired") if is_live else None,
        "format": says.get("format") if is_live else None,
        "tz": tz or (total.last.tz if total else current.box.zone.key),
        "first": rfc3339(at_ms(total.first.start_ms)) if total else None,
        "last": rfc3339(at_ms(max(ends))) if ends else None,
        "segments": total.segments if total else 0,
        "bytes": (total.bytes if total else 0) + sum(row.bytes for row in grown or ()),
        "gap": says.get("gap") if is_live else _lasting(asked),
        "today": today(asked),
        "live": is_live,
    }


def _lasting(asked: Asked) -> Json | None:
    gap = asked.lasting
    return None if gap is None else {"id": gap.id, "start": rfc3339(at_ms(gap.start_ms)), "cause": gap.cause}
