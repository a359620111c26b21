"""`GET,HEAD /download/<path>`: the same audio as a file to keep."""

from starlette.routing import Route

from archive_api.routes.audio import AudioEndpoint, by_path

ROUTE = Route("/download/{path:path}", AudioEndpoint("attachment", by_path(b"/download/")), methods=["GET", "HEAD"])
