"""Streams of a real icecast2 that break off again and again: against a second listener on the server itself."""

import contextlib
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.parts.capture import RawCapture
from tests.parts.icecast import Icecast
from tests.parts.mp3 import frames
from tests.parts.proxy import Cut, CuttingProxy
from tests.parts.waiting import wait_until
from tests.system.running import Json, RunningAgent, utc_ns

pytestmark = pytest.mark.real_time

BYTES_PER_S = 16_000
PACKET_S = 1152 / 44100
BURST_S = 65_536 / BYTES_PER_S
MARGIN_S = 0.5
"""A connection reaches back as far as its burst: an outage that is this much shorter is none in the audio."""
TWICE_MOST = 7
"""Packets: eight are needed to be sure."""
QUIET_CUTS = [Cut(after_s=3.0), Cut(after_s=0.7), Cut(after_bytes=30_000)]

SOURCE = '  - {{id: {id}, type: icecast, url: "http://127.0.0.1:{port}{mount}"}}\n'


def test_twenty_cuts(tmp_path: Path) -> None:
    cut_again_and_again(tmp_path, sources=5, cuts=4)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_fifty_cuts(tmp_path: Path) -> None:
    cut_again_and_again(tmp_path, sources=10, cuts=5)


def cut_again_and_again(folder: Path, *, sources: int, cuts: int) -> None:
    """Several sources at once, because the pause before a new attempt doubles: the first two outages are shorter than
    the burst, the later ones longer. At the end the agent is killed once, and stopped once."""
    rng = random.Random(sources * cuts)
    with contextlib.ExitStack() as stack:
        icecast = stack.enter_context(Icecast(folder / "icecast"))
        icecast.feed_mp3("/live.mp3")
        icecast.feed_mp3("/silent.mp3", silent=True)
        capture = stack.enter_context(RawCapture(icecast.url("/live.mp3")))
        proxies = {
            f"s{number}": stack.enter_context(CuttingProxy(icecast.port, random_cuts(rng, cuts)))
            for number in range(sources)
        }
        quiet = stack.enter_context(CuttingProxy(icecast.port, QUIET_CUTS))
        config = "agent: {id: shed}\nrecording: {period: 30s}\nsources:\n"
        for source, proxy in proxies.items():
            config += SOURCE.format(id=source, port=proxy.port, mount="/live.mp3")
        config += SOURCE.format(id="quiet", port=quiet.port, mount="/silent.mp3")
        agent = stack.enter_context(RunningAgent(folder / "agent", config))
        for restarts, end in enumerate((agent.kill, agent.stop, agent.stop)):
            if restarts:
                agent.start()
            for proxy in proxies.values():
                settled(proxy, cuts + 1 + restarts)
            settled(quiet, len(QUIET_CUTS) + 1 + restarts)
            end()
        sent = [frame.data for frame in frames(capture.stop())]
    for source, proxy in proxies.items():
        judge(agent, source, proxy, sent)
    judge_silence(agent, quiet)


def random_cuts(rng: random.Random, count: int) -> list[Cut]:
    """At random moments, in good order or not. The first two may lie within the burst: after a long outage, how old a
    burst is that broke off cannot be known."""
    return [
        Cut(after_bytes=rng.randrange(4000, 66_000), hard=rng.random() < 0.5)
        if number < 2 and rng.random() < 0.5
        else Cut(after_s=rng.uniform(1, 5), hard=rng.random() < 0.5)
        for number in range(count)
    ]


def settled(proxy: CuttingProxy, connections: int) -> None:
    """So many connections have been made, and the last one has brought its burst and 2 s more."""
    proxy.wait_for_connections(connections, timeout_s=90)
    newest = proxy.passed[connections - 1]
    wait_until(lambda: len(newest.data) > 65_536 + 2 * BYTES_PER_S, 30, "the burst and what comes after it")


def payload(agent: RunningAgent, segment: Json) -> bytes:
    return agent.path(segment).read_bytes()[int(segment["payload_offset"]) :]


def judge(agent: RunningAgent, source: str, proxy: CuttingProxy, sent: list[bytes]) -> None:
    """Each packet once and in order; each gap as long as the packets that are missing in it. (Where a connection broke
    off within its burst its dates are late; the next puts that right, and says by how much the two overlap.)"""
    place = {data: number for number, data in enumerate(sent)}
    assert len(place) == len(sent)
    spans = []
    for segment in agent.segments(source):
        found = [place[frame.data] for frame in frames(payload(agent, segment))]
        assert found == list(range(found[0], found[-1] + 1)), f"{segment['file']} has a hole"
        assert len(found) == segment["packets"]
        spans.append((found[0], found[-1] + 1, segment))
    gaps = 0
    (_, reached, before), *rest = sorted(spans, key=lambda span: span[:2])
    for first, end, segment in rest:
        missing = first - min(reached, end) if first < reached else first - reached
        what = f"{source}: before {segment['file']} {missing} packets are missing"
        if end <= reached:  # of a connection that brought too few to be known: a file of its own, all of it twice
            assert missing >= -TWICE_MOST, what
            continue
        gap_s = (utc_ns(segment["start"]) - utc_ns(before["end"])) / 1e9
        told_s = segment["gap_before"]["duration_s"] if segment["gap_before"] else 0.0
        assert missing >= -TWICE_MOST, what
        if gap_s > -segment["clock"]["overlap_s"]:
            assert abs(gap_s - missing * PACKET_S) <= (0.15 if missing else PACKET_S), what
        assert abs(told_s - max(0, missing) * PACKET_S) <= (0.15 if missing else PACKET_S), what
        gaps += missing > 0
        reached, before = end, segment
    outages_s = [after.made_s - before.ended_s for before, after in pairwise(proxy.passed)]
    assert gaps <= sum(outage_s > BURST_S - MARGIN_S for outage_s in outages_s)


def judge_silence(agent: RunningAgent, proxy: CuttingProxy) -> None:
    """What cannot be told apart is kept: as many packets as came on each connection that broke off in good order."""
    segments = agent.segments("quiet")
    goes_on = {segment["start"]: segment for segment in segments if segment["gap_before"] is None}
    runs = []
    for segment in segments:
        if segment["gap_before"] is not None:  # The times of two runs may overlap, those within a run join.
            runs.append(int(segment["packets"]))
            while segment["reason"] == "boundary":
                segment = goes_on[segment["end"]]
                runs[-1] += int(segment["packets"])
    came = [len(frames(audio(bytes(passed.data)))) for passed in proxy.passed]
    assert len(runs) == len(came)
    assert not Counter(came[: len(QUIET_CUTS)]) - Counter(runs)


def audio(answer: bytes) -> bytes:
    """The body of an answer without the titles in it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    interval = int(head.lower().partition(b"icy-metaint:")[2].split(maxsplit=1)[0])
    found, at = b"", 0
    while at < len(body):
        found += body[at : at + interval]
        at += interval
        at += 1 + 16 * body[at] if at < len(body) else 0
    return found
