"""Is a finished segment what its sidecar says? Pure: facts in, findings out."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from agent.archive_format.levels import row_start
from agent.archive_format.names import LEVELS, PART, SIDECAR, name_of, start_of
from agent.archive_format.times import parse, rfc3339
from agent.model import GapCause, Segment
from agent.verify.facts import Audio, Facts, Levels, Told
from agent.verify.finding import BY_HAND, COPY, REPAIR, Check, Finding

_SAME_S, _SAME_STREAM_S, _SAME_SHARE = 0.5, 5.0, 0.001
"""So far the wall-clock length of a segment may lie from that of its samples: a card's drift, and the joins. An encoder
that has just been started may send its first seconds faster than they pass."""
_ROUNDED_S = 2e-6
_SETTLED = timedelta(seconds=2)
"""So long a run is held at most until its clock is known: by so much its first file may have another name."""


def judge(facts: Facts, *, is_recorded_now: bool) -> list[Finding]:
    """What is wrong with one segment. `is_recorded_now`: an agent runs that has this source."""
    if facts.parts and not is_recorded_now:
        return [_left_over(facts)]
    if facts.parts:
        return []
    if facts.told is None:
        return [_no_sidecar(facts)]
    return list(_sidecar(facts, facts.told))


def _left_over(facts: Facts) -> Finding:
    if facts.parts[0].removesuffix(PART)[1:] in facts.extensions:
        return Finding(
            facts.group.shown(facts.parts[0]),
            Check.PART,
            "an unfinished recording beside finished audio of its name",
            "one of the two",
            "compare them, and move one elsewhere: nothing finishes the one while the other is there",
        )
    return Finding(
        facts.group.shown(facts.parts[0]),
        Check.PART,
        "a recording that nobody finished, and no agent that would",
        "finished audio",
        "the next start of the agent finishes it, or isr-agent repair does now",
    )


def _no_sidecar(facts: Facts) -> Finding:
    if facts.extensions:
        audio = facts.group.shown("." + facts.extensions[0])
        return Finding(audio, Check.NO_SIDECAR, "audio without a sidecar", "one beside it", f"{BY_HAND}, or {REPAIR}")
    series = facts.group.shown(LEVELS)
    return Finding(series, Check.LOST, "a level series alone", "audio and sidecar beside it", "put both back")


def _sidecar(facts: Facts, told: Told) -> Iterator[Finding]:
    file = facts.group.shown(SIDECAR)
    segment = told.segment
    if segment is None:
        text = f"not usable: {told.complaint}"
        yield Finding(file, Check.SIDECAR, text, "what the schema `segment` asks for", f"{BY_HAND}, or {REPAIR}")
        return
    yield from _consistent(file, told, segment)
    yield from _named(facts, file, segment)
    yield from _present(facts, told, segment)
    if facts.audio is not None:
        yield from _audio(facts.group.shown(f".{segment.container}"), segment, facts.audio)
    if facts.audio is not None or facts.levels is not None:
        yield from _levels(facts.group.shown(LEVELS), segment, facts.levels)


def _consistent(file: str, told: Told, segment: Segment) -> Iterator[Finding]:
    """What follows from other fields of the same sidecar."""
    wrong: list[tuple[str, object, object]] = []
    if abs(told.data["duration_s"] - segment.duration_s) > _ROUNDED_S:
        wrong.append(("duration_s", told.data["duration_s"], round(segment.duration_s, 6)))
    if not _is_same_moment(told.data["start_local"], segment.start):
        wrong.append(("start_local", told.data["start_local"], f"{rfc3339(segment.start)} in local time"))
    first, last = segment.clock.map[0], segment.clock.map[-1]
    if first != (0, segment.start):
        wrong.append(("clock.map", f"a first pair of {_pair(first)}", _pair((0, segment.start))))
    if last != (segment.samples, segment.end):
        wrong.append(("clock.map", f"a last pair of {_pair(last)}", _pair((segment.samples, segment.end))))
    for key, found, expected in wrong:
        yield Finding(file, Check.SIDECAR, f"{key} {found}", f"{expected} by its other fields", BY_HAND)
    filled_s = sum(gap.filled_samples for gap in segment.gaps) / segment.format.sample_rate_hz
    wall_s = (segment.end - segment.start) / timedelta(seconds=1)
    same_s = _SAME_S if segment.format.bytes_per_sample is not None else _SAME_STREAM_S
    if abs(wall_s - segment.duration_s) > same_s + _SAME_SHARE * segment.duration_s + filled_s:
        found = f"{wall_s:.3f} s from start to end"
        yield Finding(file, Check.SIDECAR, found, f"about {segment.duration_s:.3f} s, by its samples", BY_HAND)


def _is_same_moment(text: str, at: datetime) -> bool:
    try:
        return parse(text) == at
    except ValueError:
        return False


def _pair(pair: tuple[int, object]) -> str:
    return f"[{pair[0]}, {pair[1]}]"


def _named(facts: Facts, file: str, segment: Segment) -> Iterator[Finding]:
    group = facts.group
    wanted = PurePosixPath(segment.file)
    here = PurePosixPath(group.shown(f".{segment.container}"))
    if (wanted != here) if group.is_in_place else (wanted.name != here.name):
        yield Finding(file, Check.NAME, f"the sidecar of {segment.file}", str(here), "name the files back")
    elif segment.rev == 1 and (name := name_of(here)) is not None and _is_off(start_of(name), segment):
        # A later revision may know the time better; names never change.
        found = f"a start of {rfc3339(segment.start)}"
        yield Finding(file, Check.NAME, found, f"{rfc3339(start_of(name))}, as its name says", BY_HAND)
    if segment.source != group.source:
        yield Finding(file, Check.NAME, f"source {segment.source}", f"{group.source}, by its place", BY_HAND)


def _is_off(named: datetime, segment: Segment) -> bool:
    return abs(named - segment.start) > (timedelta(0) if segment.aligned_start else _SETTLED)


def _present(facts: Facts, told: Told, segment: Segment) -> Iterator[Finding]:
    for extension in facts.extensions:
        file = facts.group.shown(f".{extension}")
        if extension != segment.container:
            what = f"audio beside a sidecar that speaks of .{segment.container}"
            yield Finding(file, Check.NO_SIDECAR, what, "one audio file for each sidecar", "move it elsewhere")
        elif told.is_deleted:
            when = told.data["deleted"].get("at")
            yield Finding(file, Check.DELETED, "audio", f"none: it was deleted at {when}", "delete it by hand")
    if segment.container not in facts.extensions and not told.is_deleted:
        advice = f"{facts.alike} has just this size: name it back" if facts.alike else "put it back from a copy"
        file = facts.group.shown(f".{segment.container}")
        yield Finding(file, Check.LOST, "no file", f"{segment.bytes} bytes of audio", advice)


def _audio(file: str, segment: Segment, audio: Audio) -> Iterator[Finding]:
    if audio.size != segment.bytes:
        yield Finding(file, Check.SIZE, f"{audio.size} bytes", str(segment.bytes), COPY)
    elif segment.sha256 is not None and audio.sha256 != segment.sha256:
        yield Finding(file, Check.SHA256, audio.sha256, segment.sha256, COPY)
    whole = audio.whole
    if whole is None:
        found = audio.complaint or "not one whole packet"
        yield Finding(file, Check.DAMAGED, found, f"{segment.samples} samples of {segment.container}", COPY)
        return
    if audio.complaint is not None:
        yield Finding(file, Check.DAMAGED, audio.complaint, f"sound audio to byte {audio.size}", COPY)
    if not audio.is_header_right:
        yield Finding(file, Check.HEADER, "a header that does not fit what follows", "the true length in it", COPY)
    counts = (
        ("samples", whole.samples, segment.samples),
        ("packets", whole.packets, segment.packets),
        ("payload_offset", whole.payload_offset, segment.payload_offset),
        ("priming_packets", whole.priming_packets, segment.priming_packets),
        ("sample_rate_hz", whole.format.sample_rate_hz, segment.format.sample_rate_hz),
        ("channels", whole.format.channels, segment.format.channels),
        ("bits", whole.format.bits, segment.format.bits),
    )
    for key, counted, said in counts:
        if counted != said and audio.complaint is None:
            yield Finding(file, Check.COUNTS, f"{key} {counted}", f"{said}, as the sidecar says", COPY)
    yield from _decoded(file, segment, audio)


def _decoded(file: str, segment: Segment, audio: Audio) -> Iterator[Finding]:
    counted = audio.counted
    listed = sum(gap.filled_samples for gap in segment.gaps if gap.cause is GapCause.CORRUPT)
    if listed == segment.samples and (counted is None or counted.broken_packets == segment.packets):
        return  # there is nothing to be heard, and that is told
    if audio.silent_because is not None:
        yield Finding(file, Check.DECODE, audio.silent_because, "audio that can be decoded", COPY)
    if counted is None:
        return
    if counted.is_original is False:
        yield Finding(file, Check.DECODE, "samples of another MD5", "those that the encoder put in", COPY)
    lost = segment.samples - counted.samples
    if lost == listed:
        return
    if counted.broken_packets:
        found = f"{counted.broken_packets} packets that cannot be decoded, {lost} samples of {segment.samples}"
        advice = COPY if segment.sha256 != audio.sha256 else "nothing: the source sent them like that"
        yield Finding(file, Check.DECODE, found, f"{listed} samples, by the entries `corrupt` of the sidecar", advice)
    else:
        yield Finding(file, Check.DECODE, f"{counted.samples} samples", str(segment.samples - listed), COPY)


def _levels(file: str, segment: Segment, levels: Levels | None) -> Iterator[Finding]:
    expected = row_count(segment.samples, segment.format.sample_rate_hz)
    shown = f"{expected} rows of {segment.format.channels} channels"
    if levels is None:
        yield Finding(file, Check.LEVELS, "no file", shown, REPAIR)
    elif levels.rows is None:
        yield Finding(file, Check.LEVELS, levels.complaint or "no level series", shown, REPAIR)
    else:
        rows, rate = levels.rows, segment.format.sample_rate_hz
        channels = rows.dtype["min"].shape[0]
        if (len(rows), channels) != (expected, segment.format.channels):
            yield Finding(file, Check.LEVELS, f"{len(rows)} rows of {channels} channels", shown, REPAIR)
        elif rows["sample"].tolist() != [row_start(row, rate) for row in range(expected)]:
            yield Finding(file, Check.LEVELS, "rows that begin at other samples", "one for each 100 ms", REPAIR)


def row_count(samples: int, sample_rate_hz: int) -> int:
    """How many rows the series of so many samples has."""
    row = samples * 10 // sample_rate_hz
    while row_start(row, sample_rate_hz) < samples:
        row += 1
    while row and row_start(row - 1, sample_rate_hz) >= samples:
        row -= 1
    return row
