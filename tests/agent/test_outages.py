import logging

import pytest

from agent.outages import OutageLog


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_repeating_fault_is_said_at_its_start_every_ten_minutes_and_when_it_is_over(
    said: pytest.LogCaptureFixture,
) -> None:
    outage = OutageLog(logging.getLogger("x"), "mic")
    for minute in range(25):
        outage.fault("busy", 60.0 * minute)
    outage.over("audio again")
    outage.over("audio again")
    assert said.messages == [
        "mic: busy",
        "mic: busy (and 9 times before)",
        "mic: busy (and 9 times before)",
        "mic: audio again",
    ]


def test_another_fault_is_said_at_once(said: pytest.LogCaptureFixture) -> None:
    outage = OutageLog(logging.getLogger("x"), "mic")
    for text in ("busy", "busy", "away", "busy"):
        outage.fault(text, 0.0)
    assert said.messages == ["mic: busy", "mic: away", "mic: busy"]


def test_after_recovery_the_same_fault_is_news(said: pytest.LogCaptureFixture) -> None:
    outage = OutageLog(logging.getLogger("x"), "mic")
    outage.fault("busy", 0.0)
    outage.over("audio again")
    outage.fault("busy", 1.0)
    assert said.messages == ["mic: busy", "mic: audio again", "mic: busy"]
    assert [record.levelname for record in said.records] == ["WARNING", "INFO", "WARNING"]
