"""The entities of the agent itself: one file each, and one line here."""

from collections.abc import Callable

from agent.mqtt.discovery.agent_entities.clock_problem import clock_problem
from agent.mqtt.discovery.agent_entities.connection import connection
from agent.mqtt.discovery.agent_entities.cpu_temperature import cpu_temperature
from agent.mqtt.discovery.agent_entities.disk_free import disk_free
from agent.mqtt.discovery.agent_entities.problem import problem
from agent.mqtt.discovery.agent_entities.queued_messages import queued_messages
from agent.mqtt.discovery.agent_entities.recording_sources import recording_sources
from agent.mqtt.discovery.agent_entities.refresh import refresh
from agent.mqtt.discovery.agent_entities.started import started
from agent.mqtt.discovery.entity import Box, Entity

AGENT_ENTITIES: tuple[Callable[[Box], Entity], ...] = (
    connection,
    problem,
    clock_problem,
    disk_free,
    cpu_temperature,
    started,
    queued_messages,
    recording_sources,
    refresh,
)
"""In the order of the message; Home Assistant sorts as it likes."""
