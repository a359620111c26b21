"""`GET /api/v1/days`: how much of every local day was recorded and how much is missing."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent import clock
from agent.archive_format.coverage import day_of
from archive_api.archive import archive_of
from archive_api.index import ask
from archive_api.index.coverage import days as days_of_source
from archive_api.index.pages import AmbiguousSourceError, meant
from archive_api.index.sources import asked
from archive_api.query import check, wrong
from archive_api.routes.answers import json_answer

_DAY_MS = 86_400_000
_USUAL_DAYS, _MOST_DAYS = 31, 366
_EARLIEST_MS, _LATEST_MS = _DAY_MS, 16_725_225_600_000


def days(request: Request) -> Response:
    """Whole local days from the one that holds `from` to the one before or at `to`, the newest first."""
    names, rest = ask.sources(request.query_params.multi_items())
    given = check(rest, "source", "from", "to")
    from_ms, to_ms = ask.span_ms(given)
    archive = archive_of(request)
    now_ms = clock.now().wall_ns // 1_000_000
    end_ms = now_ms if to_ms is None else to_ms
    begin_ms = end_ms - (_USUAL_DAYS - 1) * _DAY_MS if from_ms is None else from_ms
    if not _EARLIEST_MS <= begin_ms <= end_ms <= _LATEST_MS:
        raise wrong("from", "from and to are to lie between 1970-01-02 and 2500, from before to.")
    if end_ms - begin_ms > _MOST_DAYS * _DAY_MS:
        raise wrong("from", f"from and to are to be at most {_MOST_DAYS} days apart.")
    span = day_of(begin_ms, archive.box.zone).start_ms, day_of(max(begin_ms, end_ms - 1), archive.box.zone).end_ms
    with archive.looking() as (reader, current):
        try:
            there = reader.source_ids()
            wanted = meant(there, names) if names else there
        except AmbiguousSourceError as error:
            raise wrong("source", f"{error}; write <agent>/<source>.") from error
        known = asked(reader, current)
        items = [day for key in wanted if key in known for day in days_of_source(known[key], span)]
    return json_answer(request, {"items": sorted(items, key=lambda day: str(day["day"]), reverse=True)})


ROUTE = Route("/api/v1/days", days, methods=["GET"])
