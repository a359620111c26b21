"""`GET /api/files`: all recordings, newest first, with the ancestor's fields."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.query import check, whole
from archive_api.routes.answers import json_answer

MOST = 10_000


def files(request: Request) -> Response:
    """At most `limit` recordings (default and most: 10 000)."""
    parameters = check(request.query_params.multi_items(), "limit")
    limit = whole(parameters, "limit", 1, MOST) or MOST
    return json_answer(request, [entry.as_json() for entry in archive_of(request).newest(limit)])


ROUTE = Route("/api/files", files, methods=["GET"])
