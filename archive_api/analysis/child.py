"""Decodes one file in a process of its own: `python -m archive_api.analysis.child OUT`.

The audio is its standard input, a descriptor of a file that the archive has opened; the level series goes to the
descriptor OUT, and one line of JSON to standard output: what the file is, or why there is no series of it. So it needs
no name of a file, and what hostile audio can do to it ends with it.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agent.archive_format.levels import header
from agent.codecs.decode_file import DecodedFile, decode_file
from agent.errors import CodecError
from agent.loudness.rows import RowMaker

CPU_S = 300
MEMORY_BYTES = 1 << 30
DURATION_MOST_S = 24 * 3600
SAMPLES_MOST = 1 << 32
"""Of all channels together: 12 hours of 48 kHz stereo."""
_OUT_MOST_BYTES = 512 << 20
_NICE = 10


class TooLongError(Exception):
    """There is more audio than may be decoded."""


def main() -> None:
    """Decode standard input."""
    _limit()
    try:
        told = _measure(int(sys.argv[1]))
    except TooLongError:
        told = {"problem": "too_long"}
    except (CodecError, OSError, ValueError, MemoryError, ArithmeticError) as error:
        told = {"problem": "damaged", "detail": str(error) if isinstance(error, CodecError) else "it cannot be read"}
    print(json.dumps(told))  # noqa: T201 - the answer


def _limit() -> None:
    os.nice(_NICE)
    for kind, most in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, _OUT_MOST_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _measure(out: int) -> dict[str, object]:
    with decode_file(0) as audio, os.fdopen(out, "wb") as file:
        maker = RowMaker(audio.sample_rate_hz, audio.channels)
        file.write(header(audio.channels, 0))
        count = samples = 0
        for block in _bounded(audio):
            rows = maker.push(block)
            count, samples = count + len(rows), samples + block.shape[1]
            file.write(rows.tobytes())
        last = maker.finish()
        file.write(last.tobytes())
        file.seek(0)
        file.write(header(audio.channels, count + len(last)))
        if not samples:
            raise CodecError("there is no audio in this file that can be decoded")
        return {"sample_rate_hz": audio.sample_rate_hz, "samples": samples}


def _bounded(audio: DecodedFile) -> Iterator[NDArray[np.float32]]:
    most = min(DURATION_MOST_S * audio.sample_rate_hz, SAMPLES_MOST // audio.channels)
    if audio.duration_s is not None and audio.duration_s * audio.sample_rate_hz > most:
        raise TooLongError
    done = 0
    for block in audio.blocks:
        done += block.shape[1]
        if done > most:
            raise TooLongError
        yield block


if __name__ == "__main__":
    main()
