"""Streams as servers send them that no real Icecast can be made to imitate: a stub says every byte."""

import gzip
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import clock
from agent.config import IcecastSettings, load
from agent.errors import SourceFault
from agent.model import Block, GapCause, Loss, RunStarted, SourceItem, Title
from agent.sources.icecast import IcecastSource
from agent.supervisor import StopSignal
from tests.agent.build import real_mp3
from tests.parts.http_stub import HttpStub, Page, Script, Talk
from tests.parts.process import free_port
from tests.parts.tls import own_certificate
from tests.parts.waiting import wait_until

OK = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"
AUDIO = Page("audio/mpeg", real_mp3())


def settings(folder: Path, url: str, *lines: str) -> IcecastSettings:
    file = folder / "config.yaml"
    more = "".join(f"    {line}\n" for line in lines)
    file.write_text(f"agent: {{id: shed}}\nsources:\n  - id: radio\n    type: icecast\n    url: '{url}'\n{more}")
    (source,) = load(file).sources
    assert isinstance(source, IcecastSettings)
    return source


class Listened:
    """One run of the source to its end: what it said, and why it ended."""

    def __init__(self, source: IcecastSource) -> None:
        self.items: list[SourceItem] = []
        with pytest.raises(SourceFault) as fault:
            source.run(self.items.append, StopSignal())
        self.fault = fault.value

    @property
    def audio(self) -> bytes:
        return b"".join(item.data for item in self.items if isinstance(item, Block))

    @property
    def titles(self) -> list[str]:
        return [item.text for item in self.items if isinstance(item, Title)]

    @property
    def urls(self) -> list[str | None]:
        return [item.url for item in self.items if isinstance(item, RunStarted)]


@contextmanager
def running(source: IcecastSource) -> Iterator[tuple[list[SourceItem], StopSignal]]:
    """The source in a thread of its own; it has to end soon after it is told to."""
    items: list[SourceItem] = []
    stop = StopSignal()
    thread = threading.Thread(target=source.run, args=(items.append, stop), daemon=True)
    thread.start()
    try:
        yield items, stop
    finally:
        stop.set()
        thread.join(3)
        assert not thread.is_alive(), "it did not end when it was told to"


def listen(
    folder: Path, scripts: dict[str, Script], path: str = "/live", *lines: str, within_s: float = 20
) -> Listened:
    with HttpStub({"/a.mp3": AUDIO}, scripts) as stub:
        return Listened(IcecastSource(settings(folder, stub.url(path), *lines), answer_within_s=within_s))


def says(*parts: bytes) -> Script:
    def script(talk: Talk) -> None:
        for part in parts:
            talk.send(part)

    return script


# --- answers ---


def chunked(data: bytes, size: int = 999) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


HTTP11 = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n" + AUDIO.body,
        b"ICY 200 OK\r\nicy-notice1:<BR>This stream requires Winamp<BR>\r\nicy-name:K\xf6ln\r\n\r\n" + AUDIO.body,
        b"ICY 200 OK\r\n\r\n" + AUDIO.body,
        HTTP11 + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(AUDIO.body),
        HTTP11 + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(AUDIO.body),
        HTTP11 + b"Content-Length: %d\r\n\r\n" % len(AUDIO.body) + AUDIO.body,
    ],
    ids=["http1.0", "icy", "icy-bare", "chunked", "gzip", "length"],
)
def test_every_way_to_send_audio_is_understood(tmp_path: Path, answer: bytes) -> None:
    heard = listen(tmp_path, {"/live": says(answer)})
    assert heard.audio == AUDIO.body
    assert isinstance(heard.items[0], RunStarted)
    assert (heard.fault.cause, heard.fault.permanent) == (GapCause.DISCONNECTED, False)
    assert "the server ended the stream" in heard.fault.message


