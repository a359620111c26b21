"""`GET /static/…`: the files of the page, read once when the program starts."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.answers.conditions import Validators, Verdict, evaluate
from archive_api.answers.problem import Problem
from archive_api.recordings.content import etag
from archive_api.routes.fields import fields_of

FOLDER = Path(__file__).parents[1] / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    media_type: str
    etag: str


def _assets() -> dict[str, _Asset]:
    files = [path for path in FOLDER.iterdir() if path.suffix in _TYPES]
    bodies = [(path, path.read_bytes()) for path in files]
    return {path.name: _Asset(body, _TYPES[path.suffix], etag(path.name, body)) for path, body in bodies}


_ASSETS = _assets()


def static_response(request: Request, name: str) -> Response:
    """One file of the page, or 304 for who has it. Raises Problem 404."""
    asset = _ASSETS.get(name)
    if asset is None:
        raise Problem(404, "The page has no file of this name.")
    headers = {"etag": asset.etag, "cache-control": "no-cache"}
    verdict = evaluate(fields_of(request.scope), Validators(asset.etag, None))
    if verdict is Verdict.FAILED:
        raise Problem(412, "The file is not in the state that the request makes its condition.")
    if verdict is Verdict.NOT_MODIFIED:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


async def static(request: Request) -> Response:
    """A file of the page."""
    return static_response(request, request.path_params["name"])


ROUTE = Route("/static/{name}", static, methods=["GET"])
