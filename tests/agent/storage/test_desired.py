from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model import Desired
from agent.storage.desired import DesiredStore


@given(st.lists(st.tuples(st.sampled_from(["mic", "radio", "x"]), st.sampled_from(Desired)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_what_was_asked_is_remembered_through_every_restart(tmp_path: Path, asked: list[tuple[str, Desired]]) -> None:
    (tmp_path / "desired.json").unlink(missing_ok=True)
    wanted = {}
    for source, desired in asked:
        DesiredStore(tmp_path).put(source, desired)
        wanted[source] = desired
        store = DesiredStore(tmp_path)
        for name in ("mic", "radio", "x"):
            assert store.of(name) is wanted.get(name, Desired.RECORD)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"{}", b'{"stopped": 5}', b"\xff"])
def test_what_cannot_be_read_means_record_and_is_said(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "desired.json").write_bytes(content)
    store = DesiredStore(tmp_path)
    assert store.of("mic") is Desired.RECORD
    assert "cannot be read" in caplog.text
    store.put("mic", Desired.STOP)
    assert DesiredStore(tmp_path).of("mic") is Desired.STOP


def test_a_wish_that_could_not_be_written_is_written_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    store = DesiredStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("agent.storage.desired.write_whole", full)
        with pytest.raises(OSError, match="No space"):
            store.put("mic", Desired.STOP)
    assert store.of("mic") is Desired.RECORD
    store.put("mic", Desired.STOP)
    assert DesiredStore(tmp_path).of("mic") is Desired.STOP
