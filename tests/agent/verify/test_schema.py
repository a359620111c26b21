"""Our small validator against jsonschema, on sidecars that hypothesis spoils."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.verify.schema import problems
from tests.agent.recorded import record
from tests.agent.schemas import validate

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-2, 2),
    st.text(max_size=5),
    st.just("2026-11-22T13:00:00.000Z"),
    st.lists(st.integers(), max_size=3),
    st.just({}),
    st.just([[0, "2026-11-22T13:00:00.000Z"]]),
    st.just([[0, "2026-11-22T13:00:00.000Z", 3]]),
)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("schema")
    record(folder, "mp3")
    sidecar = json.loads(sorted(folder.glob("*/*/*/*/*.json"))[0].read_bytes())
    gap = json.loads((folder / "mic" / "gaps.jsonl").read_bytes().splitlines()[0])
    return {"segment": {**sidecar, "gap_before": gap, "gaps": [gap]}, "gap": gap}


def is_valid(name: str, value: object) -> bool:
    try:
        validate(name, value)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("name", ["segment", "gap"])
def test_what_is_written_is_right(bodies: dict[str, dict[str, Any]], name: str) -> None:
    assert problems(name, bodies[name]) == []


@pytest.mark.parametrize("name", ["segment", "gap"])
@given(data=st.data())
def test_the_verdict_is_that_of_jsonschema(bodies: dict[str, dict[str, Any]], name: str, data: st.DataObject) -> None:
    body = copy.deepcopy(bodies[name])
    inside: Any = body
    for _ in range(data.draw(st.integers(0, 2))):
        deeper = [value for value in (inside.values() if isinstance(inside, dict) else inside) if value]
        deeper = [value for value in deeper if isinstance(value, dict | list)]
        if deeper:
            inside = data.draw(st.sampled_from(deeper))
    place = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
    if isinstance(inside, dict) and data.draw(st.booleans()):
        del inside[place]
    else:
        inside[place] = data.draw(VALUES)
    assert (problems(name, body) == []) is is_valid(name, body)


def test_the_words_name_the_place() -> None:
    assert problems("gap", {})[0] == "v is not there"
    assert problems("gap", 3) == ["the whole is 3, not object"]
