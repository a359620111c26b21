"""How a stream of a real icecast2 is found: by its playlists, with a password, on a second mount and back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent import clock
from agent.config import IcecastSettings, load
from agent.line_builder import Run, build_line
from agent.model import Desired, SourceState, SourceStatus
from agent.source_control import SourceControl
from agent.sources.icecast import IcecastSource
from agent.status import StatusBoard
from tests.parts.icecast import Icecast
from tests.parts.mp3 import decoded_samples, frames
from tests.parts.waiting import wait_until
from tests.system.running import RunningAgent

PASSWORD = "gehe!m @/ß"
QUOTED = "gehe%21m%20%40%2F%C3%9F"


def test_playlists_and_passwords_of_a_real_icecast(tmp_path: Path) -> None:
    with Icecast(tmp_path / "icecast", listeners={"me": PASSWORD}) as icecast:
        icecast.feed_mp3("/live.mp3")
        icecast.feed_mp3("/private.mp3")
        private = icecast.url("/private.mp3")
        urls = {
            "m3u": icecast.url("/live.mp3.m3u"),
            "xspf": icecast.url("/live.mp3.xspf"),
            "asked": private,
            "wrong": private.replace("://", "://me:wrong@"),
            "right": private.replace("://", f"://me:{QUOTED}@"),
        }
        sources = "".join(f"  - {{id: {name}, type: icecast, url: '{url}'}}\n" for name, url in urls.items())
        config = f"agent: {{id: shed}}\nrecording: {{period: 5s}}\nsources:\n{sources}"
        with RunningAgent(tmp_path / "agent", config) as agent:
            for name, mount in (("m3u", "/live.mp3"), ("xspf", "/live.mp3"), ("right", "/private.mp3")):
                segment = agent.wait_for_segments(name, 2, timeout_s=40)[1]
                assert str(segment["url"]).endswith(f":{icecast.port}{mount}"), name
                assert decoded_samples(agent.path(segment)) == segment["samples"]
            for name in ("asked", "wrong"):
                status = agent.wait_for_state(name, "error")
                assert "the server answered 401" in status["last_error"]
                assert "http://user:password@host/…" in status["last_error"]
            assert agent.stop() == 0
        kept = "".join(path.read_text(errors="replace") for path in agent.recordings.rglob("*.json"))
        for secret in (PASSWORD, QUOTED, "me:"):
            assert secret not in agent.log() + kept


class Line:
    """One source with its line in this process, so that the way back need not take five minutes."""

    def __init__(self, folder: Path, url: str, fallback: str) -> None:
        file = folder / "config.yaml"
        file.write_text(
            f"agent: {{id: shed, timezone: {_where_it_is_noon()}}}\nrecording: {{period: 24h}}\n"
            f"sources: [{{id: radio, type: icecast, url: '{url}', fallback_urls: ['{fallback}']}}]\n"
        )
        settings = load(file)
        (source,) = settings.sources
        assert isinstance(source, IcecastSettings)
        self.segments: list[Any] = []
        self._lock = threading.Lock()
        self.board = StatusBoard()
        since = clock.utc_now()
        self.board.put(SourceStatus("radio", "radio", "icecast", SourceState.STARTING, Desired.RECORD, since))
        run = Run(settings, "boot", "run", "uid", "now")
        self.control = SourceControl(
            "radio",
            IcecastSource(source, back_every_s=1.0),
            lambda left_by: build_line(run, source, self.board, self._told, left_by),
            desired=Desired.RECORD,
            remember=lambda *_: None,
            line_failed=lambda *_: None,
        )
        self.recordings = settings.recordings

    def _told(self, news: object) -> None:
        segment = getattr(news, "segment", None)
        if segment is not None:
            with self._lock:
                self.segments.append(segment)

    @property
    def file(self) -> str | None:
        """The file that is written now."""
        opened = self.board.of("radio").open_segment
        return None if opened is None else opened.file


def _where_it_is_noon() -> str:
    """A zone in which no period ends during the test. In these names the sign is turned round."""
    return f"Etc/GMT{clock.utc_now().hour - 12:+d}"


@contextmanager
def recording(line: Line) -> Iterator[None]:
    line.control.start()
    try:
        yield
    finally:
        line.control.begin_end()
        line.control.end_capture(clock.monotonic_s() + 6)
        line.control.end_recording(clock.monotonic_s() + 6)


def test_a_second_mount_is_recorded_while_the_first_is_away_and_the_way_back_costs_nothing(tmp_path: Path) -> None:
    with Icecast(tmp_path / "icecast", burst_bytes=0) as icecast:
        first_feed = icecast.feed_mp3("/first.mp3", title="One")
        icecast.feed_mp3("/second.mp3")
        first, second = icecast.url("/first.mp3"), icecast.url("/second.mp3")
        line = Line(tmp_path, first, second)
        with recording(line):
            wait_until(lambda: line.file, 15, "the first mount")
            wait_until(lambda: line.board.of("radio").title == "One", 5, "its title")
            first_feed.stop()
            wait_until(lambda: line.segments and line.file, 20, "the second mount")
            assert line.board.of("radio").title is None
            wait_until(lambda: icecast.listeners("/second.mp3") == 1, 5, "one listener of the second")
            states = []
            line.board.listen(lambda status: states.append(status.state))
            first_feed.start()
            wait_until(lambda: len(line.segments) >= 2 and line.file, 20, "the first mount again")
            wait_until(lambda: icecast.listeners("/second.mp3") == 0, 10, "the second to be left")
        assert SourceState.RECONNECTING not in states
        one, two, three = line.segments
        assert [segment.url for segment in line.segments] == [first, second, first]
        assert "One" not in [title.text for title in two.titles], "the title of the first is not the second's"
        assert two.gap_before is not None
        assert two.gap_before.cause == "disconnected"
        assert (two.gap_before.end - two.gap_before.start).total_seconds() < 5
        # Each encoder is late in its own way, but nothing was missed while they overlapped.
        missing_s = (three.start - two.end).total_seconds()
        assert missing_s < 0.05, f"the way back cost {missing_s} s"
        for segment in (one, two, three):
            path = line.recordings / segment.file
            assert len(frames(path.read_bytes()[segment.payload_offset :])) == segment.packets
