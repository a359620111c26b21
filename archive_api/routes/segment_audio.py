"""`GET,HEAD /api/v1/segments/{id}/audio`: the audio of one recording, to be heard in place."""

from starlette.routing import Route

from archive_api.routes.audio import AudioEndpoint, by_id

ROUTE = Route("/api/v1/segments/{id}/audio", AudioEndpoint("inline", by_id), methods=["GET", "HEAD"])
