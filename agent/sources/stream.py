"""A connection whose bytes have turned out to be audio: titles taken out, format known, nothing lost until then."""

import json
from collections.abc import Callable

from agent.codecs.detect import detect
from agent.errors import CodecError, SourceFault
from agent.model import AudioFormat, Block, GapCause, Instant, RunStarted, Title
from agent.sources.base import Emit
from agent.sources.http import Connection
from agent.sources.icy import IcyDemuxer
from agent.sources.pace import Pace
from agent.supervisor import StopSignal

_INTERVAL_DIGITS = 8
_MUCH_BYTES = 1 << 15
"""Half of what one read takes at most: more than this may be waiting."""
_ASF = bytes.fromhex("3026b2758e66cf11")

Arrived = tuple[bytes, Instant]


class Stream:
    """A stream that can be recorded. `begun` is what came while it was looked at."""

    def __init__(self, connection: Connection, begun: list[Arrived]) -> None:
        self._connection = connection
        self._shown_url = connection.address.shown
        self._demuxer = IcyDemuxer(_title_interval(connection))
        self._waiting: list[Block | Title] = []
        self._format = self._recognised(begun)

    @property
    def shown_url(self) -> str:
        """Where it comes from, without anything secret."""
        return self._shown_url

    def play(self, emit: Emit, stop: StopSignal, ends: Callable[[], bool]) -> None:
        """Emit RunStarted and what has come, then what comes, until `stop` or `ends`.

        Raises SourceFault where the stream ends by itself, stalls or breaks.
        """
        first, *_ = self._waiting
        emit(RunStarted(self._format, first.received_at, self._shown_url))
        for item in self._waiting:
            emit(item)
        self._waiting = []
        pace, is_last, may_pause = Pace(), False, self._connection.reads_all_there_is
        while not stop.is_set and not is_last:
            # One more read after it is to end: whoever goes on has begun by then, and nothing is missing between.
            is_last = ends()
            data, received_at = self._connection.read()
            if not data:
                raise SourceFault(GapCause.DISCONNECTED, f"{self._shown_url}: the server ended the stream")
            for item in self._items(data, received_at):
                emit(item)
            pause_s = pace.pause_s()
            # Where a read takes only a part of what waits, a pause before each would leave more and more behind.
            if pause_s and not is_last and may_pause and len(data) < _MUCH_BYTES:
                stop.wait(pause_s)

    def hang_up(self) -> None:
        """End it at once, from any thread."""
        self._connection.hang_up()

    def close(self) -> None:
        """Nothing more is wanted."""
        self._connection.close()

    def _items(self, data: bytes, received_at: Instant) -> list[Block | Title]:
        return [
            Title(piece, received_at) if isinstance(piece, str) else Block(piece, received_at)
            for piece in self._demuxer.push(data)
        ]

    def _recognised(self, begun: list[Arrived]) -> AudioFormat:
        """The format, from as many bytes as that takes."""
        head = b""
        arrived = iter(begun)
        while True:
            data, received_at = next(arrived, None) or self._connection.read()
            if not data:
                raise self._no_audio(head)
            items = self._items(data, received_at)
            self._waiting += items
            head += b"".join(item.data for item in items if isinstance(item, Block))
            try:
                found = _detect(head)
            except CodecError as error:
                text = f"{self._shown_url}: {error.message}"
                raise SourceFault(GapCause.REFUSED, text, hint=error.hint, permanent=True) from error
            if found is not None:
                self._connection.wire.relax()
                return found

    def _no_audio(self, head: bytes) -> SourceFault:
        what = self._connection.content_type.partition(";")[0].strip()
        if _is_json(head):
            what = "JSON"
        text = f"the stream ended after {len(head)} bytes{f' of {what[:60]}' if what else ''} that are no known audio"
        return SourceFault(GapCause.REFUSED, f"{self._shown_url}: {text}")


def _detect(head: bytes) -> AudioFormat | None:
    if head.startswith(_ASF):
        hint = "use the address of the station's MP3, AAC, Ogg or FLAC stream"
        raise CodecError("a Windows Media stream came, and that is not supported", hint=hint)
    return detect(head) if head else None


def _is_json(head: bytes) -> bool:
    try:
        return isinstance(json.loads(head), dict | list)
    except ValueError:
        return False


def _title_interval(connection: Connection) -> int:
    """How many bytes of audio lie between two titles; 0 where there are none."""
    text = str(connection.headers.get("icy-metaint", "0")).strip() or "0"
    if not text.isascii() or not text.isdigit() or len(text) > _INTERVAL_DIGITS:
        # Where the titles lie cannot be known, and a title in the audio would be damage.
        raise SourceFault(
            GapCause.REFUSED,
            f"{connection.address.shown}: the server says icy-metaint: {text[:40]!r}, which is no number of bytes",
            hint="tell whoever runs the server",
            permanent=True,
        )
    return int(text)
