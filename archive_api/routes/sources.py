"""`GET /api/v1/sources`: what records, what has recorded, and how much there is of it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.index.sources import sources as all_sources
from archive_api.query import check
from archive_api.routes.answers import json_answer


def sources(request: Request) -> Response:
    """Those that the agent tells of come first, in its order."""
    check(request.query_params.multi_items())
    with archive_of(request).looking() as (reader, current):
        items = all_sources(reader, current)
    return json_answer(request, {"items": items})


ROUTE = Route("/api/v1/sources", sources, methods=["GET"])
