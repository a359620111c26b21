"""`GET /api/files`: all recordings, newest first, with the ancestor's fields."""

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.answers.conditions import Validators, Verdict, evaluate
from archive_api.archive import archive_of
from archive_api.query import check, whole
from archive_api.recordings.content import etag
from archive_api.routes.fields import fields_of

MOST = 10_000


def files(request: Request) -> Response:
    """At most `limit` recordings (default and most: 10 000). An entity tag spares who polls an unchanged list."""
    parameters = check(request.query_params.multi_items(), "limit")
    limit = whole(parameters, "limit", 1, MOST) or MOST
    entries = [entry.as_json() for entry in archive_of(request).newest(limit)]
    body = json.dumps(entries, ensure_ascii=False, allow_nan=False).encode()
    tag = etag(body)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if evaluate(fields_of(request.scope), Validators(tag, None)) is Verdict.NOT_MODIFIED:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


ROUTE = Route("/api/files", files, methods=["GET"])
