"""Every second accounted for: losses of many causes tile the time, and all who tell of it say the same."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from agent.archive_format.coverage import Hole, sums, tile
from agent.model import GapCause
from tests.agent.schemas import validate
from tests.parts.browser import Browser
from tests.parts.icecast import Icecast
from tests.parts.mosquitto import Listener
from tests.parts.process import free_port
from tests.parts.pulse import PipeCard
from tests.parts.waiting import wait_until
from tests.system.messages import body, judge
from tests.system.running import Json, RunningAgent, utc_ns
from tests.system.test_commands import arecords, broker_at
from tests.system.test_page import archive

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, timezone: "{zone}"}}
recording: {{period: 5s}}
mqtt: {{host: 127.0.0.1, port: {broker}, username: shed, password: secret}}
sources:
  - {{id: mic, name: Microphone, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
  - {{id: radio, name: Radio, type: icecast, url: "{url}"}}
archive: {{port: {page}}}
"""
KEYS = ("recorded_today_s", "missing_today_s", "completeness_pct")
WITHIN_MS = {"mic": 50, "radio": 150}


def noon_zone() -> str:
    """A time zone in which it is about noon, so that no midnight comes between."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


def ms(text: str) -> int:
    return utc_ns(text) // 1_000_000


def pieces(agent: RunningAgent, source: str) -> list[tuple[int, int, GapCause | None]]:
    """Audio and gaps as they lie on disk, in order; what is filled is no audio. A gap that lasts has no length yet."""
    found: list[tuple[int, int, GapCause | None]] = []
    for one in agent.segments(source):
        filled = [edge for gap in one["gaps"] for edge in (ms(gap["start"]), ms(gap["end"]))]
        edges = iter([ms(one["start"]), *filled, ms(one["end"])])
        found += [(start, end, None) for start, end in zip(edges, edges, strict=True)]
    for gap in agent.gaps(source):
        end = ms(gap["end"]) if gap["at"] == "end" else ms(gap["start"])
        found.append((ms(gap["start"]), end, GapCause(gap["cause"])))
    return sorted(found, key=lambda piece: piece[:2])


def state_of(said: Listener, source: str) -> Json:
    return body(said.of(f"isr/shed/src/{source}/state")[-1])


def today_of(page: int, source: str) -> dict[str, Any]:
    items = requests.get(f"http://127.0.0.1:{page}/api/v1/sources", timeout=10).json()["items"]
    return dict(next(one["today"] for one in items if one["source"] == source))


def record(agent: RunningAgent) -> None:
    """Wait until both sources record, and have something of it on disk."""
    for source in ("mic", "radio"):
        agent.wait_for_state(source, "recording", timeout_s=40)
        wait_until(lambda: is_safe(agent, source), 10, f"{source} to be safe on disk", poll_s=0.1)  # noqa: B023


def is_safe(agent: RunningAgent, source: str) -> bool:
    opened = agent.source(source)["open_segment"]
    return opened is not None and opened["samples_safe"] > 0


def recorded_ms(agent: RunningAgent, source: str) -> int:
    return sum(end - start for start, end, cause in pieces(agent, source) if cause is None)


def all_say_the_same(agent: RunningAgent, said: Listener, page: int, source: str) -> None:
    """Of a source that is stopped; MQTT may take a minute for its counters."""

    def told() -> list[Any]:
        return [agent.source(source)[key] for key in KEYS]

    def is_settled() -> bool:
        return told()[0] is not None and abs(told()[0] * 1000 - recorded_ms(agent, source)) <= WITHIN_MS[source]

    wait_until(is_settled, 10, "the last file to count", poll_s=0.1)
    expected = told()
    wait_until(
        lambda: [state_of(said, source)[key] for key in KEYS] == expected,
        75,
        "MQTT to say what status.json says",
        poll_s=0.2,
    )
    today = today_of(page, source)
    assert [today[key] for key in ("recorded_s", "missing_s", "completeness_pct")] == expected == told()


def test_losses_of_many_causes_tile_the_time_and_all_say_the_same(tmp_path: Path) -> None:
    page = free_port()
    with (
        PipeCard(tmp_path / "card", device="counted") as card,
        card.feed(),
        Icecast(tmp_path / "icecast") as icecast,
        broker_at(tmp_path / "broker") as broker,
        broker.listen("isr/#", user="operator", as_published=True) as said,
    ):
        feed = icecast.feed_mp3("/live.mp3")
        config = CONFIG.format(
            zone=noon_zone(), broker=broker.port, device=card.device, url=icecast.url("/live.mp3"), page=page
        )

        def command(source: str, word: str, state: str) -> None:
            broker.publish(f"isr/shed/src/{source}/cmd", word, user="operator")
            agent.wait_for_state(source, state, timeout_s=20)

        with RunningAgent(tmp_path / "agent", config, env=card.env) as agent, archive(tmp_path / "agent", page):
            record(agent)
            command("mic", "stop", "stopped")
            icecast.restart()
            agent.wait_for_state("radio", "reconnecting")
            feed.start()
            command("mic", "start", "recording")
            (arecord,) = arecords(card)
            os.kill(arecord, signal.SIGKILL)
            wait_until(lambda: arecords(card) not in ([], [arecord]), 10, "another arecord", poll_s=0.1)
            record(agent)
            agent.kill()
            lost_before = state_of(said, "mic")["missing_total_s"]
            agent.start()
            record(agent)
            assert agent.stop() == 0
            agent.start()
            record(agent)
            command("radio", "stop", "stopped")
            command("mic", "stop", "stopped")

            # Nothing moves any more: what the four say comes to the same within the minute that counters may take.
            for source in ("mic", "radio"):
                all_say_the_same(agent, said, page, source)
            shown = agent.source("mic")["completeness_pct"]
            assert 0 < shown < 100
            with Browser() as browser:
                browser.page.goto(f"http://127.0.0.1:{page}/")
                words = browser.page.locator("li.card[data-source=mic] .day-words")
                browser.wait_for(lambda: f"{shown} % of today" in words.inner_text(), 15, "the page to say the same")
                assert "agent crashed" in words.inner_text()
                browser.assert_clean()
            validate("status", agent.status())
            assert state_of(said, "mic")["missing_total_s"] >= lost_before, "a restart takes nothing back"
            final = {source: agent.source(source) for source in ("mic", "radio")}
            days = requests.get(f"http://127.0.0.1:{page}/api/v1/days", timeout=10).json()["items"]
            assert agent.stop() == 0
        judge(said.messages)

    for source, within_ms in WITHIN_MS.items():
        tiles = pieces(agent, source)
        # A server's burst is audio from before the gap that it ends: no time is without an account, some has two.
        edge = tiles[0][0]
        for start, end, _ in tiles:
            assert start - edge <= within_ms, f"{source}: {start - edge} ms before {start} are not told of"
            assert source == "radio" or edge - start <= within_ms, f"{source}: told twice of {edge - start} ms"
            edge = max(edge, end)
        own = sums(
            tile(
                [(start, end) for start, end, cause in tiles if cause is None],
                [Hole(start, end, cause) for start, end, cause in tiles if cause is not None],
                (tiles[0][0], edge),
            )
        )
        told_ms = (own.recorded_ms, own.missing_ms, own.not_asked_ms)
        assert abs(sum(told_ms) - (edge - tiles[0][0])) <= within_ms, f"{source}: {told_ms} do not add up"
        if source == "mic":
            counted = [sum(end - start for start, end, cause in tiles if kind(cause) == name) for name in KINDS]
            assert counted == pytest.approx(told_ms, abs=within_ms), "counted piece by piece"
        recorded_s, missing_s, completeness_pct = (final[source][key] for key in KEYS)
        assert recorded_s * 1000 == pytest.approx(own.recorded_ms, abs=within_ms)
        assert missing_s * 1000 == pytest.approx(own.missing_ms, abs=within_ms)
        assert completeness_pct == pytest.approx(own.completeness_pct, abs=0.2)
        assert final[source]["missing_total_s"] == pytest.approx(missing_s, abs=0.5)
        (day,) = [one for one in days if one["source"] == source]
        assert (day["recorded_s"], day["missing_s"]) == (recorded_s, missing_s), "counted anew from the index"
        print(source, json.dumps(day["causes"]), told_ms, f"{completeness_pct} %")
    causes = {cause for _, _, cause in pieces(agent, "mic")}
    assert {GapCause.STARTING, GapCause.STOPPED, GapCause.AGENT_CRASHED, GapCause.AGENT_STOPPED} <= causes
    assert causes & {GapCause.DEVICE_LOST, GapCause.STALL, GapCause.DISCONNECTED}
    assert GapCause.DISCONNECTED in {cause for _, _, cause in pieces(agent, "radio")}


KINDS = ("recorded", "missing", "not asked")


def kind(cause: GapCause | None) -> str:
    return "recorded" if cause is None else "missing" if cause.missing else "not asked"
