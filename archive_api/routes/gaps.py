"""`GET /api/v1/gaps`: stretches without audio by time, source and cause, page by page."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.index.filters import cursor, position_of
from archive_api.index.gaps import read
from archive_api.index.pages import AmbiguousSourceError, meant
from archive_api.index.walk import Position
from archive_api.query import wrong
from archive_api.routes.answers import page_answer


def gaps(request: Request) -> Response:
    """One page; `next` and the Link field lead to the one after it."""
    filters, limit, text = read(request.query_params.multi_items())
    try:
        after = None if text is None else position_of(filters, text)
    except ValueError as error:
        raise wrong("cursor", f"The cursor {error}.") from error
    with archive_of(request).looking() as (reader, _):
        try:
            sources = meant(reader.source_ids(), filters.sources) if filters.sources else None
        except AmbiguousSourceError as error:
            raise wrong("source", f"{error}; write <agent>/<source>.") from error
        rows = reader.gaps(filters, sources, after, limit + 1)
    end = Position(rows[limit - 1].start_ms, rows[limit - 1].id) if len(rows) > limit else None
    following = None if end is None else cursor(filters, end)
    return page_answer(request, [row.as_json() for row in rows[:limit]], following)


ROUTE = Route("/api/v1/gaps", gaps, methods=["GET"])
