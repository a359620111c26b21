import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codecs.titles import decode_title
from agent.sources.icy import IcyDemuxer
from tests.agent.build import chunked, cut_places

titles = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60).map(
    lambda text: text.replace("';", "'")
)


def metadata(title: str | None, *, more: str = "StreamUrl='http://x';") -> bytes:
    """One block as a server sends it; None is the single zero of a server with nothing to say."""
    if title is None:
        return b"\0"
    text = f"StreamTitle='{title}';{more}".encode()
    length = -(-len(text) // 16)
    return bytes([length]) + text.ljust(16 * length, b"\0")


def woven(audio: bytes, interval: int, said: list[str | None]) -> bytes:
    pieces = []
    for number, low in enumerate(range(0, len(audio), interval)):
        piece = audio[low : low + interval]
        pieces.append(piece)
        if len(piece) == interval:
            pieces.append(metadata(said[number % len(said)] if said else None))
    return b"".join(pieces)


@given(st.binary(max_size=400), st.integers(1, 100), st.lists(titles, max_size=5), cut_places)
def test_titles_never_reach_the_audio_and_keep_their_place(
    audio: bytes, interval: int, said: list[str | None], cuts: list[int]
) -> None:
    demuxer = IcyDemuxer(interval)
    heard, marks = b"", []
    for part in chunked(woven(audio, interval, said), cuts):
        for piece in demuxer.push(part):
            if isinstance(piece, bytes):
                heard += piece
            else:
                marks.append((len(heard), piece))
    assert heard == audio
    expected = []
    for number in range(len(audio) // interval):
        title = said[number % len(said)] if said else None
        if title is not None:
            clean = "".join(char for char in title if char.isprintable()).strip()
            expected.append(((number + 1) * interval, clean))
    assert marks == expected


@given(st.binary(max_size=300), st.integers(-5, 30), cut_places)
def test_any_bytes_go_through(data: bytes, interval: int, cuts: list[int]) -> None:
    demuxer = IcyDemuxer(interval)
    for part in chunked(data, cuts):
        for piece in demuxer.push(part):
            assert isinstance(piece, str) or piece in data


@pytest.mark.parametrize("interval", [0, -1])
def test_a_server_without_titles_is_audio_alone(interval: int) -> None:
    assert list(IcyDemuxer(interval).push(b"\xff\xfbabc")) == [b"\xff\xfbabc"]


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (b"StreamTitle='Artist - Song';", "Artist - Song"),
        (b"StreamTitle='';StreamUrl='x';", ""),
        (b"StreamTitle='It's a ';-) song';", "It's a ';-) song"),
        (b"StreamTitle='a';StreamTitle='b';", "a"),
        (b"StreamTitle='K\xf6ln';", "Köln"),
        ("StreamTitle='Köln';".encode(), "Köln"),
    ],
)
def test_titles_as_stations_send_them(raw: bytes, title: str) -> None:
    length = -(-len(raw) // 16)
    block = bytes([length]) + raw.ljust(16 * length, b"\0")
    assert list(IcyDemuxer(1).push(b"x" + block)) == [b"x", title]


@pytest.mark.parametrize("raw", [b"StreamTitle='open", b"StreamUrl='x';", b"garbage", b"\0" * 16])
def test_metadata_without_a_title_says_nothing(raw: bytes) -> None:
    length = -(-len(raw) // 16)
    assert list(IcyDemuxer(1).push(b"x" + bytes([length]) + raw.ljust(16 * length, b"\0") + b"y")) == [b"x", b"y"]


@given(st.binary(max_size=3000))
def test_any_bytes_are_a_title_that_can_be_shown(raw: bytes) -> None:
    title = decode_title(raw)
    assert title.isprintable()
    assert len(title) <= 1000
    title.encode()