@pytest.mark.parametrize("interval", [0, 1, 7, 255, 8192, 16000])
@pytest.mark.parametrize("first_line", [b"ICY 200 OK\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_titles_stay_out_of_the_audio_at_any_interval(tmp_path: Path, interval: int, first_line: bytes) -> None:
    said = [b"StreamTitle='K\xc3\xb6ln';", b"StreamTitle='K\xf6ln; it's ';-) here';StreamUrl='';", b"StreamTitle='';"]
    woven = bytearray()
    for number, at in enumerate(range(0, len(AUDIO.body), interval or len(AUDIO.body))):
        piece = AUDIO.body[at : at + (interval or len(AUDIO.body))]
        woven += piece
        if interval and len(piece) == interval:
            title = said[number] if number < len(said) else b""
            woven += bytes([-(-len(title) // 16)]) + title.ljust(-(-len(title) // 16) * 16, b"\0")
    cuts = [bytes(woven[at : at + 1237]) for at in range(0, len(woven), 1237)]
    answer = first_line + b"icy-metaint: %d\r\n\r\n" % interval
    heard = listen(tmp_path, {"/live": says(answer, *cuts)})
    assert heard.audio == AUDIO.body
    assert heard.titles == (["Köln", "Köln; it's ';-) here", ""][: len(AUDIO.body) // interval] if interval else [])


def test_we_ask_for_titles_and_say_who_we_are(tmp_path: Path) -> None:
    with HttpStub({"/a.mp3": AUDIO}) as stub:
        Listened(IcecastSource(settings(tmp_path, f"{stub.url('/a.mp3')}  ")))
        (seen,) = stub.seen
    assert seen.path == "/a.mp3"
    assert seen.headers["icy-metadata"] == "1"
    assert seen.headers["user-agent"].startswith("isr-edge/")
    assert seen.headers["accept-encoding"] == "identity"


# --- what is no recording ---


@pytest.mark.parametrize(
    ("answer", "said", "permanent"),
    [
        (b"", "the server hung up or does not speak HTTP", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the server hung up or does not speak HTTP", False),
        (b"ICY 404 Not Found\r\n\r\n", "the server answered 404 Not Found (check the address", True),
        (b"ICY 401 Unauthorized\r\n\r\n", "401 Unauthorized (the stream wants a user and a password", True),
        (b"ICY 503 Service Unavailable\r\n\r\n", "the server answered 503", False),
        (b"HTTP/1.0 302 Found\r\n\r\n", "the server leads to nowhere", True),
        (b"HTTP/1.0 302 Found\r\nLocation: mms://h/x\r\n\r\n", "it leads to mms://, which is not supported", True),
        (b"HTTP/1.0 302 Found\r\nLocation: /live\r\n\r\n", "more than 5 redirects", True),
        (OK, "the stream ended after 0 bytes of audio/mpeg that are no known audio", False),
        (OK + b"<html><body>down", "a web page came instead of audio", True),
        (b'HTTP/1.0 200 OK\r\n\r\n{"error": "down"}', "ended after 17 bytes of JSON that are no known audio", False),
        (OK + bytes(range(256)) * 100, "no known audio in the first 16 KiB", True),
        (OK + bytes.fromhex("3026b2758e66cf11") + bytes(100), "Windows Media stream came", True),
        (OK + b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.ts\n", "HLS is not supported (use the address", True),
        (HTTP11 + b"Content-Encoding: gzip\r\n\r\n\x1f\x8bbroken", "the connection broke", False),
        (HTTP11 + b"icy-metaint: eight\r\n\r\n" + AUDIO.body, "icy-metaint: 'eight', which is no number", True),
    ],
)
def test_what_is_no_audio_is_a_clear_error(tmp_path: Path, answer: bytes, said: str, permanent: bool) -> None:
    heard = listen(tmp_path, {"/live": says(answer)})
    assert said in str(heard.fault)
    assert heard.fault.permanent is permanent
    assert not heard.items, "never a recording"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 2x0 OK\r\n\r\n",
        b"HTTP/1.0\r\n\r\n",
        b"ICY\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.0 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: http://a..b/\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n\r\n",
    ],
)
def test_an_answer_that_is_broken_is_a_fault_like_any_other(tmp_path: Path, answer: bytes) -> None:
    heard = listen(tmp_path, {"/live": says(answer)}, within_s=5)
    assert not heard.items
    assert heard.fault.cause in (GapCause.REFUSED, GapCause.DISCONNECTED)


def test_https_at_a_port_without_tls_is_named(tmp_path: Path) -> None:
    with HttpStub({"/a.mp3": AUDIO}) as stub:
        url = stub.url("/a.mp3").replace("http:", "https:")
        assert "does not speak TLS at this port (http:// instead" in str(
            Listened(IcecastSource(settings(tmp_path, url))).fault
        )


def test_a_connection_that_is_reset_or_cut_is_said_to_be_broken(tmp_path: Path) -> None:
    def reset(talk: Talk) -> None:
        talk.send(OK + AUDIO.body)
        talk.wait(0.5)
        talk.reset()

    assert "the connection broke: " in listen(tmp_path, {"/live": reset}).fault.message
    short = HTTP11 + b"Content-Length: 99999\r\n\r\n" + AUDIO.body
    assert "the connection broke: " in listen(tmp_path, {"/live": says(short)}).fault.message
    cut = HTTP11 + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(AUDIO.body)[:-100]
    heard = listen(tmp_path, {"/live": says(cut)})
    assert "the connection broke: " in heard.fault.message
    assert len(heard.audio) > 10000


# --- how long it may take ---


def trickle(first: bytes, piece: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.send(first)
        while not talk.wait(0.1):
            talk.send(piece)

    return script


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (trickle(b"HTTP/1.0 200 OK\r\n", b"X-More: 1\r\n"), "no answer from the server"),
        (trickle(b"HTTP/1.0 200", b" "), "no answer from the server"),
        (trickle(OK, b"\0"), "no audio came in time"),
        (trickle(b"HTTP/1.0 200 OK\r\nContent-Type: audio/x-mpegurl\r\n\r\n", b"#\n"), "no audio came in time"),
        (trickle(b"HTTP/1.0 200 OK\r\nicy-metaint: 1\r\n\r\n\0", b"\0"), "no audio came in time"),
    ],
    ids=["headers", "status", "body", "playlist", "icy"],
)
def test_a_server_that_trickles_is_given_up(tmp_path: Path, script: Script, said: str) -> None:
    began_s = clock.monotonic_s()
    heard = listen(tmp_path, {"/live": script}, within_s=1.5)
    assert said in heard.fault.message
    assert heard.fault.cause is GapCause.REFUSED
    assert clock.monotonic_s() - began_s < 8


def test_time_is_only_short_until_audio_comes(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        talk.send(OK + AUDIO.body)
        talk.wait(2.5)
        talk.send(AUDIO.body)

    heard = listen(tmp_path, {"/live": script}, within_s=1.0)
    assert heard.audio == AUDIO.body * 2
    assert "ended the stream" in heard.fault.message


@pytest.mark.parametrize(
    "said_before",
    [b"", b"HTTP/1.0 200 OK\r\n", OK, OK + AUDIO.body, b"HTTP/1.0 200 OK\r\nContent-Type: audio/x-scpls\r\n\r\n[play"],
    ids=["silent", "headers", "body", "audio", "playlist"],
)
def test_a_stop_pulls_it_out_of_any_wait(tmp_path: Path, said_before: bytes) -> None:
    def script(talk: Talk) -> None:
        talk.send(said_before)
        talk.wait(30)

    with (
        HttpStub(scripts={"/live": script}) as stub,
        running(IcecastSource(settings(tmp_path, stub.url("/live")))) as (_, stop),
    ):
        wait_until(lambda: stub.seen, 5, "the request")
        began_s = clock.monotonic_s()
        stop.set()
    assert clock.monotonic_s() - began_s < 3


# --- who is told what ---


def redirect(url: str) -> Script:
    return says(f"HTTP/1.0 302 Found\r\nLocation: {url}\r\n\r\n".encode())


def test_redirects_are_followed_and_only_the_same_server_is_told_the_password(tmp_path: Path) -> None:
    with HttpStub({"/a.mp3": AUDIO}) as other:
        moves = {"/live": redirect("/on?x=1"), "/on": redirect(other.url("/a.mp3"))}
        with HttpStub(scripts=moves) as stub:
            url = stub.url("/live").replace("://", "://me:hunter2@")
            heard = Listened(IcecastSource(settings(tmp_path, url, "headers: {X-Token: secret}")))
            assert [seen.path for seen in stub.seen] == ["/live", "/on?x=1"]
            for seen in stub.seen:
                assert seen.headers["authorization"] == f"Basic {b64encode(b'me:hunter2').decode()}"
                assert seen.headers["x-token"] == "secret"
        (told,) = other.seen
        assert not {"authorization", "x-token", "cookie"} & set(told.headers)
        assert heard.urls == [other.url("/a.mp3")], "what it records from"
        assert heard.audio == AUDIO.body
    assert "hunter2" not in repr(heard.items) + str(heard.fault)


def test_a_server_that_wants_its_cookie_back_gets_it(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        if talk.headers.get("cookie") == "seen=1":
            talk.send(OK + AUDIO.body)
        else:
            talk.send(b"HTTP/1.0 302 Found\r\nSet-Cookie: seen=1\r\nLocation: /live\r\n\r\n")

    assert listen(tmp_path, {"/live": script}).audio == AUDIO.body


def test_a_playlist_is_read_anew_at_each_connection_and_its_first_entry_that_plays_is_taken(tmp_path: Path) -> None:
    with HttpStub({"/a.mp3": AUDIO, "/b.mp3": AUDIO}) as stub:
        lists = [f"#EXTM3U\n{stub.url('/missing')}\n/html\na.mp3\n", "#EXTM3U\nb.mp3\n"]
        stub.scripts["/live"] = lambda talk: talk.send(
            b"HTTP/1.0 200 OK\r\nContent-Type: audio/x-mpegurl\r\n\r\n" + lists.pop(0).encode()
        )
        source = IcecastSource(settings(tmp_path, stub.url("/live")))
        first, second = Listened(source), Listened(source)
        assert [*first.urls, *second.urls] == [stub.url("/a.mp3"), stub.url("/b.mp3")]
        assert first.audio == AUDIO.body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[playlist]\nFile1=/live\n", "playlists lead to playlists, more than 3 deep"),
        (b"[playlist]\nFile1=rtsp://h/x\n", "the playlist leads to rtsp://, which is not supported"),
        (b"[playlist]\nFile1=/missing\n", "/missing: the server answered 404"),
        (b"[playlist]\n", "a playlist came that names no address"),
        (b"[playlist]\n" + b";" * 70000, "more than 64 KB"),
    ],
)
def test_a_playlist_without_audio_says_why(tmp_path: Path, body: bytes, said: str) -> None:
    heard = listen(tmp_path, {"/live": says(b"HTTP/1.0 200 OK\r\n\r\n" + body)})
    assert said in heard.fault.message
    assert heard.fault.permanent


def test_three_playlists_deep_is_allowed(tmp_path: Path) -> None:
    head = b"HTTP/1.0 200 OK\r\n\r\n[playlist]\nFile1="
    moves = {f"/{n}": says(head + (f"/{n + 1}".encode() if n < 3 else b"/a.mp3") + b"\n") for n in (1, 2, 3)}
    assert listen(tmp_path, moves, "/1").audio == AUDIO.body


def test_a_long_playlist_is_not_tried_for_ever(tmp_path: Path) -> None:
    body = b"[playlist]\n" + b"".join(b"File%d=/missing/%d\n" % (n, n) for n in range(1, 500))
    with HttpStub(scripts={"/live": says(b"HTTP/1.0 200 OK\r\n\r\n" + body)}) as stub:
        Listened(IcecastSource(settings(tmp_path, stub.url("/live"))))
        assert len(stub.seen) == 11


# --- fallbacks ---


def endless(talk: Talk) -> None:
    talk.send(OK + AUDIO.body)
    while not talk.wait(0.05):
        talk.send(AUDIO.body[:2000])


def test_a_fallback_plays_until_the_first_address_does(tmp_path: Path) -> None:
    with HttpStub({}, {"/second": endless}) as stub:
        lines = f"fallback_urls: ['{stub.url('/html')}', '{stub.url('/second')}']"
        source = IcecastSource(settings(tmp_path, stub.url("/first"), lines), back_every_s=0.3)
        with running(source) as (items, _):
            wait_until(lambda: sum(seen.path == "/first" for seen in stub.seen) >= 3, 15, "the first to be tried again")
            assert [item.url for item in items if isinstance(item, RunStarted)] == [stub.url("/second")]
            assert not any(isinstance(item, Loss) for item in items), "trying costs nothing"
            stub.scripts["/first"] = endless
            wait_until(lambda: isinstance(items[-1], Block) and len(_starts(items)) == 2, 15, "the first to play")
        (loss,) = (item for item in items if isinstance(item, Loss))
        before, after = items[: items.index(loss)], items[items.index(loss) + 1 :]
        assert isinstance(after[0], RunStarted)
        assert after[0].url == stub.url("/first")
        assert (loss.cause, loss.detail) == (GapCause.DISCONNECTED, f"{stub.url('/second')}: left for a better address")
        assert isinstance(before[-1], Block)
        overlap_ns = before[-1].received_at.monotonic_ns - after[0].at.monotonic_ns
        assert overlap_ns > 0, "the first was heard before the fallback was left"


def _starts(items: list[SourceItem]) -> list[RunStarted]:
    return [item for item in list(items) if isinstance(item, RunStarted)]


def test_where_nothing_plays_every_address_has_its_reason(tmp_path: Path) -> None:
    with HttpStub() as stub:
        lines = f"fallback_urls: ['{stub.url('/missing')}', 'http://me:hunter2@127.0.0.1:{free_port()}/x']"
        heard = Listened(IcecastSource(settings(tmp_path, stub.url("/html"), lines)))
    assert "/html: a web page came" in heard.fault.message
    assert "/missing: the server answered 404" in heard.fault.message
    assert "/x: cannot connect: Connection refused" in heard.fault.message
    assert not heard.fault.permanent, "the last may come back"
    assert "hunter2" not in str(heard.fault)


def test_a_fallback_that_ends_while_the_first_plays_again_goes_over_at_once(tmp_path: Path) -> None:
    ends = threading.Event()

    def second(talk: Talk) -> None:
        talk.send(OK + AUDIO.body)
        ends.wait(20)

    with HttpStub({}, {"/second": second}) as stub:
        lines = f"fallback_urls: ['{stub.url('/second')}']"
        with running(IcecastSource(settings(tmp_path, stub.url("/first"), lines), back_every_s=0.2)) as (items, _):
            wait_until(lambda: _starts(items), 10, "the fallback")
            stub.scripts["/first"] = endless
            wait_until(lambda: not _looks_back(), 10, "the first to be found, while the fallback says nothing")
            ends.set()
            wait_until(lambda: len(_starts(items)) == 2, 10, "the first")
        ends.set()


def _looks_back() -> bool:
    return any(thread.name == "back-radio" for thread in threading.enumerate())


# --- addresses ---


def test_ipv6_and_names_in_any_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpStub({"/a.mp3": AUDIO}, host="::1") as stub:
        heard = Listened(IcecastSource(settings(tmp_path, stub.url("/a.mp3"))))
        assert heard.urls == [f"http://[::1]:{stub.port}/a.mp3"]
    asked: list[str] = []
    real: Callable[..., object] = socket.getaddrinfo

    def lookup(host: str, *rest: object, **more: object) -> object:
        asked.append(host)
        return real("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with HttpStub({"/a.mp3": AUDIO}) as stub:
        heard = Listened(IcecastSource(settings(tmp_path, f"http://bücher.example:{stub.port}/a.mp3")))
        assert heard.audio == AUDIO.body
    assert asked == ["xn--bcher-kva.example"]


def test_a_certificate_counts_that_the_system_trusts_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = own_certificate(tmp_path)
    with HttpStub({"/a.mp3": AUDIO}, tls=context) as stub:
        source = IcecastSource(settings(tmp_path, stub.url("/a.mp3")))
        refused = Listened(source)
        assert "the server's certificate is not accepted (self-signed certificate)" in refused.fault.message
        assert "the box's clock" in str(refused.fault)
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        assert Listened(source).audio == AUDIO.body


def test_a_proxy_is_asked_in_our_way_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts: dict[str, Script] = {"http://radio.example/live": says(b"ICY 200 OK\r\n\r\n" + AUDIO.body)}
    with HttpStub(scripts=scripts) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        assert Listened(IcecastSource(settings(tmp_path, "http://radio.example/live"))).audio == AUDIO.body
