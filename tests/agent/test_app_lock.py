import gc
from pathlib import Path

import pytest

from agent.app import App
from agent.config import Settings, load
from agent.errors import LockedError


def settings(folder: Path, *, recordings: str = "recordings", state: str = "") -> Settings:
    file = folder / "config.yaml"
    file.write_text(
        f"agent:\n  id: shed\n  timezone: UTC\n  state_directory: {state}\n"
        f"recording:\n  directory: {recordings}\nsources:\n  - id: tone\n    type: test\n",
        encoding="utf-8",
    )
    return load(file)


def let_go(app: App) -> None:
    """As the kernel does when a process ends."""
    for lock in app._locks:
        lock.release()


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISR_RECORDINGS", raising=False)


def test_a_second_agent_with_the_same_recordings_is_refused(tmp_path: Path) -> None:
    first = App(settings(tmp_path))
    with pytest.raises(LockedError, match="another agent"):
        App(settings(tmp_path))
    with pytest.raises(LockedError, match="recordings"):
        App(settings(tmp_path, state="elsewhere"))
    let_go(first)
    let_go(App(settings(tmp_path)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a refused agent ends, and lets go so
def test_a_second_agent_with_the_same_state_is_refused(tmp_path: Path) -> None:
    first = App(settings(tmp_path, recordings="one", state="state"))
    with pytest.raises(LockedError, match="state"):
        App(settings(tmp_path, recordings="two", state="state"))
    gc.collect()
    let_go(App(settings(tmp_path, recordings="two", state="other")))
    let_go(first)


def test_two_agents_with_folders_of_their_own_run_side_by_side(tmp_path: Path) -> None:
    apps = [App(settings(tmp_path, recordings=name)) for name in ("one", "two")]
    for app in apps:
        let_go(app)
