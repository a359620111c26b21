"""What holds for every answer: security fields, and the Host allow-list. Plain ASGI, so that bodies pass untouched."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from archive_api.answers.problem import Problem, problem_response
from archive_api.hosts import host_of, is_allowed

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_FIELDS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class SecurityFields:
    """Adds the security fields where the answer does not bring stricter ones of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the fields added to the head of the answer."""

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _FIELDS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_fields)


class HostCheck:
    """Answers only who calls us by our name or address: 400 for a malformed Host, 421 for another's."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with what is wrong."""
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(scope, problem)(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        if scope["type"] != "http":
            return None
        fields = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if not fields and scope["http_version"] == "1.0":
            return None  # no browser speaks it
        host = host_of(fields[0]) if len(fields) == 1 else None
        if host is None:
            return Problem(400, "The Host field of the request is missing or malformed.")
        if not is_allowed(host, self._names):
            return Problem(421, "This archive does not go by that name; call it by its address or its host name.")
        return None
