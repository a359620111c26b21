"""The routes. Adding one is a file here and a line below."""

from starlette.routing import Route

from archive_api.routes import (
    analyze,
    days,
    download,
    events,
    files,
    gaps,
    healthz,
    page,
    segment,
    segment_audio,
    segment_download,
    segments,
    sources,
    static,
    status,
    status_v1,
    stream,
)

ROUTES: tuple[Route, ...] = (
    page.ROUTE,
    static.ROUTE,
    files.ROUTE,
    analyze.ROUTE,
    status.ROUTE,
    status_v1.ROUTE,
    events.ROUTE,
    sources.ROUTE,
    segments.ROUTE,
    gaps.ROUTE,
    days.ROUTE,
    segment.ROUTE,
    segment_audio.ROUTE,
    segment_download.ROUTE,
    stream.ROUTE,
    download.ROUTE,
    healthz.ROUTE,
)
