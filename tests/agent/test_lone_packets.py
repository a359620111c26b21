"""No file of a single packet, and nothing else changed."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.lone_packets import LonePackets
from agent.model import (
    AudioFormat,
    Break,
    CloseReason,
    Frame,
    GapCause,
    Instant,
    Part,
    SampleFormat,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    SegmentTitle,
)
from tests.agent.build import singly, together

MP3 = AudioFormat("mp3", 44100, 2)
OTHER = AudioFormat("mp3", 48000, 2)
PCM = AudioFormat.pcm(48000, 2, SampleFormat.S16_LE)
START = datetime(2026, 11, 22, tzinfo=UTC)
AT = Instant(0, 0, 0)


def segments_of(runs: list[tuple[AudioFormat, list[int]]], titles: bool) -> list[Part]:
    """What a segmenter would say: runs of segments with so many packets each, a break behind each run."""
    parts: list[Part] = []
    number = 0
    for audio_format, lengths in runs:
        for place, length in enumerate(lengths):
            parts.append(SegmentOpen(START + timedelta(seconds=number), 0.0, audio_format, aligned_start=False))
            for _ in range(length):
                number += 1
                frame = Frame(number.to_bytes(4, "big"), 1152, audio_format, AT)
                parts.append(SegmentData(frame, START + timedelta(seconds=number)))
                if titles:
                    parts.append(SegmentTitle(str(number), START + timedelta(seconds=number)))
            last = place == len(lengths) - 1
            reason = CloseReason.GAP if last else CloseReason.BOUNDARY
            parts.append(SegmentClose(START + timedelta(seconds=number), reason, not last, None))
        parts.append(Break(GapCause.DISCONNECTED, None, number))
    return parts


RUNS = st.lists(
    st.tuples(st.sampled_from([MP3, OTHER, PCM]), st.lists(st.integers(1, 4), min_size=1, max_size=6)), max_size=5
)


@given(RUNS, st.booleans())
def test_every_file_has_two_packets_where_its_run_has(runs: list[tuple[AudioFormat, list[int]]], titles: bool) -> None:
    given_parts = segments_of(runs, titles)
    joiner = LonePackets()
    parts = [part for one in given_parts for part in joiner.push(one)]

    def kept(kind: type, among: list[Part]) -> list[Part]:
        return [part for part in among if isinstance(part, kind)]

    for kind in (SegmentData, SegmentTitle, Break):
        assert kept(kind, parts) == kept(kind, given_parts)
    counts = iter([sum(lengths) for audio_format, lengths in runs])
    total, in_file, opened = 0, 0, None
    for part in parts:
        match part:
            case SegmentOpen():
                assert opened is None
                opened, in_file = part, 0
            case SegmentData():
                assert opened is not None
                assert part.frame.format == opened.format
                in_file, total = in_file + 1, total + 1
            case SegmentClose():
                assert opened is not None
                assert opened.format == PCM or in_file > 1 or total == 1
                opened = None
            case Break():
                assert opened is None
                assert total == next(counts)
                total = 0


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_packets_that_come_together_are_not_alone(lengths: list[int]) -> None:
    """A frame of several packets is as good as the packets one by one."""
    parts = segments_of([(MP3, lengths)], titles=False)
    whole: list[Part] = []
    for part in parts:
        if isinstance(part, SegmentData) and isinstance(whole[-1], SegmentData):
            whole[-1] = SegmentData(together([*singly(whole[-1].frame), part.frame]), part.end)
        else:
            whole.append(part)

    def files(given_parts: list[Part]) -> list[list[Frame]]:
        found: list[list[Frame]] = []
        joiner = LonePackets()
        for one in given_parts:
            for part in joiner.push(one):
                if isinstance(part, SegmentOpen):
                    found.append([])
                elif isinstance(part, SegmentData):
                    found[-1] += singly(part.frame)
        return found

    assert files(whole) == files(parts)


@given(RUNS)
def test_pcm_passes_through(runs: list[tuple[AudioFormat, list[int]]]) -> None:
    parts = segments_of([(PCM, lengths) for _, lengths in runs], titles=True)
    joiner = LonePackets()
    for part in parts:
        assert list(joiner.push(part)) == [part]


def test_a_format_that_changes_is_no_neighbour() -> None:
    one, two = (segments_of([(audio_format, [1])], titles=False)[:2] for audio_format in (MP3, OTHER))
    change = SegmentClose(START, CloseReason.BOUNDARY, True, None)
    joiner = LonePackets()
    parts = [part for given_part in (*one, change, *two, change) for part in joiner.push(given_part)]
    assert parts == [*one, change]
    assert list(joiner.push(Break(GapCause.STALL, None, 0)))[:2] == two
