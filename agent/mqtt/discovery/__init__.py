"""Home Assistant discovery: which devices and entities there are, and when they are announced.

An entity is one file in `agent_entities/` or `source_entities/` and one line in the list of that folder.
"""

from agent.mqtt.discovery.entity import Box, RecordedSource
from agent.mqtt.discovery.extras import discovery_for
from agent.mqtt.discovery.memory import Memory
from agent.mqtt.discovery.plugin import Discovery

__all__ = ["Box", "Discovery", "Memory", "RecordedSource", "discovery_for"]
