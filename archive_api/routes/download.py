"""`GET,HEAD /download/<path>`: the same audio as a file to keep."""

from starlette.routing import Route

from archive_api.routes.audio import AudioEndpoint

ROUTE = Route("/download/{path:path}", AudioEndpoint("attachment", b"/download/"), methods=["GET", "HEAD"])
