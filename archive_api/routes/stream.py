"""`GET,HEAD /stream/<path>`: audio to be heard in place."""

from starlette.routing import Route

from archive_api.routes.audio import AudioEndpoint

ROUTE = Route("/stream/{path:path}", AudioEndpoint("inline", b"/stream/"), methods=["GET", "HEAD"])
