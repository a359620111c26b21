"""A hundred bursts of sound through a real arecord: each told once, on time, with the times at which it was made."""

import json
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.agent.schemas import validate
from tests.parts.mosquitto import Message
from tests.parts.pulse import PipeCard
from tests.parts.waiting import wait_until
from tests.system.running import Json, RunningAgent, utc_ns
from tests.system.test_commands import broker_at

pytestmark = pytest.mark.real_time

RATE = 48000
MIN_DURATION_S, HOLD_S = 0.05, 0.1
WITHIN_NS = 20_000_000
TOLD_WITHIN_S = 1.0

CONFIG = """
agent: {{id: shed}}
recording: {{period: 5s}}
loudness:
  events: {{loud: {{threshold: -20, min_duration: 50ms, hold: 100ms}}}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources:
  - {{id: mic, name: Microphone, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
"""


def a_hundred_bursts(first_s: float) -> list[tuple[int, int]]:
    """First and last counter of each."""
    rng = random.Random(22)
    bursts, at = [], round(first_s * RATE)
    for _ in range(100):
        length = rng.randrange(round(0.08 * RATE), round(0.4 * RATE))
        bursts.append((at, at + length - 1))
        at += length + rng.randrange(round(0.16 * RATE), round(0.3 * RATE))
    return bursts


def test_no_burst_is_missed_told_twice_late_or_at_the_wrong_time(tmp_path: Path) -> None:
    bursts = a_hundred_bursts(8.0)
    with (
        broker_at(tmp_path / "broker") as broker,
        broker.listen("isr/shed/#", user="operator") as listener,
        PipeCard(tmp_path / "card") as card,
        card.feed(bursts=bursts) as feeder,
        RunningAgent(tmp_path / "agent", CONFIG.format(device=card.device, port=broker.port), env=card.env) as agent,
    ):
        agent.wait_for_state("mic", "recording")
        assert feeder.last_counter < bursts[0][0], "the recorder was not ready before the first burst"
        wait_until(lambda: feeder.last_counter > bursts[-1][1] + RATE, 90, "the feeder to have made all bursts")
        wait_until(lambda: len(listener.of("isr/shed/src/mic/event")) >= 200, 5, "both ends of a hundred events")
        assert agent.stop() == 0
        told = listener.of("isr/shed/src/mic/event")
        segments = agent.segments("mic")
        made = [
            (feeder.due_wall_ns_of(start) - 1_000_000_000 // RATE, feeder.due_wall_ns_of(last))
            for start, last in bursts
        ]

    events = [event_of(message) for message in told]
    starts, ends = events[::2], events[1::2]
    assert [event["event_type"] for event in starts] == ["loud_start"] * 100
    assert [event["event_type"] for event in ends] == ["loud_end"] * 100
    assert [event["pair"] for event in starts] == [event["pair"] for event in ends]
    assert len({event["id"] for event in events}) == 200

    errors_ns = [
        utc_ns(event["at"]) - wanted_ns
        for start, end, span in zip(starts, ends, made, strict=True)
        for event, wanted_ns in zip((start, end), span, strict=True)
    ]
    print(f"events off by {min(errors_ns) / 1e6:+.1f} to {max(errors_ns) / 1e6:+.1f} ms")
    assert max(abs(error) for error in errors_ns) < WITHIN_NS

    waited_s = [
        told_after_s(message, event, HOLD_S if event["event_type"] == "loud_end" else MIN_DURATION_S)
        for message, event in zip(told, events, strict=True)
    ]
    print(f"told {min(waited_s):.2f} to {max(waited_s):.2f} s after it could be known")
    assert max(waited_s) < TOLD_WITHIN_S

    assert_heard_where_it_is_said(starts, ends, segments)


def event_of(message: Message) -> Json:
    body: Json = json.loads(message.payload)
    validate("event", body)
    assert not message.retain
    return body


def told_after_s(message: Message, event: Json, decided_after_s: float) -> float:
    """How long after it could be known a message arrived."""
    known = datetime.fromisoformat(event["at"]) + timedelta(seconds=decided_after_s)
    return message.wall_s - known.timestamp()


def assert_heard_where_it_is_said(starts: list[Json], ends: list[Json], segments: list[Json]) -> None:
    """Each event leads to its file and offset, and stands in the sidecar of every file in which it is heard."""
    by_id = {segment["id"]: segment for segment in segments}
    for event in starts:
        segment = by_id[event["segment"]]
        assert event["file"] == segment["file"]
        off_ns = utc_ns(segment["start"]) + event["offset_s"] * 1e9 - utc_ns(event["at"])
        assert abs(off_ns) < 5_000_000
    listed = [event["id"] for segment in segments for event in segment["events"]]
    assert set(listed) == {event["pair"] for event in starts}
    across = {event for event in listed if listed.count(event) > 1}
    assert across, "no burst lay across a split: the test shows less than it says"
    ended = {event["id"]: event["end"] for segment in segments for event in segment["events"] if event["end"]}
    ends_at = {event["pair"]: event["at"] for event in ends}
    for segment in segments:
        for event in segment["events"]:
            if event["end"] is None and event["id"] not in across:
                # Its last block was the last whole one before the cut.
                assert 0 <= utc_ns(segment["end"]) - utc_ns(ends_at[event["id"]]) <= 10_000_000
    assert all(ends_at[event] == end for event, end in ended.items())
