"""`GET /api/v1/status`: the agent's status.json as it is, and whether the agent runs."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.query import check


def status_v1(request: Request) -> JSONResponse:
    """The first event of `/api/v1/events` has the same body."""
    check(request.query_params.multi_items())
    return JSONResponse(archive_of(request).live().as_json(), headers={"cache-control": "no-store"})


ROUTE = Route("/api/v1/status", status_v1, methods=["GET"])
