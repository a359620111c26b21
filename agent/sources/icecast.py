"""`type: icecast`: a stream over HTTP. The only module that knows requests."""

from collections.abc import Iterator

import requests
import urllib3

from agent import __version__, clock
from agent.codecs.detect import detect
from agent.config import IcecastSettings
from agent.errors import CodecError, SourceFault
from agent.model import Block, GapCause, Instant, RunStarted, Title
from agent.sources.base import Emit
from agent.sources.icy import IcyDemuxer
from agent.supervisor import Backoff, StopSignal

_CONNECT_S, _READ_S = 5.0, 10.0
_READ_BYTES = 1 << 16
_INTERVAL_DIGITS = 8
_PERMANENT = (400, 401, 403, 404, 405, 410)


_REASONS = (
    (requests.TooManyRedirects, "too many redirects"),
    (requests.exceptions.InvalidSchema, "it leads to an address that is not http or https"),
    (requests.exceptions.InvalidURL, "it leads to something that is no address"),
    (requests.exceptions.SSLError, "the server's certificate is not accepted"),
)
_REDIRECTS_MAX = 5


class IcecastSource:
    """One connection at a time."""

    backoff = Backoff(first_s=1.0, most_s=60.0)

    def __init__(self, settings: IcecastSettings) -> None:
        self._settings = settings

    def run(self, emit: Emit, stop: StopSignal) -> None:
        """Receive until stopped; SourceFault when the stream ends, stalls for 10 s or is no audio we know."""
        shown = self._settings.shown_url
        with requests.Session() as session, self._connect(session) as response, stop.calling(response.raw.shutdown):
            receiver = _Receiver(_title_interval(response, shown), shown)
            try:
                for data, received_at in _read(response):
                    receiver.take(data, received_at, emit)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if stop.is_set:
                    return
                if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                    raise SourceFault(GapCause.STALL, f"{shown}: nothing came for {_READ_S:g} s") from error
                raise SourceFault(GapCause.DISCONNECTED, f"{shown}: the connection broke: {_said(error)}") from error
            if not stop.is_set:
                receiver.ended()
                raise SourceFault(GapCause.DISCONNECTED, f"{shown}: the server ended the stream")

    def _connect(self, session: requests.Session) -> requests.Response:
        shown = self._settings.shown_url
        headers = {"Icy-MetaData": "1", "User-Agent": f"isr-edge/{__version__}", "Accept-Encoding": "identity"}
        session.max_redirects = _REDIRECTS_MAX
        try:
            response = session.get(
                self._settings.url.reveal(), headers=headers, stream=True, timeout=(_CONNECT_S, _READ_S)
            )
        except requests.Timeout as error:
            raise SourceFault(GapCause.REFUSED, f"{shown}: no answer from the server") from error
        except (requests.RequestException, ValueError) as error:
            raise SourceFault(GapCause.REFUSED, f"{shown}: cannot connect: {_reason(error)}") from error
        if response.status_code != requests.codes.ok:
            response.close()
            raise SourceFault(
                GapCause.REFUSED,
                f"{shown}: the server answered {response.status_code} {response.reason}",
                hint="check the address" if response.status_code in _PERMANENT else None,
                permanent=response.status_code in _PERMANENT,
            )
        return response


class _Receiver:
    """What one connection says: titles taken out, the codec found from the first bytes."""

    def __init__(self, interval_bytes: int, shown_url: str) -> None:
        self._demuxer = IcyDemuxer(interval_bytes)
        self._shown_url = shown_url
        self._waiting: list[Block | Title] | None = []
        self._head = b""

    def take(self, data: bytes, received_at: Instant, emit: Emit) -> None:
        """Emit what the data holds; nothing before it is known to be audio, then all of it."""
        for piece in self._demuxer.push(data):
            item = Title(piece, received_at) if isinstance(piece, str) else Block(piece, received_at)
            if self._waiting is None:
                emit(item)
                continue
            self._waiting.append(item)
            if isinstance(item, Block):
                self._head += item.data
                self._recognise(received_at, emit)

    def ended(self) -> None:
        """The stream is over; a fault where not even its beginning was audio."""
        if self._waiting is not None:
            raise SourceFault(
                GapCause.REFUSED,
                f"{self._shown_url}: the stream ended after {len(self._head)} bytes that are no known audio",
            )

    def _recognise(self, received_at: Instant, emit: Emit) -> None:
        try:
            audio_format = detect(self._head)
        except CodecError as error:
            raise SourceFault(
                GapCause.REFUSED, f"{self._shown_url}: {error.message}", hint=error.hint, permanent=True
            ) from error
        if audio_format is not None and self._waiting is not None:
            emit(RunStarted(audio_format, received_at))
            for item in self._waiting:
                emit(item)
            self._waiting = None


def _title_interval(response: requests.Response, shown_url: str) -> int:
    """How many bytes of audio lie between two titles; 0 where there are none."""
    text = response.headers.get("icy-metaint", "0").strip() or "0"
    if not text.isascii() or not text.isdigit() or len(text) > _INTERVAL_DIGITS:
        # Where the titles lie cannot be known, and a title in the audio would be damage.
        raise SourceFault(
            GapCause.REFUSED,
            f"{shown_url}: the server says icy-metaint: {text[:40]!r}, which is no number of bytes",
            hint="tell whoever runs the server",
            permanent=True,
        )
    return int(text)


def _read(response: requests.Response) -> Iterator[tuple[bytes, Instant]]:
    """Bytes as they come, each with the moment they came."""
    while data := response.raw.read1(_READ_BYTES, decode_content=False):
        yield data, clock.now()


def _reason(error: Exception) -> str:
    """The innermost reason of a failed request, without the address (it may hold a password)."""
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    text = str(error)
    for known in ("Connection refused", "Name or service not known", "Temporary failure in name resolution"):
        if known in text:
            return known
    return f"the connection failed ({type(error).__name__})"


def _said(error: Exception) -> str:
    return type(error).__name__ if isinstance(error, ValueError) else str(error) or type(error).__name__
