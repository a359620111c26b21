"""`type: icecast`: a stream over HTTP, from the first of its addresses that plays."""

import logging
from contextlib import closing

from agent import clock
from agent.config import IcecastSettings
from agent.errors import SourceFault
from agent.model import GapCause, Loss
from agent.sources.address import Address, address
from agent.sources.base import Emit
from agent.sources.stream import Stream
from agent.sources.tuner import ANSWER_WITHIN_S, tune
from agent.sources.way_back import WayBack
from agent.supervisor import Backoff, StopSignal

_log = logging.getLogger(__name__)
_BACK_EVERY_S = 300.0


class IcecastSource:
    """One stream at a time. While it comes from a fallback, the addresses before that one are tried again every
    `back_every_s`, beside the recording, and the first that plays takes over."""

    backoff = Backoff(first_s=1.0, most_s=60.0)

    def __init__(
        self,
        settings: IcecastSettings,
        *,
        back_every_s: float = _BACK_EVERY_S,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._id = settings.id
        self._back_every_s, self._answer_within_s = back_every_s, answer_within_s
        first = address(settings.url.reveal(), settings.headers)
        # What the first address may be told is told to a fallback on the same server too, and to no other.
        self._addresses = (first, *(first.towards(url.reveal()) for url in settings.fallback_urls))
        self._said = first.shown

    def run(self, emit: Emit, stop: StopSignal) -> None:
        """Receive until stopped; SourceFault when the stream ends, stalls for 10 s or is no audio we know."""
        try:
            found: _Found | None = self._first_that_plays(self._addresses, stop)
            while found is not None:
                found = self._play(found, emit, stop)
        except SourceFault:
            if not stop.is_set:
                raise

    def _play(self, found: "_Found", emit: Emit, stop: StopSignal) -> "_Found | None":
        """Record from one address until stopped, or until a better one plays: that is returned."""
        self._say(found)
        stream = found.stream
        with self._way_back(found.place) as back, closing(stream), stop.calling(stream.hang_up):
            try:
                stream.play(emit, stop, lambda: back.has_found)
                fault = SourceFault(GapCause.DISCONNECTED, f"{stream.shown_url}: left for a better address")
            except SourceFault as error:
                fault = error
            better = None if stop.is_set else back.take()
            if better is None:
                if stop.is_set:
                    return None
                raise fault
        emit(Loss(fault.cause, fault.message, clock.now()))
        return better

    def _way_back(self, place: int) -> "WayBack[_Found]":
        better = self._addresses[:place]
        every_s = self._back_every_s
        return WayBack(self._id, lambda stop: self._first_that_plays(better, stop), every_s, needed=bool(better))

    def _first_that_plays(self, addresses: tuple[Address, ...], stop: StopSignal) -> "_Found":
        faults: list[SourceFault] = []
        for place, one in enumerate(addresses):
            try:
                return _Found(place, tune(one, stop, answer_within_s=self._answer_within_s))
            except SourceFault as fault:
                faults.append(fault)
            if stop.is_set:
                break
        raise _all_of(faults)

    def _say(self, found: "_Found") -> None:
        """What is recorded from, where that is not what was said last."""
        if found.stream.shown_url != self._said:
            self._said = found.stream.shown_url
            _log.info("%s: recording from %s", self._id, self._said)


class _Found:
    """A stream, and at which place in the list of addresses."""

    def __init__(self, place: int, stream: Stream) -> None:
        self.place, self.stream = place, stream

    def close(self) -> None:
        """Nobody wants it."""
        self.stream.close()


def _all_of(faults: list[SourceFault]) -> SourceFault:
    """One fault that says what is wrong with each address; that of the first counts."""
    first, *others = faults
    if not others:
        return first
    text = "; ".join(str(fault) for fault in faults)
    return SourceFault(first.cause, text, permanent=all(fault.permanent for fault in faults))
