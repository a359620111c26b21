from hypothesis import given
from hypothesis import strategies as st

from agent.mqtt.topics import Topics

TOPICS = Topics("home/isr", "shed")
ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)


def test_the_tree() -> None:
    assert TOPICS.root == "home/isr/shed"
    assert TOPICS.availability == "home/isr/shed/availability"
    assert TOPICS.info == "home/isr/shed/info"
    assert TOPICS.responses == "home/isr/shed/resp"
    assert TOPICS.commands == ("home/isr/shed/cmd", "home/isr/shed/src/+/cmd")
    assert TOPICS.source("mic", "segment/last") == "home/isr/shed/src/mic/segment/last"


@given(ids, ids)
def test_a_command_topic_names_its_source(agent: str, source: str) -> None:
    topics = Topics("isr", agent)
    assert topics.commanded_source(topics.source(source, "cmd")) == source
    assert topics.commanded_source(topics.commands[0]) is None


def test_a_source_without_a_name_is_no_command_to_the_agent() -> None:
    assert TOPICS.commanded_source("home/isr/shed/src//cmd") == ""
