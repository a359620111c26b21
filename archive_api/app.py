"""Puts the web application together."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from agent import clock
from agent.config import ArchiveSettings
from archive_api.access import BasicAuth, OriginCheck
from archive_api.answers.problem import Problem, answer_problem, problem_response
from archive_api.archive import Archive
from archive_api.hosts import own_names
from archive_api.middleware import HostCheck, SecurityFields
from archive_api.routes import ROUTES


def build(archive: Archive, settings: ArchiveSettings, hostname: str) -> ASGIApp:
    """The application for one archive on a machine of this name.

    A request passes the checks from the outside in: Host, Origin, password.
    """
    app = Starlette(
        routes=ROUTES,
        exception_handlers={Problem: answer_problem, HTTPException: _answer_routing, Exception: _answer_fault},
    )
    app.router.redirect_slashes = False
    app.state.archive = archive
    names = own_names(hostname) | set(settings.allowed_hosts)
    return SecurityFields(HostCheck(OriginCheck(_guarded(app, settings)), names))


def _guarded(app: ASGIApp, settings: ArchiveSettings) -> ASGIApp:
    """The application behind the password that the settings ask for, if they do."""
    if settings.auth == "none":
        return app
    assert settings.username is not None, "the configuration was checked"
    assert settings.password is not None, "the configuration was checked"
    return BasicAuth(app, settings.username, settings.password.reveal(), clock.monotonic_s)


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
