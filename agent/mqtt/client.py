"""The connection to the broker: a transport and nothing else. The only module that knows paho.

paho is not trusted with queues, order or reconnecting: each connection is a fresh client that is thrown away when it
ends, the network loop runs in a worker of ours, and its callbacks only hand events on.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config import MqttSettings
from agent.errors import IsrError
from agent.mqtt.message import Message
from agent.mqtt.payloads import OFFLINE
from agent.supervisor import StopSignal

_KEEPALIVE_S = 20
_CONNECT_S = 5.0
_WILL_DELAY_S, _SESSION_S = 10, 30
_IN_FLIGHT = 20
_NUMBERS = 1 << 16
_UNSUPPORTED = "Unsupported protocol version"


@dataclass(frozen=True, slots=True)
class Ready:
    """Connected, and the subscriptions are acknowledged: commands will be heard.

    The broker takes `receive_maximum` messages before it has acknowledged one; `refused` are the filters of extras
    that it does not let us read.
    """

    receive_maximum: int = 65_535
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone, or did not come about. What was not acknowledged may or may not have arrived."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has taken the message that `publish` gave this number, or says why not."""

    number: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message came."""

    message: Message


Event: TypeAlias = Ready | Lost | Acknowledged | Received


class MqttClient:
    """Connects, again and again under a worker, and hands events to `tell` (from the network thread: only enqueue)."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        will_topic: str,
        filters: tuple[str, ...],
        tell: Callable[[Event], None],
        extra_filters: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._will_topic = will_topic
        self._filters, self._extra_filters = filters, extra_filters
        self._tell = tell
        self._receive_maximum = _IN_FLIGHT
        self._version = MQTTProtocolVersion.MQTTv311 if settings.protocol == "3.1.1" else MQTTProtocolVersion.MQTTv5
        self._was_connected = False
        self._lock = threading.Lock()
        self._client: tuple[paho.Client, int] | None = None
        self._connections = 0

    def run(self, stop: StopSignal) -> None:
        """One connection, from the first packet to the last. Raises IsrError when it ends unasked."""
        self._connections += 1
        # Numbers of an earlier connection never come again: an acknowledgement that is late belongs to nothing.
        first_number = self._connections * _NUMBERS
        connection = _Connection(self._tell, self._filters, self._extra_filters, first_number)
        client = self._build(connection)
        try:
            client.connect(self._settings.host, self._settings.port, keepalive=_KEEPALIVE_S, **self._session())
        except (OSError, ValueError) as error:
            # A host name that cannot be encoded is a UnicodeError, which is a ValueError.
            reason = f"no connection to {self._settings.host}:{self._settings.port}: {error}"
            self._tell(Lost(reason))
            raise IsrError(f"MQTT: {reason}") from error
        with self._lock:
            self._client = client, first_number
        try:
            with stop.calling(lambda: _disconnect(client)):
                client.loop_forever(retry_first_connection=False)
        finally:
            with self._lock:
                self._client = None
            silent = "the connection was lost" if connection.accepted else "the broker does not answer"
            reason = connection.refusal or silent
            self._tell(Lost(None if stop.is_set else reason))
        self._was_connected |= connection.accepted
        self._receive_maximum = min(_IN_FLIGHT, connection.receive_maximum)
        if connection.refusal == _UNSUPPORTED and self._settings.protocol == "auto":
            self._version = MQTTProtocolVersion.MQTTv311
        if not stop.is_set:
            raise IsrError(f"MQTT: {reason}")

    def drop(self) -> None:
        """End the connection, because the other side has stopped acknowledging; the next one tries again."""
        with self._lock:
            current = self._client
        if current is not None:
            _disconnect(current[0])

    def publish(self, message: Message) -> int | None:
        """Hand a message to the network; its number for the acknowledgement, None where there is no connection."""
        with self._lock:
            current = self._client
        if current is None:
            return None
        client, first_number = current
        properties = None
        if self._version is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)
            if message.correlation is not None:
                properties.CorrelationData = message.correlation
            if message.expiry_s is not None:
                properties.MessageExpiryInterval = message.expiry_s
        info = client.publish(message.topic, message.payload, message.qos, message.retain, properties)
        return first_number + info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def _build(self, connection: "_Connection") -> paho.Client:
        is_v5 = self._version is MQTTProtocolVersion.MQTTv5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            clean_session=None if is_v5 else True,
            protocol=self._version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        # What is more waits inside paho, for as long as the connection lasts.
        client.max_inflight_messages_set(self._receive_maximum)
        if self._settings.username is not None:
            password = self._settings.password
            client.username_pw_set(self._settings.username, password.reveal() if password else None)
        will = None
        if is_v5:
            will = Properties(PacketTypes.WILLMESSAGE)
            will.WillDelayInterval = _WILL_DELAY_S
        client.will_set(self._will_topic, OFFLINE, qos=1, retain=True, properties=will)
        client.on_connect = connection.on_connect
        client.on_subscribe = connection.on_subscribe
        client.on_publish = connection.on_publish
        client.on_message = connection.on_message
        return client

    def _session(self) -> dict[str, Any]:
        """The session outlives a short outage, so that the will is not sent for one; the first one begins clean."""
        if self._version is not MQTTProtocolVersion.MQTTv5:
            return {}
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_S
        return {"clean_start": not self._was_connected, "properties": properties}


def _disconnect(client: paho.Client) -> None:
    client.disconnect()


class _Connection:
    """The callbacks of one connection. They run in the network thread and must never raise."""

    def __init__(
        self, tell: Callable[[Event], None], filters: tuple[str, ...], extra: tuple[str, ...], first: int
    ) -> None:
        self._tell = tell
        self._first_number = first
        self._filters, self._extra = filters, extra
        self.accepted = False
        self.receive_maximum = 65_535
        self.refusal: str | None = None

    def on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.refusal = str(reason)
            return
        self.accepted = True
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        names = (*self._filters, *self._extra)
        # The defaults of MQTT 5 (Retain As Published 0, Retain Handling 0) are what 3.1.1 does always.
        if client.protocol is MQTTProtocolVersion.MQTTv5:
            client.subscribe([(name, SubscribeOptions(qos=1)) for name in names])
        else:
            client.subscribe([(name, 1) for name in names])

    def on_subscribe(
        self,
        client: paho.Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        count = len(self._filters)
        failures = [str(reason) for reason in reasons[:count] if reason.is_failure]
        if failures:
            self.refusal = f"the broker refuses the subscription to commands: {failures[0]}"
            client.disconnect()
            return
        pairs = zip(self._extra, reasons[count:], strict=False)
        self._tell(Ready(self.receive_maximum, tuple(name for name, reason in pairs if reason.is_failure)))

    def on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._tell(Acknowledged(self._first_number + mid, str(reason) if reason.is_failure else None))

    def on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        properties = message.properties
        self._tell(
            Received(
                Message(
                    topic=message.topic,
                    payload=bytes(message.payload),
                    qos=message.qos,
                    retain=message.retain,
                    response_topic=getattr(properties, "ResponseTopic", None),
                    correlation=getattr(properties, "CorrelationData", None),
                )
            )
        )
