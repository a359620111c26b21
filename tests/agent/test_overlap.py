import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import (
    Frame,
    GapCause,
    Loss,
    Resumed,
    RunEnded,
    RunStarted,
    SplitHere,
    Tail,
    Title,
    Unit,
)
from agent.overlap import ENOUGH, Overlap, place_in
from tests.agent.build import MP3_STEREO, S16_MONO, at, pcm_frame
from tests.agent.stream import PACKET_S, Connection, connections, packets, units

seeds = st.integers(0, 1 << 32)


def different(count: int) -> list[bytes]:
    return [b"%08d" % number for number in range(count)]


def pushed(overlap: Overlap, items: list[Unit]) -> list[Unit]:
    return [new for item in items for new in overlap.push(item)]


def last(made: list[Connection]) -> int:
    return max(connection.end for connection in made)


def check(made: list[Connection], stream: list[bytes], seed: int) -> list[tuple[Connection, int, bool]]:
    """Each connection with the number of its first packet that went on, and whether that was said to join.

    What went on is the end of what came, and nothing was left out that had not gone on before. (What is older than the
    newest stretch without a gap has no place any more.)
    """
    rng, overlap = random.Random(seed), Overlap()
    found = []
    end = 0
    for connection in made:
        out = pushed(overlap, units(connection, stream, rng))
        new = packets(out)
        begin = connection.end - len(new)
        assert new == stream[begin : connection.end]
        assert begin <= max(connection.first, end)
        assert [type(unit) for unit in out if not isinstance(unit, Frame | Resumed)] == [
            type(unit) for unit in units(connection, stream, rng) if not isinstance(unit, Frame)
        ]
        found.append((connection, begin, any(isinstance(unit, Resumed) for unit in out)))
        end = max(end, connection.end)
    return found


@given(connections(), seeds)
@settings(max_examples=200, deadline=None)
def test_no_packet_goes_on_twice_and_none_is_left_out(made: list[Connection], seed: int) -> None:
    start, end, ended_s = 0, 0, 0.0
    for connection, begin, resumed in check(made, different(last(made)), seed):
        shared = min(end, connection.end) - max(start, connection.first)
        late_s = connection.ends_s - ended_s + (end - connection.end) * PACKET_S
        if connection.first >= end:
            start = connection.first
            assert begin == connection.first
            assert not resumed
        elif connection.first < start and connection.end < start + ENOUGH:
            return  # Cut off before it came to the newest stretch without a gap.
        elif shared >= ENOUGH and late_s < max(9.9, (end - start) * PACKET_S / 2 - 0.1):
            assert begin == min(end, connection.end)
            assert resumed == (connection.end >= end)
        elif shared >= ENOUGH and late_s < max(10.1, end * PACKET_S / 2 + 0.1):
            return  # So late that it may be known or not.
        else:
            assert begin == connection.first
            assert not resumed
            return  # What has gone on twice is a new beginning.
        if connection.end >= end:
            end, ended_s = connection.end, connection.ends_s


@given(connections(), seeds, st.lists(st.tuples(st.integers(1, 300), st.integers(1, 4)), min_size=1, max_size=20))
@settings(max_examples=150, deadline=None)
def test_nothing_is_left_out_of_a_stream_that_is_silent_now_and_then(
    made: list[Connection], seed: int, pattern: list[tuple[int, int]]
) -> None:
    """Silence at constant bit rate: the same packet, or some that take turns."""
    stream: list[bytes] = []
    while len(stream) < last(made):
        for length, alike in pattern:
            stream += [b"silence %d" % (number % alike) for number in range(length)]
            stream += different(len(stream) + length)[len(stream) :]
    check(made, stream, seed)


