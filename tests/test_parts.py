"""The rigs themselves: each is proved with the real part before any other test leans on it."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.parts import mp3
from tests.parts.browser import Browser
from tests.parts.http_stub import HttpStub, Page
from tests.parts.icecast import Icecast, RawCapture
from tests.parts.mosquitto import Broker
from tests.parts.process import Part, program
from tests.parts.proxy import Cut, CuttingProxy
from tests.parts.pulse import PipeCard, counters
from tests.parts.waiting import wait_until

_BLOCK_BYTES = 2400 * 4


def test_wait_until_names_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match="the moon"):
        wait_until(lambda: None, 0.05, "the moon")


def test_a_missing_program_fails_and_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="apt-get install no-such-package"):
        Part(["no-such-program"], package="no-such-package", log=tmp_path / "log").start()


def test_a_part_that_dies_early_fails_with_its_log(tmp_path: Path) -> None:
    part = Part(["sh", "-c", "echo why; exit 3"], package="dash", log=tmp_path / "log", ready=lambda: False)
    with pytest.raises(AssertionError, match=r"ended with 3 before[^$]*why"):
        part.start()


def test_the_children_of_a_part_end_with_it(tmp_path: Path) -> None:
    script = "sleep 321 & echo child $!; wait"
    log = tmp_path / "log"
    part = Part(["sh", "-c", script], package="dash", log=log, ready=lambda: "child" in part.log_text())
    with part:
        child = int(part.log_text().split()[1])
        assert Path(f"/proc/{child}").exists()
    wait_until(lambda: _is_gone(child), 5, "the end of the part's child")


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_the_broker_delivers_any_payload(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker, broker.listen("a/#") as listener:
        payload = b"two\nlines \x00\xff { %"
        broker.publish("a/with space", payload, qos=1)
        broker.publish("a/empty", b"", qos=0)
        got = listener.wait_for(lambda message: message.topic == "a/with space", 5)
        assert (got.payload, got.retain, got.qos) == (payload, False, 1)
        assert listener.wait_for(lambda message: message.topic == "a/empty", 5).payload == b""


def test_the_broker_refuses_strangers_and_obeys_the_acl(tmp_path: Path) -> None:
    acl = "user writer\ntopic write in/#\n\nuser reader\ntopic read in/#\n"
    users = {"writer": "w-word", "reader": "r-word"}
    with Broker(tmp_path / "mq", users=users, acl_text=acl) as broker:
        assert broker.accepts("writer", "w-word")
        assert not broker.accepts("writer", "wrong")
        assert not broker.accepts(None, None)
        with broker.listen("in/#", user="reader") as listener:
            broker.publish("in/x", "hello", user="writer")
            assert listener.wait_for(lambda message: message.topic == "in/x", 5).payload == b"hello"
        with pytest.raises(AssertionError, match="refused"):
            broker.publish("in/x", "hello", user="reader")


def test_the_broker_keeps_its_port_and_its_messages_over_a_restart(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        broker.publish("kept", "1", retain=True)
        with broker.listen("#") as listener:
            broker.restart()
            stored = listener.wait_for(lambda message: message.topic == "kept", 5)
            assert stored.retain

            def arrives() -> bool:
                broker.publish("live", "2", retain=True)
                return bool(listener.of("live"))

            wait_until(arrives, 10, "mosquitto_sub to come back", poll_s=0.2)
            assert not listener.of("live")[-1].retain
        with broker.listen("#", as_published=True) as listener:
            broker.publish("live", "3", retain=True)
            assert listener.wait_for(lambda message: message.payload == b"3", 5).retain


def test_an_icecast_stream_is_captured_frame_by_frame(tmp_path: Path) -> None:
    with Icecast(tmp_path / "ice") as icecast, icecast.feed_mp3("/live.mp3") as feed:
        with RawCapture(icecast.url("/live.mp3")) as capture:
            assert capture.status == 200
            assert capture.response_headers["content-type"] == "audio/mpeg"
            assert "icy-metaint" not in capture.response_headers
            wait_until(lambda: icecast.listeners("/live.mp3") == 1, 5, "the listener to be counted")
            capture.wait_for_bytes(44_000, 15)
        assert feed.running
        found = mp3.frames(capture.data)
        assert len(found) > 100
        assert mp3.contiguous(found)
        assert len({frame.data for frame in found}) == len(found)
        assert capture.arrivals[-1].total == len(capture.data)
        part = tmp_path / "part.mp3"
        part.write_bytes(b"".join(frame.data for frame in found))
        assert mp3.decoded_samples(part) == mp3.samples_of(found) == 1152 * len(found)
        assert mp3.decoded(part, channels=2).shape == (1152 * len(found), 2)


@pytest.mark.parametrize("charset", [None, "UTF-8"])
def test_icecast_restarts_on_its_port_and_sends_titles(tmp_path: Path, charset: str | None) -> None:
    with Icecast(tmp_path / "ice", burst_bytes=0, charset=charset) as icecast:
        feed = icecast.feed_mp3("/a.mp3", bitrate="160k", sample_rate=24000, channels=1, title="Erste Stunde")
        with RawCapture(icecast.url("/a.mp3"), headers={"Icy-MetaData": "1"}) as capture:
            wait_until(lambda: b"StreamTitle='Erste Stunde'" in capture.data, 10, "the first title")
            icecast.set_title("/a.mp3", "Grüße & mehr")
            sent = "StreamTitle='Grüße & mehr'".encode(charset or "iso-8859-1")
            wait_until(lambda: sent in capture.data, 10, "the new title")
            icecast.restart()
            wait_until(lambda: capture.ended, 5, "the end of the stream")
        assert not feed.running
        feed.start()
        with RawCapture(icecast.url("/a.mp3")) as capture:
            capture.wait_for_bytes(8000, 10)
        header = mp3.parse_header(mp3.frames(capture.data)[0].data)
        assert header is not None
        assert (header.sample_rate, header.channels, header.samples) == (24000, 1, 576)


def test_the_walker_sees_gaps_and_leaves_out_the_info_frame(tmp_path: Path) -> None:
    path = tmp_path / "tone.mp3"
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi"]
    argv += ["-i", "anoisesrc=d=2:r=48000", "-c:a", "libmp3lame", "-q:a", "4", str(path)]
    subprocess.run(argv, check=True, timeout=60)
    data = path.read_bytes()
    everything, sound = mp3.frames(data), mp3.frames(data, skip_info=True)
    assert len(everything) == len(sound) + 1
    assert mp3.contiguous(everything)
    middle = sound[len(sound) // 2].offset
    damaged = mp3.frames(data[:middle] + b"\xff\xfb junk" + data[middle + 7 :], skip_info=True)
    assert len(damaged) == len(sound) - 1
    assert not mp3.contiguous(damaged)


def test_the_stub_server_gives_bad_answers() -> None:
    with HttpStub() as stub:
        with RawCapture(stub.url("/html")) as capture:
            wait_until(lambda: capture.ended, 5, "the end of the page")
        assert (capture.status, capture.response_headers["content-type"]) == (200, "text/html")
        assert capture.data.startswith(b"<!doctype html>")
        with RawCapture(stub.url("/ogg")) as capture:
            wait_until(lambda: capture.ended, 5, "the end of the page")
        assert capture.data.startswith(b"OggS")
        assert mp3.frames(capture.data) == []
        connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=5)
        connection.request("GET", "/missing")
        assert connection.getresponse().status == 404
        connection.close()
        with RawCapture(stub.url("/dead")) as capture:
            assert capture.status == 200
            with pytest.raises(AssertionError, match="1 bytes"):
                capture.wait_for_bytes(1, 0.3)
            assert not capture.ended
        assert [seen.path for seen in stub.seen] == ["/html", "/ogg", "/missing", "/dead"]


class _Block(NamedTuple):
    """What one read of 50 ms gave, and when."""

    mono_ns: int
    wall_ns: int
    counters: np.ndarray[tuple[int], np.dtype[np.uint32]]


def _record(card: PipeCard, seconds: float) -> list[_Block]:
    """Record through the real arecord for some seconds of sound, stamping each block as it comes."""
    argv = [program("setpriv", "util-linux"), "--pdeathsig", "KILL", program("arecord", "alsa-utils")]
    argv += ["-q", "-D", card.device, "-f", "S16_LE", "-c", "2", "-r", "48000", "-t", "raw"]
    argv += ["--period-time=50000", "--buffer-time=2000000"]
    blocks: list[_Block] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=card.env) as arecord:
        assert arecord.stdout is not None
        while len(blocks) < seconds * 20:
            data = arecord.stdout.read(_BLOCK_BYTES)
            stamps = time.monotonic_ns(), time.time_ns()
            assert len(data) == _BLOCK_BYTES, f"arecord ended: {arecord.wait(5)}"
            blocks.append(_Block(*stamps, counters(np.frombuffer(data, "<i2").reshape(-1, 2))))
        arecord.terminate()
    return blocks


def test_the_proxy_breaks_off_as_planned_and_keeps_what_it_passed_on() -> None:
    page = Page("audio/mpeg", bytes(range(256)) * 1000)

    def heard(port: int, path: str) -> bytes:
        with RawCapture(f"http://127.0.0.1:{port}{path}") as capture:
            wait_until(lambda: capture.ended, 5, "the end of the connection")
        return capture.data

    with HttpStub({"/page": page}) as stub:
        with CuttingProxy(stub.port, [Cut(after_bytes=5000), Cut(after_s=0.2)]) as proxy:
            bodies = [heard(proxy.port, path) for path in ("/page", "/dead", "/page")]
        first, second, third = proxy.passed
        assert len(first.data) == 5000
        assert first.data.endswith(bodies[0])
        assert 0.15 < second.ended_s - second.made_s < 3
        assert bodies[2] == page.body
        assert third.data.endswith(page.body)


def test_arecord_hears_the_feeder_without_a_gap(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card") as card:
        feeder = card.feed()
        wait_until(lambda: len(feeder.log) > 50, 10, "half a second of sound that nobody records")
        asked_ns = time.monotonic_ns()
        blocks = _record(card, 3)
        feeder.stop()
        heard = np.concatenate([block.counters for block in blocks]).astype(np.int64)
        assert set(np.diff(heard)) == {1}
        # Nothing is left from before the recorder came, but for the chunk that was being made.
        assert feeder.mono_ns_of(int(heard[0])) > asked_ns - 30e6
        offsets = [block.mono_ns - feeder.mono_ns_of(int(block.counters[-1])) for block in blocks]
        walls = [block.wall_ns - card.wall_ns_of(int(block.counters[-1])) for block in blocks]
        dues = [block.wall_ns - feeder.due_wall_ns_of(int(block.counters[-1])) for block in blocks]
        for name, values in (("mono", offsets), ("wall", walls), ("due", dues)):
            low, middle, high = (float(value) / 1e6 for value in np.percentile(values, [0, 50, 100]))
            sys.stdout.write(f"arrival - {name}: {low:.2f} .. {middle:.2f} .. {high:.2f} ms\n")
        sys.stdout.write(f"feeder's worst lateness: {feeder.worst_lateness_ns() / 1e6:.2f} ms\n")
        assert abs(float(np.median(offsets))) < 50e6
        assert abs(float(np.median(walls)) - float(np.median(offsets))) < 5e6
        # Before, at and after the edges of the log, the map from counter to time stays on one line.
        steps = np.diff([feeder.mono_ns_of(counter) for counter in range(1, 4801, 480)])
        assert steps.min() >= 0
        with pytest.raises(AssertionError, match="never written"):
            feeder.wall_ns_of(feeder.last_counter + 1)


def test_a_card_loses_what_it_is_told_and_can_be_pulled_out(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card") as card:
        feeder = card.feed(ppm=200)
        argv = ["arecord", "-D", card.device, "-f", "S16_LE", "-c", "2", "-r", "48000", "-t", "raw"]
        argv += ["--period-time=50000", "--buffer-time=2000000", str(tmp_path / "out.raw")]
        arecord = Part(argv, package="alsa-utils", log=tmp_path / "arecord.log", env=card.env)
        with arecord:
            wait_until(lambda: _heard(tmp_path).size > 9600, 10, "the first sound")
            first_lost, last_lost = feeder.lose(0.5)
            assert last_lost - first_lost + 1 == 24000
            wait_until(lambda: _heard(tmp_path)[-1] > last_lost + 9600, 10, "sound after the loss")
            with pytest.raises(AssertionError, match="never written"):
                feeder.wall_ns_of(first_lost)
            card.unplug()
            assert arecord.wait_for_end(5) == 1
        assert "Input/output error" in arecord.log_text()
        heard = _heard(tmp_path)
        jumps = np.flatnonzero(np.diff(heard) != 1)
        assert [(heard[at], heard[at + 1]) for at in jumps] == [(first_lost - 1, last_lost + 1)]
        entries = feeder.log
        spent_ns = entries[-1].due_mono_ns - entries[0].due_mono_ns
        made = entries[-1].last_counter - entries[0].last_counter
        assert made / (spent_ns / 1e9) == pytest.approx(48000 * 1.0002, rel=1e-6)
        card.start()
        again = card.feed()
        assert again.first == feeder.last_counter + 1
        assert _record(card, 0.5)[0].counters[0] >= again.first


def _heard(folder: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    path = folder / "out.raw"
    data = path.read_bytes() if path.exists() else b""
    return counters(np.frombuffer(data[: len(data) // 4 * 4], "<i2").reshape(-1, 2)).astype(np.int64)


def test_two_cards_can_share_a_home(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "a") as one, PipeCard(tmp_path / "b", device="other", home=tmp_path / "a/home") as two:
        one.feed()
        two.feed(first=1_000_000_000)
        assert one.env == two.env
        assert _record(one, 0.2)[-1].counters[-1] < 1_000_000_000 <= _record(two, 0.2)[0].counters[0]


def test_chromium_renders_a_page_and_plays_a_range(tmp_path: Path) -> None:
    sound = tmp_path / "tone.mp3"
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi"]
    argv += ["-i", "anoisesrc=d=20:r=48000", "-b:a", "128k", str(sound)]
    subprocess.run(argv, check=True, timeout=60)
    page = b"<!doctype html><link rel=icon href=data:,><h1>Archive</h1><audio src=/tone.mp3 preload=auto></audio>"
    pages = {"/": Page("text/html", page), "/tone.mp3": Page("audio/mpeg", sound.read_bytes())}
    with HttpStub(pages) as stub, Browser() as browser:
        browser.page.goto(stub.url("/"))
        assert browser.page.locator("h1").inner_text() == "Archive"
        browser.wait_for(lambda: browser.answers("/tone.mp3", 206), 15, "a partial response to the player")
        assert browser.answers("/tone.mp3")[0].headers["content-range"].startswith("bytes 0-")
        assert [asked.method for asked in browser.requests[:1]] == ["GET"]
        moves = "() => { const a = document.querySelector('audio'); a.muted = true; return a.play(); }"
        browser.page.evaluate(moves)
        time_now = "document.querySelector('audio').currentTime"
        browser.wait_for(lambda: browser.page.evaluate(time_now) > 0.2, 15, "the player to move")
        browser.assert_clean()
        browser.page.evaluate("console.error('told')")
        browser.page.evaluate("setTimeout(() => { throw new Error('thrown'); })")
        browser.wait_for(lambda: browser.page_errors and browser.console_errors, 5, "the two errors")
        assert "told" in browser.console_errors[0]
        assert "thrown" in browser.page_errors[0]
        with pytest.raises(AssertionError, match="told"):
            browser.assert_clean()
