"""`GET /api/v1/segments/{id}`: everything that is known of one recording."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.answers.problem import not_found
from archive_api.archive import archive_of
from archive_api.index.current import detail
from archive_api.query import check
from archive_api.routes.answers import json_answer


def segment(request: Request) -> Response:
    """The sidecar as it is, with state and links; a recording without one has the same fields, most of them null."""
    check(request.query_params.multi_items())
    archive = archive_of(request)
    with archive.looking() as (reader, current):
        row = reader.by_id(request.path_params["id"])
        look = None if row is None else current.look(row)
    if look is None:
        raise not_found()
    return json_answer(request, detail(*look, archive.box))


ROUTE = Route("/api/v1/segments/{id}", segment, methods=["GET"])
