"""`GET /api/v1/segments`: recordings by time, source, state, loudness and title, page by page."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.index.ask import read
from archive_api.index.filters import cursor, position_of
from archive_api.index.pages import AmbiguousSourceError, page
from archive_api.query import wrong
from archive_api.routes.answers import page_answer


def segments(request: Request) -> Response:
    """One page; `next` and the Link field lead to the one after it."""
    filters, limit, text = read(request.query_params.multi_items())
    try:
        after = None if text is None else position_of(filters, text)
    except ValueError as error:
        raise wrong("cursor", f"The cursor {error}.") from error
    with archive_of(request).looking() as (reader, current):
        try:
            found = page(reader, current, filters, after, limit)
        except AmbiguousSourceError as error:
            raise wrong("source", f"{error}; write <agent>/<source>.") from error
    following = None if found.end is None else cursor(filters, found.end)
    return page_answer(request, [row.as_json() for row in found.rows], following)


ROUTE = Route("/api/v1/segments", segments, methods=["GET"])
