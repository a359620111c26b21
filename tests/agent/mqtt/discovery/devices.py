"""The devices of the fixtures: a shed with a card and a stream."""

from agent.mqtt.discovery.entity import Box, RecordedSource
from agent.mqtt.topics import Topics

UID = "7c9e6679f4b54d0d8a3d0a3c5d2e1f00"
BOX = Box(UID, "Garden shed", "0.1.0", Topics("isr", "shed"))
MIC = RecordedSource(BOX, "mic", "Microphone", "alsa")
RADIO = RecordedSource(BOX, "radio", "Local radio", "icecast")

AGENT_TOPIC = "homeassistant/device/shed/agent/config"
MIC_TOPIC = "homeassistant/device/shed/mic/config"
RADIO_TOPIC = "homeassistant/device/shed/radio/config"
