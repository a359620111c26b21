"""`GET,HEAD /stream/<path>`: audio to be heard in place."""

from starlette.routing import Route

from archive_api.routes.audio import AudioEndpoint, by_path

ROUTE = Route("/stream/{path:path}", AudioEndpoint("inline", by_path(b"/stream/")), methods=["GET", "HEAD"])
