"""`GET /api/v1/events`: what happens, as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from archive_api.answers.send import gone, sent
from archive_api.archive import archive_of
from archive_api.events.hub import Listener
from archive_api.query import check

PING_S = 15.0
_RETRY = b"retry: 3000\n\n"
"""After so many milliseconds a client that lost its stream is to come back."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventsEndpoint:
    """An ASGI endpoint: a response of Starlette's would not end with the server, nor while a client takes nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the client leaves or falls behind, or the server stops."""
        request = Request(scope)
        check(request.query_params.multi_items())
        head: Message = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
        if scope["method"] == "HEAD":
            await send(head)
            await send({"type": "http.response.body", "body": b""})
            return
        archive = archive_of(request)
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(archive.events.listening(request.headers.get("last-event-id")))
            await send(head)
            ends = {asyncio.create_task(end) for end in (gone(receive), archive.stopping.wait(), listener.over.wait())}
            for end in ends:
                stack.callback(end.cancel)
            await _stream(listener, send, ends)


async def _stream(listener: Listener, send: Send, ends: set[asyncio.Task[bool]]) -> None:
    body = _RETRY
    while await sent({"type": "http.response.body", "body": body, "more_body": True}, send, ends):
        waking = asyncio.create_task(listener.wake.wait())
        try:
            await asyncio.wait({waking, *ends}, timeout=PING_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        body = listener.take() or b": ping\n\n"


ROUTE = Route("/api/v1/events", EventsEndpoint(), methods=["GET", "HEAD"])
