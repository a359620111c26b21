"""Puts the web application together."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from archive_api.answers.problem import Problem, answer_problem, problem_response
from archive_api.archive import Archive
from archive_api.hosts import own_names
from archive_api.middleware import HostCheck, SecurityFields
from archive_api.routes import ROUTES


def build(archive: Archive, hostname: str) -> ASGIApp:
    """The application for one archive on a machine of this name."""
    app = Starlette(
        routes=ROUTES,
        exception_handlers={Problem: answer_problem, HTTPException: _answer_routing, Exception: _answer_fault},
    )
    app.router.redirect_slashes = False
    app.state.archive = archive
    return SecurityFields(HostCheck(app, own_names(hostname)))


async def _answer_routing(request: Request, error: Exception) -> Response:
    """An address that does not exist, or not for this method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = "There is nothing at this address."
    if error.status_code == 405:
        allowed = ", ".join(sorted(headers["Allow"].split(", ")))
        headers["Allow"] = allowed
        detail = f"This address answers to {allowed} only."
    return problem_response(request.scope, Problem(error.status_code, detail, headers=headers))


async def _answer_fault(request: Request, _error: Exception) -> Response:
    """A fault of ours; what it is stands in the log."""
    return problem_response(request.scope, Problem(500, "The archive has a fault; its log says more."))
