"""The packets of an Ogg file of ours from any sample on, for a decoder. Pure but for the file it is given."""

from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from agent.codecs.base import Whole
from agent.codecs.ogg_mappings import Setup
from agent.codecs.ogg_pages import CAPTURE, Page, PageReader, is_sound, page_head
from agent.errors import CodecError
from agent.model import Frame, Instant

_WARM_PACKETS = 50
_WARM_S = 1
"""An Opus decoder that starts anywhere is right after half a second."""
_READ_BYTES = 1 << 16
_PAGE_MOST_BYTES = 65307
_NEVER = Instant(0, 0, 0)


def frames_from(file: BinaryIO, whole: Whole, setup: Setup, first: int) -> Iterator[tuple[Frame, int]]:
    """Each page as a frame, with the packets before it as priming, and the sample it begins with.

    The frames begin at or before sample `first`. Raises CodecError where the file is damaged or ends early.
    """
    granule = first + setup.pre_skip - _WARM_S * whole.format.sample_rate_hz
    at = _page_before(file, whole, granule)
    unheard: int | None = whole.priming_packets if at == whole.payload_offset else None
    warm: deque[bytes] = deque(maxlen=_WARM_PACKETS)
    start = 0
    for page in _pages(file, at):
        if unheard is None:
            # Where the first page begins is not known, only where it ends: it makes the decoder warm.
            warm.extend(page.packets)
            unheard, start = 0, (page.granule or 0) - setup.pre_skip
            continue
        if page.has_gap:
            raise CodecError(f"an Ogg page is missing at sample {start}")
        primes = min(len(page.packets), unheard)
        unheard -= primes
        warm.extend(page.packets[:primes])
        frame = _frame(page.packets[primes:], warm, whole, setup)
        yield frame, start
        start += frame.samples
        if start >= whole.samples:
            return
    raise CodecError(f"the Ogg file ends at sample {start}")


def _frame(packets: tuple[bytes, ...], warm: deque[bytes], whole: Whole, setup: Setup) -> Frame:
    priming, size, samples, borders = tuple(warm), 0, 0, list[tuple[int, int]]()
    for packet in packets:
        size += len(packet)
        samples += setup.length(packet, warm[-1] if warm else None) or 0
        borders.append((size, samples))
        warm.append(packet)
    return Frame(b"".join(packets), samples, whole.format, _NEVER, tuple(borders[:-1]), priming)


def _page_before(file: BinaryIO, whole: Whole, granule: int) -> int:
    """Where a page begins that ends before this granule position, and not long before; or the first page."""
    low, high = whole.payload_offset, whole.length
    while high - low > 2 * _READ_BYTES:
        middle = (low + high) // 2
        found = _page_behind(file, middle)
        if found is not None and found[1] < granule:
            low = found[0]
        else:
            high = middle
    return low


def _page_behind(file: BinaryIO, offset: int) -> tuple[int, int] | None:
    """The first page behind this byte on which a packet ends, and its granule position."""
    file.seek(offset)
    data = file.read(2 * _PAGE_MOST_BYTES)
    at = -1
    while (at := data.find(CAPTURE, at + 1)) >= 0:
        head = page_head(data, at)
        if head is not None and head.granule is not None and is_sound(data[at : at + head.size]):
            return offset + at, head.granule
    return None


def _pages(file: BinaryIO, at: int) -> Iterator[Page]:
    reader = PageReader()
    file.seek(at)
    while data := file.read(_READ_BYTES):
        yield from reader.push(data)
