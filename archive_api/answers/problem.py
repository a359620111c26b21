"""Errors as problem details (RFC 9457). They name no path of the machine and carry no trace."""

import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A request that cannot be answered as asked. `extra` are further members of the object."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra or {}


def not_found() -> Problem:
    """One answer for everything that is not there, must not be seen or cannot be named: it says nothing of which."""
    return Problem(404, "There is no recording of this name.")


def problem_response(scope: Scope, problem: Problem) -> Response:
    """The answer to the request of `scope`."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": scope.get("raw_path", b"").decode("ascii", "replace")[:2000],
        **problem.extra,
    }
    headers = {"cache-control": "no-store", **problem.headers}
    return Response(json.dumps(body).encode(), problem.status, headers, MEDIA_TYPE)


async def answer_problem(request: Request, problem: Exception) -> Response:
    """Starlette's handler for a Problem that was raised."""
    assert isinstance(problem, Problem)
    return problem_response(request.scope, problem)
