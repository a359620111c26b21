"""Sends planned pieces of a file: the bytes that were promised, or an answer that visibly breaks off."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Send

from archive_api.answers.plan import Plan
from archive_api.answers.ranges import Span
from archive_api.recordings.content import Content, ShrunkError

CHUNK_BYTES = 1 << 20
AT_ONCE_BYTES = 256 << 10
"""Bodies up to this size are read together with opening the file, in one visit to a thread."""

_log = logging.getLogger(__name__)


def chunks(plan: Plan, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes | Span]:
    """The pieces of a plan, cut so that none is longer than `chunk_bytes`."""
    for piece in plan.pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        for start in range(piece.start, piece.stop, chunk_bytes):
            yield Span(start, min(start + chunk_bytes, piece.stop))


def read_all(plan: Plan, content: Content) -> bytes:
    """The whole body; ShrunkError where the file has become shorter than it was when opened."""
    return b"".join(_bytes_of(piece, content) for piece in plan.pieces)


def _bytes_of(piece: bytes | Span, content: Content) -> bytes:
    return piece if isinstance(piece, bytes) else content.read(piece.start, piece.length)


async def send_head(plan: Plan, send: Send) -> None:
    """Status and header."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in plan.headers]
    await send({"type": "http.response.start", "status": plan.status, "headers": headers})


async def send_pieces(plan: Plan, content: Content, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
    """The body, chunk by chunk; reading happens in a thread.

    Ends early, and without the end of the body, so that the server cuts the connection: when the client has left, when
    `stopping` is set, when the file has become shorter.
    """
    watchers = {asyncio.create_task(gone(receive)), asyncio.create_task(stopping.wait())}
    try:
        for piece in chunks(plan):
            body = await run_in_threadpool(_bytes_of, piece, content)
            message = {"type": "http.response.body", "body": body, "more_body": True}
            if not await sent(message, send, watchers):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    except (ShrunkError, OSError) as error:
        _log.warning("an answer broke off: %s", error if isinstance(error, ShrunkError) else error.strerror)
    finally:
        for watcher in watchers:
            watcher.cancel()


async def sent(message: Message, send: Send, watchers: set[asyncio.Task[bool]]) -> bool:
    """Whether the message went out before one of the watchers ended."""
    if any(watcher.done() for watcher in watchers):
        return False
    sending: asyncio.Future[None] = asyncio.ensure_future(send(message))
    waited: set[asyncio.Future[Any]] = {sending, *watchers}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if not sending.done():
        sending.cancel()
        return False
    sending.result()
    return True


async def gone(receive: Receive) -> bool:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        continue
    return True
