"""Audio by its path or by its id: finished files, and snapshots of what is being recorded."""

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from agent import clock
from archive_api.answers.disposition import disposition
from archive_api.answers.plan import Plan, Representation, plan
from archive_api.answers.problem import Problem, not_found
from archive_api.answers.send import AT_ONCE_BYTES, read_all, send_head, send_pieces
from archive_api.archive import Archive, archive_of
from archive_api.index.current import path_of
from archive_api.index.row import State
from archive_api.query import check, whole
from archive_api.recordings.audio import Pinned, open_audio
from archive_api.recordings.content import Content, ShrunkError
from archive_api.recordings.paths import Parts, content_type_of, is_servable_component, parse_path
from archive_api.routes.fields import fields_of

_LEN_MAX = 10**18


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer whose body is still to be read from `content`."""

    plan: Plan
    content: Content


_Locate: TypeAlias = Callable[[Archive, Scope], Parts]


def by_path(prefix: bytes) -> _Locate:
    """The path that stands after `prefix` in the address."""

    def locate(_archive: Archive, scope: Scope) -> Parts:
        """From the path as it was sent: the decoded one cannot tell `%2F` from a separator."""
        raw: bytes = scope["raw_path"]
        parts = parse_path(raw.removeprefix(prefix)) if raw.startswith(prefix) else None
        if parts is None:
            raise not_found()
        return parts

    return locate


def by_id(archive: Archive, scope: Scope) -> Parts:
    """The path of the recording with the id in the address."""
    with archive.looking() as (reader, _current):
        row = reader.by_id(scope["path_params"]["id"])
    if row is not None and row.state == State.DELETED:
        raise Problem(410, "The audio of this recording was deleted; what is known of it is still there.")
    if row is None or not all(is_servable_component(part) for part in path_of(row)):
        raise not_found()
    return path_of(row)


class AudioEndpoint:
    """An ASGI endpoint: `kind` is `inline` or `attachment`, `locate` finds the path of the recording that is meant."""

    def __init__(self, kind: str, locate: _Locate) -> None:
        self._kind, self._locate = kind, locate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the descriptor is given back however it ends."""
        request = Request(scope)
        archive = archive_of(request)
        length = whole(check(request.query_params.multi_items(), "len"), "len", 1, _LEN_MAX)
        with ExitStack() as descriptors:
            answer = await run_in_threadpool(self._prepare, archive, scope, length, descriptors)
            if isinstance(answer, Response):
                await answer(scope, receive, send)
            else:
                await send_head(answer.plan, send)
                await send_pieces(answer.plan, answer.content, receive, send, archive.stopping)

    def _prepare(self, archive: Archive, scope: Scope, length: int | None, descriptors: ExitStack) -> Response | _Ready:
        """Everything that touches the disk, in one visit to a thread; short bodies are read here too."""
        parts = self._locate(archive, scope)
        try:
            content = open_audio(archive.recordings, archive.snapshots, parts, length)
            if isinstance(content, Pinned):
                headers = {"cache-control": "no-store"}
                return RedirectResponse(f"?len={content.length}", 307, headers)
            descriptors.callback(content.close)
            planned = self._plan(scope, content)
            if planned.length > AT_ONCE_BYTES:
                return _Ready(planned, content)
            return Response(read_all(planned, content), planned.status, dict(planned.headers))
        except (OSError, ShrunkError) as error:
            raise Problem(503, "The recording cannot be read right now.", headers={"retry-after": "1"}) from error

    def _plan(self, scope: Scope, content: Content) -> Plan:
        name = content.name
        file = Representation(
            size=content.size,
            validators=content.validators,
            content_type=content_type_of(name),
            disposition=disposition(self._kind, name.rpartition("/")[2]),
        )
        boundary = secrets.token_hex(16)
        return plan(scope["method"], fields_of(scope), file, now=clock.utc_now(), boundary=boundary)
