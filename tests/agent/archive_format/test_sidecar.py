import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archive_format.sidecar import encode, encode_line, gap_from, gap_json, segment_from, segment_json
from agent.archive_format.times import from_ns
from agent.model import AudioFormat, Clock, CloseReason, Gap, GapCause, SampleFormat, Segment, TitleAt
from tests.agent.schemas import validate

ids = st.uuids().map(str)
moments = st.integers(0, 4_102_444_800_000).map(lambda ms: from_ns(ms * 1_000_000))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
seconds = st.integers(0, 10**9).map(lambda ms: ms / 1000)


@st.composite
def gaps(draw: st.DrawFn) -> Gap:
    start = draw(moments)
    end = draw(st.none() | moments.filter(lambda at: at >= start) if start.year < 2090 else st.none())
    return Gap(
        draw(ids), "mic", start, end, draw(st.sampled_from(GapCause)), draw(st.none() | texts), draw(st.integers(0, 9))
    )


formats = st.builds(
    AudioFormat.pcm, st.integers(1, 384_000), st.integers(1, 32), st.sampled_from(SampleFormat)
) | st.builds(AudioFormat, st.just("mp3"), st.integers(1, 48_000), st.integers(1, 2))
formats |= st.builds(AudioFormat, st.just("flac"), st.integers(1, 384_000), st.integers(1, 8), st.integers(4, 24))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    audio_format = draw(formats)
    codec = audio_format.codec
    container = codec if codec != "pcm" else draw(st.sampled_from(["flac", "wav"]))
    start = draw(moments)
    return Segment(
        id=draw(ids),
        agent="shed",
        source="mic",
        boot=draw(ids),
        run=draw(ids),
        file="mic/2026/11/22/a.flac",
        container=container,
        format=audio_format,
        start=start,
        end=draw(moments),
        tz=draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Africa/Monrovia"])),
        samples=draw(st.integers(0, 1 << 40)),
        packets=draw(st.none() | st.integers(0, 1 << 30)),
        bytes=draw(st.integers(0, 1 << 50)),
        payload_offset=draw(st.integers(0, 1000)),
        aligned_start=draw(st.booleans()),
        aligned_end=draw(st.booleans()),
        clock=Clock(
            draw(st.none() | st.booleans()),
            draw(st.none() | seconds),
            draw(st.none() | st.integers(-3000, 3000).map(lambda tenth: tenth / 10)),
            draw(seconds),
            tuple(draw(st.lists(st.tuples(st.integers(0, 1 << 40), moments), min_size=1, max_size=4))),
        ),
        reason=draw(st.none() | st.sampled_from(CloseReason)),
        rev=draw(st.integers(1, 99)),
        sha256=draw(st.none() | st.just("0" * 64)),
        gap_before=draw(st.none() | gaps()),
        gaps=tuple(draw(st.lists(gaps().filter(lambda gap: gap.end is not None), max_size=3))),
        titles=tuple(draw(st.lists(st.builds(TitleAt, texts, moments, seconds), max_size=3))),
        url=draw(st.none() | texts),
        recovered=draw(st.booleans()),
    )


@given(segments())
def test_a_segment_comes_back_as_it_was_and_fits_the_schema(segment: Segment) -> None:
    written = encode(segment_json(segment))
    validate("segment", json.loads(written))
    assert segment_from(json.loads(written)) == segment
    assert encode(segment_json(segment_from(json.loads(written)))) == written


@given(gaps(), st.sampled_from(["begin", "midnight", "end"]))
def test_a_gap_comes_back_as_it_was_and_fits_the_schema(gap: Gap, at: str) -> None:
    line = encode_line(gap_json(gap, at=at))
    assert line.count(b"\n") == 1
    validate("gap", json.loads(line))
    assert gap_from(json.loads(line)) == gap


@given(segments(), st.data())
def test_a_damaged_sidecar_is_told_apart_by_the_three_errors(segment: Segment, data: st.DataObject) -> None:
    body: dict[str, Any] = segment_json(segment)
    key = data.draw(st.sampled_from(sorted(body)))
    if data.draw(st.booleans()):
        del body[key]
    else:
        body[key] = data.draw(st.sampled_from([None, [], {}, "x", "0001-01-01T00:00:00+14:00", [[1, 2, 3]], [{}]]))
    try:
        segment_from(json.loads(encode(body)))
    except (KeyError, TypeError, ValueError):
        return


def test_what_is_missing_inside_is_counted_and_what_was_not_asked_for_is_not() -> None:
    def gap(cause: GapCause, length_s: int) -> Gap:
        return Gap("0" * 8, "mic", from_ns(0), from_ns(length_s * 10**9), cause)

    segment = Segment(
        id="x",
        agent="shed",
        source="mic",
        boot="b",
        run="r",
        file="f",
        container="wav",
        format=AudioFormat.pcm(48000, 1, SampleFormat.S16_LE),
        start=from_ns(0),
        end=from_ns(0),
        tz="UTC",
        samples=0,
        packets=None,
        bytes=0,
        payload_offset=0,
        aligned_start=False,
        clock=Clock(None, None, None, 0.0, ()),
        gaps=(gap(GapCause.OVERRUN, 2), gap(GapCause.OVERRUN, 3), gap(GapCause.STOPPED, 50), gap(GapCause.STALL, 1)),
    )
    body = segment_json(segment)
    assert (body["missing_s"], body["overruns"], body["codec"]) == (6.0, 2, "pcm")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="."):
        encode({"x": value})
    with pytest.raises(ValueError, match="."):
        encode_line({"x": value})
