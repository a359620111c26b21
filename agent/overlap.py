"""Recognises the old audio with which a server begins: what has been recorded already is not recorded twice. Pure.

Before a connection's first packets go on they are held until they stand still (as in timeline.py), and compared with
the packets that went by last. Eight of them in a row, all different, that occur once here and once there pin one to
the other; from there on both have to be equal to where one of them ends. Anything less sure is no match: everything
is kept then, and time decides.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from agent.codecs.tails import fingerprint
from agent.lateness import NS, Lateness
from agent.model import AudioFormat, Frame, Loss, Resumed, RunStarted, SplitHere, Tail, Title, Unit

ENOUGH = 8
_REMEMBERED = 8192
"""Packets: three minutes of MP3, 300 KB of memory."""
_SEAM = 1 << 64
"""Stands in the memory where something may be missing or twice: equal to no packet's fingerprint."""
_CONTINUES_NS = 2 * NS
"""Where the clock misses more than this behind the match, time has gone by that is in no packet."""
_LATE_NS = 10 * NS
"""A match that is later than this, and than half of what is remembered, may be audio that comes round again: nearer
repeats would have shown in what is remembered."""


class Overlap:
    """The packets of one source, each of them once. `tail` is what an earlier line of it has recorded last."""

    def __init__(self, tail: Tail | None = None) -> None:
        self._tail: deque[int] = deque(maxlen=_REMEMBERED)
        self._tail_at_ns = 0
        self._is_newest = True
        self._ahead: deque[int] = deque()
        self._burst: _Burst | None = None
        self._loss: Loss | None = None
        if tail is not None:
            self._tail.extend(fingerprint(packet, tail.format.codec) for packet in tail.packets)
            self._tail_at_ns = tail.ended.boottime_ns

    def push(self, unit: Unit) -> Iterator[Unit]:
        """What of `unit`, and of what was held before it, is new."""
        loss, self._loss = self._loss, None
        if loss is not None and isinstance(unit, RunStarted):
            yield loss  # the source goes on at another address: its burst is compared as after a reconnect
        elif loss is not None:
            yield from self._lost(loss)
        if isinstance(unit, Loss) and unit.samples is None and self._burst is None:
            self._loss = unit
            return
        yield from self._pushed(unit)

    def _pushed(self, unit: Unit) -> Iterator[Unit]:
        match unit:
            case Frame() if unit.format.bytes_per_sample is not None:
                yield unit
            case Frame() if self._burst is not None:
                self._burst.add(unit)
                if self._burst.is_over:
                    yield from self._decide()
            case Frame():
                yield from self._new(unit)
            case Title() | SplitHere() | Loss() if self._burst is not None:
                self._burst.units.append(unit)
            case Title() | SplitHere():
                yield unit
            case Loss():
                yield from self._lost(unit)
            case _:
                yield from self._decide()
                self._ahead.clear()
                yield unit
                if isinstance(unit, RunStarted) and unit.format.bytes_per_sample is None and self._tail:
                    self._burst = _Burst()

    def _decide(self) -> Iterator[Unit]:
        """Let go of what was held, without what is known."""
        burst, self._burst = self._burst, None
        if burst is None:
            return
        if len(burst.packets) < ENOUGH:
            # Too few to tell, and too few to stand between what is known and the next burst.
            self._is_newest = self._is_newest and not burst.packets
            yield from burst.units
            return
        known, late_ns = self._known(burst)
        if not known:
            self._tail.append(_SEAM)
        elif not self._ahead and (late_ns <= _CONTINUES_NS or not burst.stands_still):
            yield from self._resumed()
        for unit in burst.units_behind(known):
            match unit:
                case Frame():
                    yield from self._new(unit)
                case Loss():
                    yield from self._lost(unit)
                case _:
                    yield unit

    def _known(self, burst: "_Burst") -> tuple[int, int]:
        """How many packets of the burst are known, and how late the clock finds them; what has to follow is ahead."""
        tail = tuple(self._tail)
        place = place_in(tail, burst.packets)
        if place is None:
            return 0, 0
        known = min(len(burst.packets), len(tail) - place)
        ahead = tail[place + known :]
        late_ns = burst.late_ns(known, len(ahead), self._tail_at_ns)
        # Behind a seam came something else, so this is not where the source was last: it sends the same thing again.
        if _SEAM in ahead or late_ns > max(_LATE_NS, burst.length_ns(len(tail)) // 2):
            return 0, 0
        self._ahead.extend(ahead)
        return known, late_ns

    def _lost(self, loss: Loss) -> Iterator[Unit]:
        self._ahead.clear()
        self._tail.append(_SEAM)
        yield loss

    def _resumed(self) -> Iterator[Resumed]:
        """Unless a few packets went on that are not in the tail: the clock of the run before is theirs."""
        if self._is_newest:
            yield Resumed()

    def _new(self, frame: Frame) -> Iterator[Unit]:
        """The frame from its first packet on that is not the one that is known to come."""
        if self._ahead:
            known = 0
            for data, _ in frame.packets():
                if not self._ahead or fingerprint(data, frame.format.codec) != self._ahead[0]:
                    break
                self._ahead.popleft()
                known += 1
            rest = _behind(frame, known)
            if not self._ahead:
                yield from self._resumed()
            if rest is None:
                return
            if self._ahead:
                self._ahead.clear()
                self._tail.append(_SEAM)
            frame = rest
        if not self._is_newest:
            self._tail.append(_SEAM)
        self._tail.extend(fingerprint(data, frame.format.codec) for data, _ in frame.packets())
        self._tail_at_ns, self._is_newest = frame.received_at.boottime_ns, True
        yield frame


class _Burst:
    """The beginning of a run, held until no more of it comes at once."""

    def __init__(self) -> None:
        self.units: list[Frame | Title | SplitHere | Loss] = []
        self.packets: list[int] = []
        self.is_over = False
        self.stands_still = False
        self._ends: list[int] = []
        self._samples = 0
        self._at_ns = 0
        self._format: AudioFormat | None = None
        self._clock: Lateness | None = None

    def add(self, frame: Frame) -> None:
        """One more frame."""
        if self._clock is None:
            self._format, self._clock = frame.format, Lateness(frame.format.sample_rate_hz)
        self.units.append(frame)
        for data, samples in frame.packets():
            self.packets.append(fingerprint(data, frame.format.codec))
            self._samples += samples
            self._ends.append(self._samples)
        self._at_ns = frame.received_at.boottime_ns
        self._clock.arrived(self._samples, self._at_ns)
        self.stands_still = self._clock.stands_still
        self.is_over = self._clock.settled or frame.format != self._format

    def length_ns(self, packets: int) -> int:
        """About how long so many packets are."""
        rate_hz = 0 if self._format is None else self._format.sample_rate_hz
        return packets * self._samples * NS // max(1, len(self.packets) * rate_hz)

    def late_ns(self, known: int, ahead: int, since_ns: int) -> int:
        """How much more time has gone by since the last known packet came, at `since_ns`, than there is audio."""
        rate_hz = 0 if self._format is None else self._format.sample_rate_hz
        new_ns = (self._samples - self._ends[known - 1]) * NS // max(1, rate_hz)
        return self._at_ns - since_ns - new_ns + self.length_ns(ahead)

    def units_behind(self, known: int) -> Iterator[Frame | Title | SplitHere | Loss]:
        """All that was held but the first so many packets and the losses between them."""
        for unit in self.units:
            if known and isinstance(unit, Frame):
                packets = len(unit.borders) + 1
                rest = _behind(unit, min(known, packets))
                known = max(0, known - packets)
                if rest is not None:
                    yield rest
            elif not (known and isinstance(unit, Loss)):
                yield unit


def place_in(tail: Sequence[int], came: Sequence[int]) -> int | None:
    """Where in `tail` the first packet of `came` has its place; negative where it is older than all of them.

    From their common anchor on the two are equal to where one of them ends. None where that is not sure.
    """
    anchors = _once(came, None)
    known = _once(tail, anchors) if anchors else {}
    last: dict[int, int] = {}
    for window, at in known.items():
        last[at - anchors[window]] = max(anchors[window], last.get(at - anchors[window], 0))
    places = [
        place
        for place, anchor in last.items()
        if all(came[at] == tail[place + at] for at in range(anchor, min(len(came), len(tail) - place)))
    ]
    return places[0] if len(places) == 1 else None


def _once(packets: Sequence[int], wanted: dict[tuple[int, ...], int] | None) -> dict[tuple[int, ...], int]:
    """Where each row of eight different packets begins that occurs only once; of `wanted` ones only, if given."""
    found: dict[tuple[int, ...], int] = {}
    again = set()
    for at in range(len(packets) - ENOUGH + 1):
        window = tuple(packets[at : at + ENOUGH])
        if wanted is not None and window not in wanted:
            continue
        if window in found:
            again.add(window)
        elif len(set(window)) == ENOUGH:
            found[window] = at
    return {window: at for window, at in found.items() if window not in again}


def _behind(frame: Frame, packets: int) -> Frame | None:
    """The frame without its first packets; None where that is all of it."""
    if packets > len(frame.borders):
        return None
    return frame.split(frame.borders[packets - 1][1])[1] if packets else frame
