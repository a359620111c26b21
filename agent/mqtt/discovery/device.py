"""What Home Assistant is told of a whole device: one retained message for each. Pure.

Every entity is inside its device. The root has only what it must: Home Assistant refuses a device with an unknown key
there as a whole.
"""

from collections.abc import Iterable, Sequence

from agent.mqtt.discovery.agent_entities import AGENT_ENTITIES
from agent.mqtt.discovery.entity import Box, Entity, Present, RecordedSource
from agent.mqtt.discovery.source_entities import SOURCE_ENTITIES, STREAM_ENTITIES
from agent.mqtt.payloads import Json

ORIGIN = "isr edge"
_AGENT_NODE = "agent"
_MODELS = {"alsa": "Sound card", "icecast": "Stream", "test": "Test signal"}


def configs(prefix: str, box: Box, sources: Iterable[RecordedSource]) -> dict[str, Json]:
    """The discovery message of each device by its topic; the agent's first, because the others point to it."""
    found = {config_topic(prefix, box, _AGENT_NODE): agent_config(box)}
    for source in sources:
        found[config_topic(prefix, box, node_of(source.id))] = source_config(source)
    return found


def config_topic(prefix: str, box: Box, node: str) -> str:
    """Where the device of a node is announced; `+` as node is the filter of all of this agent's."""
    return f"{prefix}/device/{box.topics.agent}/{node}/config"


def node_of(source: str) -> str:
    """The node of a source: its id, unless that is the agent's own node. Ids of sources have no '_'."""
    return source if source != _AGENT_NODE else f"source_{source}"


def source_of(topic: str) -> str | None:
    """The id of the source that a discovery topic announces; None for the agent's own."""
    node = topic.split("/")[-2]
    return None if node == _AGENT_NODE else node.removeprefix("source_")


def agent_config(box: Box) -> Json:
    """The device of the agent itself."""
    device = {
        "identifiers": [box.uid],
        "name": box.name,
        "manufacturer": ORIGIN,
        "model": "Recorder",
        "sw_version": box.version,
    }
    return _config(box, _AGENT_NODE, device, [build(box) for build in AGENT_ENTITIES])


def source_config(source: RecordedSource) -> Json:
    """The device of a source, which Home Assistant shows as connected via the agent's."""
    node = node_of(source.id)
    device = {
        "identifiers": [f"{source.box.uid}_{node}"],
        "name": source.name,
        "manufacturer": ORIGIN,
        "model": _MODELS[source.type],
        "via_device": source.box.uid,
    }
    builders = SOURCE_ENTITIES + (STREAM_ENTITIES if source.type == "icecast" else ())
    return _config(source.box, node, device, [build(source) for build in builders], source.topic("availability"))


def _config(box: Box, node: str, device: Json, entities: Sequence[Entity], source_availability: str = "") -> Json:
    agent = [{"topic": box.topics.availability}]
    # The list on a component replaces that of the root.
    availability: dict[Present, Json] = {
        Present.WITH_AGENT: {},
        Present.WITH_SOURCE: {"availability": [*agent, {"topic": source_availability}], "availability_mode": "all"},
        Present.ALWAYS: {"availability": []},
    }
    entity_id = box.topics.agent if node == _AGENT_NODE else f"{box.topics.agent}_{node}"
    return {
        "device": device,
        "origin": {"name": ORIGIN, "sw_version": box.version},
        "availability": agent,
        "availability_mode": "all",
        "components": {
            entity.key: {
                "platform": entity.platform,
                "unique_id": f"{box.uid}_{node}_{entity.key}",
                "default_entity_id": _entity_id(entity, entity_id),
                "name": entity.name,
                **entity.options,
                **availability[entity.present],
                "qos": 1,
            }
            for entity in entities
        },
    }


def _entity_id(entity: Entity, device: str) -> str:
    """The id that Home Assistant gives at first; the main entity of a device has the device's."""
    parts = (device,) if entity.name is None else (device, entity.key)
    return f"{entity.platform}.{'_'.join(parts).replace('-', '_')}"
