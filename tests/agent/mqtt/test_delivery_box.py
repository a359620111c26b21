from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.mqtt.client import Lost, Ready
from agent.mqtt.message import Message
from tests.agent.mqtt.rig import Rig, body, clean_up, closed, heard


class Box(RuleBasedStateMachine):
    """Segments, events, a broker that comes, goes, refuses and is silent, and kills, in any order: nothing is lost,
    no number stands for two messages, and each topic keeps its order."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.rig.answer = self.answer
        self.mode = "ok"
        self.count = 0
        self.put: list[str] = []
        self.taken: dict[str, list[int]] = {}
        self.ids: dict[int, str] = {}

    def answer(self, message: Message) -> Any:  # noqa: ANN401 - as Rig has it
        if not message.topic.endswith(("/segment", "/event", "/event/late")):
            return None
        found = body(message)
        assert self.ids.setdefault(found["seq"], found["id"]) == found["id"], "a number for two messages"
        assert found["late"] or found["age_s"] <= 60
        if message.topic.endswith("/event") or message.topic.endswith("/late"):
            assert message.topic.endswith("/late") == found["late"]
        if self.mode == "ok":
            self.taken.setdefault(message.topic, []).append(found["seq"])
            return None
        return "Not authorized" if self.mode == "refuse" else ...

    @rule(source=st.sampled_from(["mic", "radio"]), old=st.booleans())
    def close(self, source: str, old: bool) -> None:
        self.count += 1
        end_s = self.rig.now_s - (100 if old else 1)
        item = closed(self.count, source, end_s=end_s)
        self.put.append(item.segment.id)
        self.rig.say(item)

    @rule(source=st.sampled_from(["mic", "radio"]), count=st.integers(1, 12))
    def hear(self, source: str, count: int) -> None:
        events = [heard(self.count + number, source) for number in range(1, count + 1)]
        self.count += count
        self.put += [event.id for event in events]
        self.rig.say(*events)

    @rule(mode=st.sampled_from(["ok", "ok", "refuse", "silent"]))
    def broker(self, mode: str) -> None:
        self.mode = mode

    @rule()
    def ready(self) -> None:
        self.rig.say(Lost(), Ready())

    @rule()
    def lost(self) -> None:
        self.rig.say(Lost())

    @rule(seconds=st.sampled_from([1, 20, 50, 70, 400]))
    def time(self, seconds: int) -> None:
        self.rig.now_s += seconds
        self.rig.say()

    @rule(reboot=st.booleans())
    def kill(self, reboot: bool) -> None:
        self.rig.kill()
        if reboot:
            self.rig.boot += "b"
        self.rig.begin()
        self.rig.say()

    @invariant()
    def not_too_many_are_under_way(self) -> None:
        assert self.rig.post._lanes.in_flight <= 10

    def teardown(self) -> None:
        self.mode = "ok"
        self.rig.say(Lost(), Ready())
        for _ in range(200):
            self.rig.say()
            if self.rig.post.facts().depth == 0:
                break
        assert self.rig.post.facts().depth == 0
        self.rig.now_s += 2
        self.rig.say()
        seqs = {seq for taken in self.taken.values() for seq in taken}
        assert seqs == set(range(1, len(self.put) + 1))
        assert [self.ids[seq] for seq in sorted(seqs)] == self.put
        for topic, taken in self.taken.items():
            # What was taken live, and is said once more after a kill, is late by then, and behind later ones perhaps.
            live = self.taken.get(topic.removesuffix("/late"), []) if topic.endswith("/late") else []
            first = [seq for seq in dict.fromkeys(taken) if seq not in live]
            assert first == sorted(first), topic
        clean_up()


Box.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBox = Box.TestCase
