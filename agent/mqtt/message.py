"""A message on its way out or in. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One publish. `response_topic` and `correlation` are MQTT 5 request/response properties."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
