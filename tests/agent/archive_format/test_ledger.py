import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archive_format.ledger import blanked, ledger_line, open_gap, read_ledger
from agent.archive_format.sidecar import gap_json
from agent.model import Gap, GapCause, GapLine
from tests.agent.build import utc
from tests.agent.schemas import validate

IDS = [f"0192000{n}-0000-7000-8000-000000000000" for n in range(4)]


def line(at: str, number: int = 0, *, end: float | None = None, cause: GapCause = GapCause.STALL) -> GapLine:
    return GapLine(at, Gap(IDS[number], "mic", utc(number), None if end is None else utc(end), cause, "ä\n„x“"))


lines = st.builds(
    lambda at, number, end: line(at, number, end=None if at == "begin" else end),
    st.sampled_from(["begin", "midnight", "end"]),
    st.integers(0, 3),
    st.integers(10, 20).map(float),
)


@given(st.lists(lines, max_size=12))
def test_the_last_line_of_an_id_wins(written: list[GapLine]) -> None:
    data = b"".join(ledger_line(entry) for entry in written)
    assert data.count(b"\n") == len(written)
    for raw in data.splitlines():
        validate("gap", json.loads(raw))
    found = read_ledger(data)
    assert found == {entry.gap.id: entry for entry in written}
    assert list(found) == list(dict.fromkeys(entry.gap.id for entry in written))


@given(st.lists(lines, min_size=1, max_size=6), st.integers(1, 10_000))
def test_a_torn_last_line_is_passed_over(written: list[GapLine], cut: int) -> None:
    data = b"".join(ledger_line(entry) for entry in written)
    last = ledger_line(written[-1])
    torn = data[: len(data) - 1 - cut % (len(last) - 1)]
    whole = torn + b"\n" if torn.endswith(b"}") else torn
    expected = written if whole.endswith(b"}\n") and len(whole) == len(data) else written[:-1]
    assert read_ledger(torn) == {entry.gap.id: entry for entry in expected}
    # What is appended behind it later is read again.
    assert read_ledger(torn + b"\n" + last)[written[-1].gap.id] == written[-1]


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"1", b"null", b"[" * 5000]), max_size=5))
def test_foreign_lines_are_passed_over(foreign: list[bytes]) -> None:
    good = ledger_line(line("begin"))
    data = b"\n".join([*foreign, b"", good.rstrip(), *foreign])
    assert read_ledger(data) == {IDS[0]: line("begin")}


def test_lines_with_wrong_values_are_passed_over() -> None:
    body = gap_json(line("begin").gap, at="begin")
    wrong: list[dict[str, object]] = [
        {"id": []},
        {"id": {}},
        {"at": 5},
        {"at": "later"},
        {"start": 7},
        {"start": "0001-01-01T00:00:00+14:00"},
        {"cause": "weather"},
        {"end": "x"},
    ]
    data = b"".join(json.dumps({**body, **change}).encode() + b"\n" for change in wrong)
    assert read_ledger(data) == {}


def test_a_gap_that_has_begun_and_not_ended_is_open() -> None:
    def after(*entries: GapLine) -> Gap | None:
        return open_gap(read_ledger(b"".join(ledger_line(entry) for entry in entries)))

    assert after() is None
    assert after(line("begin"), line("end", end=10)) is None
    assert after(line("begin"), line("end", end=10), line("begin", 1)) == line("begin", 1).gap
    assert after(line("begin"), line("midnight", end=10)) == line("begin").gap
    assert after(line("begin"), line("midnight", end=10), line("end", end=12)) is None


BYTES = ledger_line(GapLine("end", Gap("1", "mic", utc(0), utc(5), GapCause.STALL, 'a "{detail}" \\ with } all')))[:-1]


@given(st.integers(0, len(BYTES)), st.integers(0, len(BYTES)), st.integers(0, 40))
def test_what_a_power_cut_leaves_of_a_line_is_blanked(length: int, blanks: int, zeros: int) -> None:
    """Its beginning, perhaps with zeros behind it, perhaps in the midst of being blanked, from whichever end."""
    torn = BYTES[:length] + bytes(zeros)
    kept = BYTES if length == len(BYTES) else b""
    assert blanked(torn) == kept.ljust(len(torn))
    half = min(blanks, len(torn))
    for left in (b" " * half + torn[half:], torn[:half] + b" " * (len(torn) - half)):
        assert blanked(left).strip() == (BYTES if BYTES in left else b"")
        assert len(blanked(left)) == len(torn)


@pytest.mark.parametrize("raw", [b"", b"notes", b'{"v": 1, "id": x}', b'{"v": 1}}', b'["a"]', b"}", b'"a"'])
def test_what_no_power_cut_has_torn_stays(raw: bytes) -> None:
    assert blanked(raw) == raw