@given(connections(), seeds, st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_a_stream_that_is_silent_loses_nothing(made: list[Connection], seed: int, alike: int) -> None:
    stream = [b"silence %d" % (number % alike) for number in range(last(made))]
    for connection, begin, resumed in check(made, stream, seed):
        assert begin == connection.first
        assert not resumed


@given(st.integers(8, 1000), st.integers(0, 3000), st.integers(0, 160), seeds)
@settings(max_examples=50, deadline=None)
def test_audio_that_comes_round_again_is_not_taken_for_old(period: int, outage: int, burst: int, seed: int) -> None:
    """A loop, heard for more than twice its length before the connection broke."""
    stream = [b"%08d" % (number % period) for number in range(10_000)]
    end = 2 * period + 2 * ENOUGH
    check([Connection(0, 0, end), Connection(end + outage, burst, end + outage + 200)], stream, seed)


def test_silence_at_the_end_is_counted_from_the_music_before_it() -> None:
    stream = [*different(100), *[b"silence"] * 30, *different(200)[130:]]
    made = [Connection(0, 0, 110), Connection(125, 60, 200)]
    (_, (_, begin, resumed)) = check(made, stream, 0)
    assert (begin, resumed) == (110, True)


def test_silence_is_not_counted_across_a_loss() -> None:
    """Ten packets of silence were lost on this side, and nobody can tell which: all of the burst is kept."""
    stream, overlap = [*different(100), *[b"silence"] * 100, *different(300)[200:]], Overlap()
    music = [Frame(data, 1152, MP3_STEREO, at(120 * PACKET_S)) for data in stream[:120]]
    lost = Loss(GapCause.QUEUE_OVERFLOW, "too slow", at(130 * PACKET_S))
    silence = [Frame(b"silence", 1152, MP3_STEREO, at(150 * PACKET_S))] * 20
    ended = RunEnded(GapCause.DISCONNECTED, None, at(151 * PACKET_S))
    pushed(overlap, [RunStarted(MP3_STEREO, at(0)), *music, lost, *silence, ended])
    out = pushed(overlap, units(Connection(160, 100, 250), stream, random.Random(0)))
    assert packets(out) == stream[60:250]
    assert not any(isinstance(unit, Resumed) for unit in out)


@pytest.mark.parametrize("shared", [ENOUGH - 1, ENOUGH])
def test_eight_packets_are_enough_and_seven_are_not(shared: int) -> None:
    made = [Connection(0, 0, 100), Connection(140, 40 + shared, 200)]
    (_, (connection, begin, resumed)) = check(made, different(200), 0)
    assert (begin, resumed) == ((100, True) if shared == ENOUGH else (connection.first, False))


@pytest.mark.parametrize("alike", [1, 2])
def test_eight_packets_of_which_two_are_alike_are_not_enough(alike: int) -> None:
    stream = different(200)
    stream[92 : 92 + alike] = [stream[99]] * alike
    made = [Connection(0, 0, 100), Connection(140, 48, 200)]
    (_, (connection, begin, resumed)) = check(made, stream, 0)
    assert (begin, resumed) == (connection.first, False)


def test_a_burst_that_is_cut_off_in_what_is_known_adds_nothing_and_the_next_one_joins() -> None:
    made = [Connection(0, 0, 100), Connection(130, 80, 75), Connection(140, 80, 200)]
    found = check(made, different(200), 0)
    assert [(begin, resumed) for _, begin, resumed in found] == [(0, False), (75, False), (100, True)]


def test_a_few_packets_of_a_burst_are_kept_and_do_not_hide_what_is_known_from_the_next() -> None:
    """Seven are no match; but the next burst is told from the packets before them. The clock says when it was."""
    made = [Connection(0, 0, 100), Connection(130, 80, 57), Connection(140, 80, 160), Connection(170, 80, 200)]
    found = check(made, different(200), 0)
    expected = [(0, False), (50, False), (100, False), (160, True)]
    assert [(begin, resumed) for _, begin, resumed in found] == expected


def test_a_burst_on_a_slow_line_is_followed_until_it_is_new() -> None:
    """It comes at one and a half times the speed of the audio, and reaches what is new after 4 s."""
    stream, overlap = different(1000), Overlap()
    pushed(overlap, units(Connection(0, 0, 500), stream, random.Random(0)))
    began_s = 510 * PACKET_S
    slow: list[Unit] = [RunStarted(MP3_STEREO, at(began_s))]
    slow += [
        Frame(stream[250 + number], 1152, MP3_STEREO, at(began_s + number * PACKET_S / 1.5)) for number in range(400)
    ]
    out = pushed(overlap, slow)
    assert packets(out) == stream[500:650]
    assert [type(unit) for unit in out[:3]] == [RunStarted, Resumed, Frame]


def test_a_stream_that_leaves_what_is_known_goes_on_from_there() -> None:
    """The server has put something else in the place of what came before."""
    stream, overlap = different(1000), Overlap()
    pushed(overlap, units(Connection(0, 0, 500), stream, random.Random(0)))
    items = units(Connection(500, 250, 400), stream, random.Random(0))[:-1]
    assert packets(pushed(overlap, items)) == []
    changed = Frame(b"changed", 1152, MP3_STEREO, at(600 * PACKET_S))
    assert packets(pushed(overlap, [changed])) == [*stream[250:400], b"changed"]
    following = Frame(stream[401], 1152, MP3_STEREO, at(601 * PACKET_S))
    assert pushed(overlap, [following]) == [following]


def test_audio_that_stood_still_joins_but_not_in_time() -> None:
    """The studio was silent for 20 s, and the server kept what it had: the clock tells how long."""
    stream, overlap = different(3000), Overlap()
    pushed(overlap, units(Connection(0, 0, 2500), stream, random.Random(0)))
    later = [
        Frame(stream[2400 + number], 1152, MP3_STEREO, at(2520 * PACKET_S + 20 + max(0, number - 120) * PACKET_S))
        for number in range(200)
    ]
    out = pushed(overlap, [RunStarted(MP3_STEREO, later[0].received_at), *later])
    assert packets(out) == stream[2500:2600]
    assert not any(isinstance(unit, Resumed) for unit in out)


def test_what_stands_between_the_packets_keeps_its_place() -> None:
    stream, overlap = different(300), Overlap()
    pushed(overlap, units(Connection(0, 0, 200), stream, random.Random(0)))
    items = units(Connection(210, 100, 260), stream, random.Random(3))
    burst = [index for index, unit in enumerate(items) if isinstance(unit, Frame)]
    now = at(210 * PACKET_S)
    old, title, split = Loss(GapCause.CORRUPT, "old", now, 1152), Title("on air", now), SplitHere(now)
    lost = Loss(GapCause.CORRUPT, "new", at(250 * PACKET_S), 1152)
    items[burst[1] : burst[1]] = [old, title, split]
    items.insert(len(items) - 2, lost)
    out = [unit for unit in pushed(overlap, items) if not isinstance(unit, Frame)]
    assert [type(unit).__name__ for unit in out] == [
        "RunStarting",
        "RunStarted",
        "Resumed",
        "Title",
        "SplitHere",
        "Loss",
        "RunEnded",
    ]
    assert lost in out


def test_the_tail_of_a_file_is_known_too() -> None:
    stream = different(300)
    tail = Tail(MP3_STEREO, tuple(stream[50:200]), at(200 * PACKET_S))
    out = pushed(Overlap(tail), units(Connection(240, 80, 300), stream, random.Random(0)))
    assert packets(out) == stream[200:300]
    assert any(isinstance(unit, Resumed) for unit in out)


def test_a_tail_of_an_hour_ago_is_no_tail() -> None:
    """A jingle that comes every hour: the packets are the same, the time is not."""
    stream = different(300)
    tail = Tail(MP3_STEREO, tuple(stream[50:200]), at(-3600))
    out = pushed(Overlap(tail), units(Connection(240, 80, 300), stream, random.Random(0)))
    assert packets(out) == stream[160:300]
    assert not any(isinstance(unit, Resumed) for unit in out)


def test_samples_of_a_card_pass_at_once() -> None:
    overlap = Overlap()
    for run in range(2):
        items: list[Unit] = [RunStarted(S16_MONO, at(run)), pcm_frame(2400, run + 0.1), pcm_frame(2400, run + 0.2)]
        for item in items:
            assert list(overlap.push(item)) == [item]
        assert list(overlap.push(RunEnded(GapCause.STALL, None, at(run + 0.3)))) != []


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 60), st.integers(0, 60), st.lists(st.integers(0, 40)))
def test_a_place_is_where_both_are_equal_to_an_end(tail: list[int], first: int, length: int, more: list[int]) -> None:
    came = [*tail[first : first + length], *more]
    place = place_in(tail, came)
    if place is not None:
        ends = min(len(came), len(tail) - place)
        assert came[ends - ENOUGH : ends] == tail[place + ends - ENOUGH : place + ends] or ends >= ENOUGH
        assert came[ends - 1] == tail[place + ends - 1]


def test_another_address_of_the_same_encoder_goes_on_without_a_packet_twice() -> None:
    """The source leaves one server for another within a run: a loss, and the beginning of a run."""
    stream, overlap = different(400), Overlap()
    first = [Frame(data, 1152, MP3_STEREO, at(number * PACKET_S)) for number, data in enumerate(stream[:200])]
    left = Loss(GapCause.DISCONNECTED, "left for a better address", at(200 * PACKET_S))
    pushed(overlap, [RunStarted(MP3_STEREO, at(0)), *first, left])
    started, *others = units(Connection(200, 100, 400), stream, random.Random(0))[1:]
    assert isinstance(started, RunStarted)
    out = pushed(overlap, [started, *others])
    assert packets(out) == stream[200:]
    assert any(isinstance(unit, Resumed) for unit in out)
