"""Sound streams have no broken packets: wherever a decoder starts, and at every seam of the line."""

import pytest

from agent.codecs.aac import FRAMING as ADTS
from agent.codecs.mp3 import FRAMING as MP3
from agent.codecs.packet_decoder import PacketDecoder
from agent.model import AudioFormat, Block, Frame, GapCause, RunEnded, RunStarted, RunStarting, SourceItem, SplitHere
from tests.agent.build import at, real_mp3
from tests.agent.codecs.ogg_material import real_ogg, units_of
from tests.agent.codecs.test_contract import format_of, frames, stream, together
from tests.agent.recorded import record
from tests.agent.test_recorder import Line
from tests.parts import adts
from tests.parts.icecast import CODECS


def assert_sound(packets: list[Frame], every: int) -> None:
    """Started cold at every so-many-th packet, a decoder takes all that follow."""
    for first in range(0, len(packets) - 30, every):
        decoder = PacketDecoder(packets[0].format)
        for frame in packets[first : first + 30]:
            decoder.push(frame)
            assert decoder.broken == (), f"packet {first}"


def primed(packets: list[Frame], primes: int) -> list[Frame]:
    return [
        Frame(one.data, one.samples, one.format, one.received_at, (), tuple(p.data for p in packets[n - primes : n]))
        for n, one in enumerate(packets)
        if n >= primes
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_broken_wherever_a_decoder_is_started(codec: str) -> None:
    packets = primed(list(frames(codec)), len(together(codec).priming))
    assert_sound(packets, 1 if codec in ("flac", "oggflac") else 3)


@pytest.mark.parametrize("extra", ["-b:a 8k -application voip -frame_duration 10", "-frame_duration 2.5", "-b:a 24k"])
def test_no_mode_of_opus_is_broken(extra: str) -> None:
    units = [unit for unit in units_of([real_ogg("libopus", 48000, 1, extra=extra)]) if isinstance(unit, Frame)]
    for first in range(0, len(units), 3):
        decoder = PacketDecoder(units[0].format)
        for frame in units[first:]:
            decoder.push(frame)
            assert decoder.broken == ()


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 1)])
@pytest.mark.parametrize("variable", [False, True])
def test_mp3_packets_that_lean_on_what_is_not_there_are_sound(rate: int, channels: int, *, variable: bool) -> None:
    data = real_mp3(rate, channels, 4.0, variable=variable)
    begin = MP3.find(data)
    assert begin is not None
    walked = MP3.walk(data, *begin)
    assert_sound([Frame(data[at_ : at_ + one.length], one.samples, one.format, at()) for at_, one in walked], 1)


@pytest.mark.parametrize("kind", ["plain", "SBR", "CRC", "two blocks"])
@pytest.mark.parametrize("bit_rate", ["16k", "64k"])
def test_no_kind_of_aac_is_broken(kind: str, bit_rate: str) -> None:
    packets = [one.data for one in adts.packets(adts.encoded(24000, 2, 3.0, bit_rate=bit_rate))]
    if kind == "two blocks":  # a player gets the first of them
        packets = [adts.joined(packets[number : number + 2]) for number in range(0, len(packets) - 1, 2)]
    elif kind != "plain":
        packets = [adts.with_sbr(one) if kind == "SBR" else adts.with_crc(one) for one in packets]
    made = []
    for packet in packets:
        header = ADTS.header(packet, 0)
        assert header is not None
        made.append(Frame(packet, header.samples, header.format, at()))
    assert_sound(made, 2)


def corrupt(line: Line) -> list[object]:
    listed = [gap for item in line.finished for gap in item.segment.gaps]
    return [*listed, *(gap for gap in line.gaps() if gap[0] is GapCause.CORRUPT)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_sound_stream_has_no_entry(codec: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert corrupt(record(tmp_path_factory.mktemp("line"), codec)) == []


@pytest.mark.parametrize("codec", CODECS)
def test_a_reconnect_a_change_of_format_and_many_seams_make_none(
    codec: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Joined in the middle three times, MP3 of other formats between, a file every half second."""
    line = Line(tmp_path_factory.mktemp("line"), period_s=5)
    now_s = 0.0
    for share in (0.0, 0.4, 0.7):
        data = stream(codec)
        whole = data if codec in ("vorbis", "opus", "oggflac", "flac") else data[int(share * len(data)) :]
        runs = [(format_of(codec), whole), (AudioFormat("mp3", 22050, 1), real_mp3(22050, 1, 2.0)[333:])]
        for audio_format, sent in runs:
            items: list[SourceItem] = [RunStarting(at(now_s)), RunStarted(audio_format, at(now_s))]
            for low in range(0, len(sent), len(sent) // 40):
                now_s += 0.1
                items.append(Block(sent[low : low + len(sent) // 40], at(now_s)))
                if len(items) % 5 == 0:
                    items.append(SplitHere(at(now_s)))
            line.steps([*items, RunEnded(GapCause.DISCONNECTED, None, at(now_s))])
            now_s += 1.0
    assert len(line.finished) > 20
    assert corrupt(line) == []
