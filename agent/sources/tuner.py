"""From an address to a stream that plays: redirects, playlists, and the first entry that answers with audio."""

from urllib.parse import urlsplit

from agent import clock
from agent.errors import CodecError, SourceFault
from agent.model import GapCause
from agent.sources import http, playlist
from agent.sources.address import Address
from agent.sources.shoutcast import Wire
from agent.sources.stream import Arrived, Stream
from agent.supervisor import StopSignal

ANSWER_WITHIN_S = 20.0
"""A server has so long for headers and enough audio to know its format."""
_DEPTH_MAX = 3
_TRIES_MAX, _TRIES_WITHIN_S = 10, 60.0


def tune(address: Address, stop: StopSignal, *, answer_within_s: float = ANSWER_WITHIN_S) -> Stream:
    """The stream at an address, or at one of those that a playlist there names.

    Raises SourceFault where there is none. Ends soon, with a fault, when `stop` is set.
    """
    return _Tuner(stop, answer_within_s).open(address, depth=0)


class _Tuner:
    """One search, with so many tries in all."""

    def __init__(self, stop: StopSignal, answer_within_s: float) -> None:
        self._stop = stop
        self._answer_within_s = answer_within_s
        self._tries = 0
        self._until_s = clock.monotonic_s() + _TRIES_WITHIN_S

    def open(self, address: Address, *, depth: int) -> Stream:
        """The stream at an address that so many playlists led to."""
        wire = Wire(clock.monotonic_s() + self._answer_within_s)
        with self._stop.calling(wire.hang_up):
            connection = http.get(address, wire)
            try:
                begun, named = _playlist(connection)
                if named is None:
                    return Stream(connection, begun)
            except BaseException:
                connection.close()
                raise
        connection.close()
        return self._first_of(named, connection.address, depth=depth + 1)

    def _first_of(self, named: list[str], source: Address, *, depth: int) -> Stream:
        if depth > _DEPTH_MAX:
            text = f"{source.shown}: playlists lead to playlists, more than {_DEPTH_MAX} deep"
            raise SourceFault(GapCause.REFUSED, text, permanent=True)
        fault = SourceFault(GapCause.REFUSED, f"{source.shown}: no entry of the playlist could be tried")
        for entry in named:
            if self._stop.is_set or self._tries >= _TRIES_MAX or clock.monotonic_s() >= self._until_s:
                break
            self._tries += 1
            try:
                return self.open(source.towards(entry), depth=depth)
            except ValueError as error:
                text = f"{source.shown}: the playlist leads to {error}, which is not supported"
                fault = SourceFault(GapCause.REFUSED, text, permanent=True)
            except SourceFault as error:
                fault = error
        raise fault


def _playlist(connection: http.Connection) -> tuple[list[Arrived], list[str] | None]:
    """What came so far, and the addresses where that is a whole playlist."""
    announced = playlist.is_announced(connection.content_type, urlsplit(connection.address.url).path)
    begun: list[Arrived] = []
    data, ended = b"", False
    is_one: bool | None = None
    while not ended and is_one is not False and len(data) <= playlist.BYTES_MAX:
        piece, at = connection.read()
        ended = not piece
        data += piece
        if piece:
            begun.append((piece, at))
        if is_one is None:
            is_one = playlist.may_be(data, announced=announced, ended=ended)
    if not is_one:
        return begun, None
    try:
        return begun, playlist.entries(data, announced=announced)
    except CodecError as error:
        text = f"{connection.address.shown}: {error.message}"
        raise SourceFault(GapCause.REFUSED, text, hint=error.hint, permanent=True) from error
