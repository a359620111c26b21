import json
from importlib import resources

from hypothesis import given
from hypothesis import strategies as st

from agent.model import Notice, NoticeCode, Problem, Severity
from agent.mqtt.losses import Losses
from agent.mqtt.notices import Notices
from agent.mqtt.rows import Dropped
from tests.agent.build import utc


def notice(source: str | None = None, code: NoticeCode = NoticeCode.SOURCE_LOST) -> Notice:
    return Notice(code, Severity.INFO, "text", None, source)


def drain(notices: Notices) -> list[str | None]:
    found = []
    while (dated := notices.next()) is not None:
        found.append(dated.notice.source)
    return found


def test_the_newest_hundred_are_kept() -> None:
    notices = Notices()
    for number in range(150):
        notices.put(notice(f"s{number}"), utc(0), 0.0)
    assert drain(notices) == [f"s{number}" for number in range(50, 150)]


def test_what_was_lost_comes_first_and_makes_no_more_than_a_hundred() -> None:
    notices = Notices()
    notices.put(notice("lost"), utc(0), 0.0)
    lost = notices.next()
    assert lost is not None
    notices.put(notice("new"), utc(0), 0.0)
    notices.back([lost])
    assert drain(notices) == ["lost", "new"]


@given(st.lists(st.tuples(st.sampled_from(["mic", "radio", None]), st.floats(0, 400)), max_size=60))
def test_the_same_is_not_told_twice_in_ten_minutes(puts: list[tuple[str | None, float]]) -> None:
    notices, now_s = Notices(), 0.0
    told: dict[str | None, float] = {}
    for source, pause_s in puts:
        now_s += pause_s
        notices.put(notice(source), utc(0), now_s)
        taken = drain(notices) == [source]
        assert taken == (now_s - told.get(source, -600) >= 600)
        if taken:
            told[source] = now_s


def test_the_memory_of_what_was_told_is_bounded() -> None:
    notices = Notices()
    for number in range(5000):
        notices.put(notice(f"s{number}"), utc(0), 0.0)
    assert len(notices._taken_s) <= 1000


def test_losses_are_told_together_and_at_most_every_ten_minutes() -> None:
    losses = Losses()
    assert losses.notice(0) is None
    losses.add(Dropped(7, 9, 2), 0)
    losses.add(Dropped(3, 4, 2), 1)
    losses.add(None, 2)
    told = losses.notice(3)
    assert told is not None
    assert told.text == "4 messages dropped between seq 3 and 9; 1 dropped before they had a seq"
    losses.add(Dropped(10, 10, 1), 4)
    assert losses.notice(602) is None
    assert losses.notice(603) is not None
    assert losses.notice(9999) is None
    assert losses.count == 6
    assert losses.lately(3603)
    assert not losses.lately(3605)


def test_the_schemas_know_every_code() -> None:
    def words(name: str, *path: str) -> list[str]:
        found = json.loads(resources.files("agent.schemas").joinpath(f"{name}.json").read_text(encoding="utf-8"))
        for key in ("properties", *path):
            found = found[key]
        return list(found["enum"])

    assert words("notice", "code") == list(NoticeCode)
    assert words("notice", "severity") == list(Severity)
    assert words("health", "problems", "items") == list(Problem)
