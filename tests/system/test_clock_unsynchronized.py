"""A box that starts with a wrong clock, as a Pi without a battery does: it records at once, and once the clock is right
its times are corrected, on disk and in the messages.

The wall clock is moved as in test_clock_step.py. What the kernel says of it cannot be moved, so the launcher puts a
question to a file in place of that to the kernel.
"""

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.agent.schemas import validate
from tests.parts.mosquitto import Broker, Message
from tests.parts.waiting import wait_until
from tests.system.messages import body, judge
from tests.system.running import Json
from tests.system.test_clock_step import LAUNCHER, NOISE_S, SteppedAgent

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, timezone: UTC}}
recording: {{period: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}, username: tester, password: tester-password}}
sources:
  - {{id: mic, type: test, sample_rate: 8000}}
"""
WRONG_S = -3 * 86_400.0

KERNEL = """
from pathlib import Path
from agent import clock
said = Path(os.environ["KERNEL_SAYS"])
clock.synchronized = lambda: said.read_text() == "synchronized"
"""


class WrongAgent(SteppedAgent):
    """The agent on a box whose clock is wrong by `WRONG_S`, until `learns_the_time`."""

    def __init__(self, folder: Path, config: str) -> None:
        folder.mkdir()
        self._kernel = folder / "kernel"
        self._kernel.write_text("unsynchronized")
        launcher = LAUNCHER.replace("from agent.__main__", f"{KERNEL}from agent.__main__")
        super().__init__(folder, config, env={**os.environ, "KERNEL_SAYS": str(self._kernel)}, launcher=launcher)
        self.step(WRONG_S)

    def learns_the_time(self) -> None:
        """As an NTP client does: the clock is set, and the kernel told that it is right."""
        self.step(-WRONG_S)
        self.is_synchronized()

    def is_synchronized(self) -> None:
        """The kernel says that the clock is right."""
        fresh = self._kernel.with_suffix(".new")
        fresh.write_text("synchronized")
        fresh.replace(self._kernel)

    def wrong(self) -> list[Json]:
        """Sidecars that still are as a wrong clock has dated them."""
        return [one for one in self.segments("mic") if one["clock"]["synchronized"] is False]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def judge_tiling(agent: WrongAgent, since_s: float, until_s: float) -> None:
    """Segments and gaps tile the true time from the start of the agent to its end."""
    tiles = [(one["start"], one["end"]) for one in [*agent.segments("mic"), *agent.gaps("mic")]]
    # On a busy box the audio turns out to begin before it was asked for; that gap has no length, and lies within.
    tiles = sorted((start, end or "z") for start, end in tiles if start != end)
    assert all(before[1] == after[0] for before, after in pairwise(tiles)), tiles
    assert since_s < seconds(tiles[0][0]) < until_s
    for one in agent.in_true_order():
        validate("segment", one)
        assert since_s < seconds(one["start"]) < until_s
    for line in agent.ledger("mic"):
        validate("gap", line)


def has(code: str) -> Callable[[Message], bool]:
    return lambda message: message.topic.endswith("/notice") and body(message)["code"] == code


def test_times_are_corrected_when_the_clock_is_set_right(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    agent = WrongAgent(tmp_path / "agent", CONFIG.format(port=broker.port))
    since_s = now_s()
    with broker, broker.listen("isr/#", as_published=True) as said, agent:
        said.wait_for(has("clock_unsynchronized"), 20, "the notice that the clock is wrong")
        said.wait_for(is_problem, 20, "the problem in the health topic")
        agent.wait_for_segments("mic", 3, 30)
        assert len(agent.wrong()) == len(agent.segments("mic"))
        files = {one["id"]: one["file"] for one in agent.segments("mic")}
        # Stopped by a wrong clock, started by a right one.
        broker.publish("isr/shed/src/mic/cmd", "stop")
        agent.wait_for_state("mic", "stopped")
        agent.learns_the_time()
        said.wait_for(has("clock_corrected"), 20, "the notice that it is done")
        broker.publish("isr/shed/src/mic/cmd", "start")
        agent.wait_for_state("mic", "recording")
        wait_until(lambda: not agent.wrong(), 20, "everything to be corrected")
        wait_until(lambda: agent.in_true_order()[-1]["rev"] == 1, 20, "a segment by the right clock")
        wait_until(lambda: stopped(agent)["corrected"], 30, "the gap over the step to be corrected")
        corrected = {one["id"] for one in agent.segments("mic") if one["clock"]["corrected"]}
        again = partial(told_twice, said.messages)
        wait_until(lambda: corrected <= again(), 20, "the corrected segments to be told again")
        assert agent.stop() == 0
        judge(said.messages)
    segments = agent.in_true_order()
    assert corrected >= files.keys()
    for one in segments:
        assert files.get(one["id"], one["file"]) == one["file"], "a file name changed"
        assert agent.path(one).is_file()
        if one["id"] in corrected:
            was = seconds(one["clock"]["corrected"]["start_as_recorded"])
            assert abs(was - seconds(one["start"]) - WRONG_S) < NOISE_S
            assert abs(one["clock"]["corrected"]["by_s"] + WRONG_S) < NOISE_S
    judge_tiling(agent, since_s - 5, now_s() + 1)


def stopped(agent: WrongAgent) -> Json:
    """The gap for which the source was stopped."""
    return {"corrected": None, **next(gap for gap in agent.gaps("mic") if gap["cause"] == "stopped")}


def told_twice(messages: list[Message]) -> set[str]:
    """The segments that were told with rev 1 and a higher one, under one id."""
    revs: dict[str, set[int]] = {}
    for message in messages:
        if message.topic.endswith("/segment"):
            said = body(message)
            revs.setdefault(str(said["id"]), set()).add(int(said["rev"]))
    return {identifier for identifier, seen in revs.items() if 1 in seen and max(seen) > 1}


def is_problem(message: Message) -> bool:
    return message.topic.endswith("/health") and "clock_unsynchronized" in body(message)["problems"]


def now_s() -> float:
    return datetime.now().astimezone().timestamp()


def test_a_kill_while_it_corrects_is_made_good(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    agent = WrongAgent(tmp_path / "agent", CONFIG.format(port=broker.port))
    since_s = now_s()
    with broker, agent:
        agent.wait_for_segments("mic", 1, 30)
        agent.kill()  # What an earlier run has recorded is corrected too, and so is the gap between them.
        agent.start()
        agent.wait_for_segments("mic", 4, 30)
        agent.learns_the_time()
        wait_until(
            lambda: any(one["clock"]["corrected"] for one in agent.segments("mic")), 20, "the first", poll_s=0.001
        )
        agent.kill()
        agent.start()
        agent.wait_for_state("mic", "recording")
        wait_until(lambda: not agent.wrong(), 20, "everything to be corrected")
        agent.wait_for_segments("mic", 5, 30)
        assert agent.stop() == 0
    assert [gap["cause"] for gap in agent.gaps("mic")].count("agent_crashed") == 2
    judge_tiling(agent, since_s - 5, now_s() + 1)


def test_a_clock_that_was_right_all_along_moves_nothing(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    agent = WrongAgent(tmp_path / "agent", CONFIG.format(port=broker.port))
    agent.step(-WRONG_S)
    since_s = now_s()
    with broker, agent:
        agent.wait_for_segments("mic", 1, 30)
        agent.is_synchronized()
        count = len(agent.segments("mic"))
        agent.wait_for_segments("mic", count + 2, 30)
        wait_until(lambda: not agent.wrong(), 20, "the segment that was open to be marked as right")
        assert agent.stop() == 0
    shifted = [one["clock"]["corrected"]["by_s"] for one in agent.segments("mic") if one["clock"]["corrected"]]
    assert len(shifted) >= 2
    assert set(shifted) == {0.0}
    judge_tiling(agent, since_s - 5, now_s() + 1)
