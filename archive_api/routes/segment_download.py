"""`GET,HEAD /api/v1/segments/{id}/download`: the same audio as a file to keep."""

from starlette.routing import Route

from archive_api.routes.audio import AudioEndpoint, by_id

ROUTE = Route("/api/v1/segments/{id}/download", AudioEndpoint("attachment", by_id), methods=["GET", "HEAD"])
