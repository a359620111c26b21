"""The routes. Adding one is a file here and a line below."""

from starlette.routing import Route

from archive_api.routes import download, files, healthz, page, static, status, status_v1, stream

ROUTES: tuple[Route, ...] = (
    page.ROUTE,
    static.ROUTE,
    files.ROUTE,
    status.ROUTE,
    status_v1.ROUTE,
    stream.ROUTE,
    download.ROUTE,
    healthz.ROUTE,
)
