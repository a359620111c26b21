"""`GET /`: the page."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.routes.static import static_response


async def page(request: Request) -> Response:
    """index.html; everything else it fetches itself, by relative addresses, so it works below a path prefix too."""
    return static_response(request, "index.html")


ROUTE = Route("/", page, methods=["GET"])
