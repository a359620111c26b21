"""Where the lines of a boot stand in the gap ledger, whatever is forgotten of it."""

from pathlib import Path

from agent.archive_format.ledger import read_ledger
from agent.model import Gap, GapCause, GapLine, Instant
from agent.storage.boots import Boots
from agent.storage.ledger import Ledger
from tests.agent.build import EPOCH_NS, NS, utc


def test_forgetting_shifts_where_the_lines_of_a_boot_begin(tmp_path: Path) -> None:
    recordings, state = tmp_path / "recordings", tmp_path / "state"
    state.mkdir()
    ledger = Ledger(recordings, "mic")

    def gap(name: str, start_s: float, end_s: float | None, at: str = "end") -> None:
        end = None if end_s is None else utc(end_s)
        ledger.append(GapLine(at, Gap(name, "mic", utc(start_s), end, GapCause.STALL)))

    for number in range(50):
        gap(f"old{number}", number * 10, None, "begin")
        gap(f"old{number}", number * 10, number * 10 + 5)
    gap("over the start", 9_000, None, "begin")
    Boots(state, "before", recordings, ["mic"])
    boots = Boots(state, "now", recordings, ["mic"])
    gap("over the start", 9_000, 9_500)
    gap("mine", 10_000, 10_005)
    data = (recordings / "mic" / "gaps.jsonl").read_bytes()
    begin, _ = boots.ledger_part(boots.now, "mic")
    mine = data[begin:]
    assert boots.forget_gaps("mic", utc(8_000))
    assert not boots.forget_gaps("mic", utc(8_000))
    for known in (boots, Boots(state, "now", recordings, ["mic"])):
        begin, end = known.ledger_part(known.now, "mic")
        data = (recordings / "mic" / "gaps.jsonl").read_bytes()
        assert data[begin:end] == mine
        assert list(read_ledger(data[:begin])) == ["over the start"]


def test_nothing_is_forgotten_while_lines_of_a_boot_are_to_be_corrected(tmp_path: Path) -> None:
    recordings, state = tmp_path / "recordings", tmp_path / "state"
    state.mkdir()
    ledger = Ledger(recordings, "mic")
    for number in range(3):
        gap = Gap(f"{number}", "mic", utc(number * 10), utc(number * 10 + 5), GapCause.STALL)
        ledger.append(GapLine("end", gap))
    boots = Boots(state, "now", recordings, ["mic"])
    boots.seen(Instant(EPOCH_NS, 10 * NS, 10 * NS), synchronized=False)
    assert boots.seen(Instant(EPOCH_NS, 11 * NS, 11 * NS), synchronized=True) or boots.seen(
        Instant(EPOCH_NS + NS, 12 * NS, 12 * NS), synchronized=True
    )
    assert not boots.forget_gaps("mic", utc(1000))
    boots.now.done.add("mic")
    assert boots.forget_gaps("mic", utc(1000))


def test_a_ledger_that_is_shorter_than_remembered_is_read_whole(tmp_path: Path) -> None:
    recordings, state = tmp_path / "recordings", tmp_path / "state"
    state.mkdir()
    ledger = Ledger(recordings, "mic")
    for number in range(3):
        gap = Gap(f"{number}", "mic", utc(number * 10), utc(number * 10 + 5), GapCause.STALL)
        ledger.append(GapLine("end", gap))
    boots = Boots(state, "now", recordings, ["mic"])
    path = recordings / "mic" / "gaps.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[-1])
    assert boots.ledger_part(boots.now, "mic") == (0, None)
