"""`GET /api/status`: the files being written, as the ancestor told them."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from archive_api.archive import archive_of
from archive_api.query import check


def status(request: Request) -> JSONResponse:
    """Empty when the agent does not run."""
    check(request.query_params.multi_items())
    return JSONResponse({"active": archive_of(request).live().active}, headers={"cache-control": "no-store"})


ROUTE = Route("/api/status", status, methods=["GET"])
