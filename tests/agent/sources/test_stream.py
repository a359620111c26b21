"""How a stream is read: seldom where one read takes all that waits, and never falling behind where it takes a part."""

from pathlib import Path

import pytest

from agent import clock
from agent.model import Block, SourceItem
from agent.sources import pace
from agent.sources.icecast import IcecastSource
from tests.agent.build import real_mp3
from tests.agent.sources.test_icecast import HTTP11, OK, chunked, running, settings
from tests.parts.http_stub import HttpStub, Script, Talk
from tests.parts.tls import own_certificate
from tests.parts.waiting import wait_until

AUDIO = real_mp3()
PARTS = [AUDIO[at : at + 100] for at in range(0, len(AUDIO), 100)][:300]
EVERY_S = 0.01


def trickle(head: bytes, *, in_chunks: bool) -> Script:
    def script(talk: Talk) -> None:
        talk.send(head)
        for part in PARTS:
            talk.send(chunked(part)[:-5] if in_chunks else part)
            talk.wait(EVERY_S)
        talk.wait(60)

    return script


SCRIPTS = {
    "/plain": trickle(OK, in_chunks=False),
    "/chunks": trickle(HTTP11 + b"Transfer-Encoding: chunked\r\n\r\n", in_chunks=True),
}


@pytest.mark.parametrize(("path", "is_secure"), [("/plain", False), ("/chunks", False), ("/plain", True)])
def test_the_reader_does_not_fall_behind(
    path: str, is_secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause before each of 300 parts would take more than a minute; they are sent within a few seconds."""
    monkeypatch.setattr(pace, "_EAGER_S", 0.0)
    cert, context = own_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with HttpStub(scripts=SCRIPTS, tls=context if is_secure else None) as stub:
        began_s = clock.monotonic_s()
        with running(IcecastSource(settings(tmp_path, stub.url(path)))) as (items, _):
            wait_until(lambda: audio(items) == b"".join(PARTS), 30, "all that was sent")
            took_s = clock.monotonic_s() - began_s
        reads = sum(isinstance(item, Block) for item in items)
    assert took_s < 15
    if path == "/plain" and not is_secure:
        assert reads < len(PARTS) / 2, "it is woken for each part"


def audio(items: list[SourceItem]) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, Block))
