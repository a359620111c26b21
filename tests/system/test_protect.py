"""Protected recordings, over a real broker: what a command keeps, retention leaves, through a restart as well."""

from pathlib import Path
from typing import Any

import pytest

from agent.archive_format.times import parse
from tests.parts.waiting import wait_until
from tests.system.messages import body, judge
from tests.system.running import Json, RunningAgent
from tests.system.test_commands import broker_at, final

CONFIG = """
agent: {{id: shed}}
recording: {{period: 5s}}
{more}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources: [{{id: test, type: test, signal: noise, format: wav}}]
"""


@pytest.mark.parametrize("how", ["ids", "time"])
def test_what_is_protected_stays(tmp_path: Path, how: str) -> None:
    with (
        broker_at(tmp_path / "broker") as broker,
        broker.listen("isr/#", user="operator", as_published=True) as said,
    ):
        folder = tmp_path / "agent"
        with RunningAgent(folder, CONFIG.format(port=broker.port, more="")) as agent:
            first, second = agent.wait_for_segments("test", 2, 20)[:2]
            chosen = [first, second] if how == "time" else [first]
            broker.publish("isr/shed/cmd", command("protect", first, second, how), user="operator")
            answer = final(said, "protect", 0)
            assert (answer["code"], answer["ok"]) == ("done", True)
            assert answer["text"] == f"{len(chosen)} of {len(chosen)} segments are now protected"
            for one in chosen:
                assert now(agent, one)["protected"] is True
                assert now(agent, one)["rev"] == 2

                def is_told(message: Any, one: Json = one) -> bool:  # noqa: ANN401
                    return message.topic == "isr/shed/src/test/segment" and (
                        (body(message)["id"], body(message)["protected"]) == (one["id"], True)
                    )

                said.wait_for(is_told, 5, "the segment told again")
            assert agent.stop() == 0
        with RunningAgent(folder, CONFIG.format(port=broker.port, more="retention: {max_size: 1MB}")) as agent:
            wait_until(
                lambda: sum(one["deleted"] is not None for one in agent.segments("test")) >= 2,
                30,
                "unprotected ones to go",
            )
            assert all(agent.path(one).exists() for one in chosen)
            broker.publish("isr/shed/cmd", command("unprotect", first, second, how), user="operator")
            assert final(said, "unprotect", 0)["code"] == "done"
            wait_until(lambda: not any(agent.path(one).exists() for one in chosen), 15, "them to go as well")
            for one in chosen:
                deleted = now(agent, one)
                assert deleted["deleted"]["why"] == "max_size"
                assert deleted["rev"] == 4

                def is_told_gone(message: Any, one: Json = one) -> bool:  # noqa: ANN401
                    return message.topic == "isr/shed/src/test/segment" and (
                        body(message)["id"] == one["id"] and body(message)["deleted"] is not None
                    )

                said.wait_for(is_told_gone, 5, "the deletion told")
            assert agent.stop() == 0
        judge(said.messages)


def command(verb: str, first: Json, second: Json, how: str) -> str:
    if how == "ids":
        return f'{{"cmd":"{verb}","args":{{"segments":["{first["id"]}"]}}}}'
    middle = parse(first["start"]) + (parse(first["end"]) - parse(first["start"])) / 2
    args = f'{{"source":"test","from":"{middle.isoformat()}","to":"{second["end"]}"}}'
    return f'{{"cmd":"{verb}","args":{args}}}'


def now(agent: RunningAgent, segment: Json) -> Json:
    return next(one for one in agent.segments("test") if one["id"] == segment["id"])
