"""`GET /healthz`: whether the archive can do its work. It does not need the agent for that."""

import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from archive_api.answers.problem import Problem, problem_response
from archive_api.archive import FOLDER_HINT, FOLDER_UNREADABLE, archive_of
from archive_api.query import check
from archive_api.recordings.opening import open_folder


def healthz(request: Request) -> Response:
    """200 when the recordings folder can be read; otherwise 503 with the reason."""
    check(request.query_params.multi_items())
    archive = archive_of(request)
    try:
        with open_folder(archive.recordings) as folder, os.scandir(folder) as entries:
            next(entries, None)
    except OSError:
        extra = {"ok": False, "reason": FOLDER_UNREADABLE, "hint": FOLDER_HINT, "agent": "not running"}
        return problem_response(request.scope, Problem(503, FOLDER_UNREADABLE, extra=extra))
    agent = "running" if archive.live().running else "not running"
    return JSONResponse({"ok": True, "agent": agent}, headers={"cache-control": "no-store"})


ROUTE = Route("/healthz", healthz, methods=["GET"])
