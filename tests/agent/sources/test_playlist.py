import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CodecError
from agent.sources import playlist

XSPF = """<?xml version="1.0" encoding="UTF-8"?>
<playlist version="1" xmlns="http://xspf.org/ns/0/"><title>Radio</title>
  <trackList><track><location> http://host/a.mp3 </location><title>A &amp; B</title></track>
  <track><title>no place</title></track><track><location>b.mp3</location></track></trackList></playlist>"""


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\r\n#EXTINF:-1,Radio K\xf6ln\r\nhttp://host/a.mp3\r\n\r\n  b.mp3  \r\n",
        "\ufeff#EXTM3U\n#EXTINF:-1,Radio Köln\nhttp://host/a.mp3\nb.mp3".encode(),
        b"http://host/a.mp3\nb.mp3\n",
        b"[playlist]\nNumberOfEntries=2\nFile2=b.mp3\nFile1=http://host/a.mp3\nTitle1=x\nLength1=-1\n",
        b"\xef\xbb\xbf\n[Playlist]\r\nfile1 = http://host/a.mp3\r\nFILE02=b.mp3\r\n",
        XSPF.encode(),
        XSPF.replace("UTF-8", "ISO-8859-1").replace("Radio", "Köln").encode("latin-1"),
    ],
)
def test_entries_are_named_in_their_order(data: bytes) -> None:
    assert playlist.may_be(data, announced=False, ended=True)
    assert playlist.entries(data, announced=False) == ["http://host/a.mp3", "b.mp3"]
    assert playlist.entries(data, announced=True) == ["http://host/a.mp3", "b.mp3"]


def test_what_is_only_announced_is_read_too() -> None:
    assert playlist.entries(b"a.mp3\nb.mp3", announced=True) == ["a.mp3", "b.mp3"]
    assert playlist.entries(b"File1=a.mp3\n", announced=True) == ["a.mp3"]
    assert playlist.entries(b"a.mp3\nb.mp3", announced=False) is None


@pytest.mark.parametrize(
    ("kind", "path", "announced"),
    [
        ("audio/x-mpegurl", "/live", True),
        ("application/vnd.apple.mpegurl; charset=utf-8", "/live", True),
        ("audio/x-scpls", "/live", True),
        ("Application/XSPF+XML", "/live", True),
        ("", "/live.m3u", True),
        ("text/plain", "/LIVE.PLS", True),
        ("audio/mpeg", "/live.m3u", False),
        ("text/html", "/live", False),
        ("", "/live.mp3", False),
    ],
)
def test_servers_announce_playlists_by_type_or_ending(kind: str, path: str, announced: bool) -> None:
    assert playlist.is_announced(kind, path) is announced


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n", "HLS is not supported"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "DASH is not supported"),
        (b'<ASX version="3.0"><Entry><Ref href="mms://x"/></Entry></ASX>', "Windows Media is not supported"),
        (b"#EXTM3U\n# nothing\n", "names no address"),
        (b"[playlist]\nNumberOfEntries=0\n", "names no address"),
        (b"<playlist><trackList/></playlist>", "names no address"),
        (b"<playlist><trackList>", "no XSPF"),
        (b"#EXTM3U\n" + b"http://host/a\n" * 6000, "more than 64 KB"),
        (
            b'<?xml version="1.0"?><!DOCTYPE playlist [<!ENTITY a "http://host/">]>'
            b"<playlist><trackList><track><location>&a;</location></track></trackList></playlist>",
            "DOCTYPE",
        ),
    ],
)
def test_what_cannot_be_recorded_says_so_and_what_to_do(data: bytes, said: str) -> None:
    assert playlist.may_be(data, announced=False, ended=False)
    with pytest.raises(CodecError, match=said) as refused:
        playlist.entries(data, announced=False)
    assert "use the address of the station's" in str(refused.value)


def test_a_page_is_no_playlist() -> None:
    page = b"<!doctype html><title>playlist</title>"
    assert not playlist.may_be(page, announced=False, ended=True)
    assert playlist.entries(page, announced=True) is None
    assert playlist.entries(b"<?xml version='1.0'?><html/>", announced=False) is None


@pytest.mark.parametrize("start", [b"\xff\xfb\x90\x00", b"OggS\0", b"fLaC", b"ID3\x03", b"\xff\xf1"])
def test_audio_is_never_read_as_a_playlist(start: bytes) -> None:
    assert playlist.may_be(start, announced=True, ended=False) is False
    assert playlist.may_be(start, announced=False, ended=False) is False


@pytest.mark.parametrize("start", [b"", b"#", b"#EX", b"\xef\xbb\xbf\r\n[play", b"<", b"http:/"])
def test_a_beginning_that_may_go_either_way_waits_for_more(start: bytes) -> None:
    assert playlist.may_be(start, announced=False, ended=False) is None
    assert playlist.may_be(start, announced=False, ended=True) is False


@given(
    st.binary(max_size=300) | st.text("<>!/[]playlistfe1=#EXT-XMDhtp:&;\n ", max_size=200).map(str.encode),
    st.booleans(),
)
def test_any_bytes_are_entries_or_none_or_an_error(data: bytes, announced: bool) -> None:
    playlist.may_be(data, announced=announced, ended=announced)
    try:
        found = playlist.entries(data, announced=announced)
    except CodecError as error:
        assert error.hint
        return
    assert found is None or all(entry.strip() == entry != "" for entry in found)
