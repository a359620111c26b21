"""`GET /api/v1/status`: the agent's status.json as it is, and whether the agent runs."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.query import check


def status_v1(request: Request) -> JSONResponse:
    """`age_s` is counted on the box, because the clock of who looks may be another; null without a status."""
    check(request.query_params.multi_items())
    live = archive_of(request).live()
    body = {**live.status, "running": live.running, "age_s": live.age_s}
    return JSONResponse(body, headers={"cache-control": "no-store"})


ROUTE = Route("/api/v1/status", status_v1, methods=["GET"])
