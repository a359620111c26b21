"""JSON answers that spare who polls: an entity tag over the body, and 304 where nothing has changed."""

import json
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from archive_api.answers.conditions import Validators, Verdict, evaluate
from archive_api.recordings.content import etag
from archive_api.routes.fields import fields_of


def page_answer(request: Request, items: list[dict[str, Any]], following: str | None) -> Response:
    """One page of a list; `next` and the Link field lead to the one after it."""
    body = {"items": items, "next": following}
    if following is None:
        return json_answer(request, body)
    rest = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
    return json_answer(request, body, link=f'<?{urlencode([*rest, ("cursor", following)])}>; rel="next"')


def json_answer(request: Request, content: object, **headers: str) -> Response:
    """200 with the body, or 304. Underscores in header names stand for hyphens."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    tag = etag(body)
    fields = {"etag": tag, "cache-control": "no-cache", **{name.replace("_", "-"): v for name, v in headers.items()}}
    if evaluate(fields_of(request.scope), Validators(tag, None)) is Verdict.NOT_MODIFIED:
        return Response(status_code=304, headers=fields)
    return Response(body, headers=fields, media_type="application/json")
