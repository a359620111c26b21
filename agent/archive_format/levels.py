"""The level series beside a segment: one row for every 100 ms, in NumPy's own format 1.0.

A reader needs nothing but `numpy.load`. While the segment is recorded the file grows at its end, and the number of rows
in its header, which has a fixed length, is laid over anew; a row cut off by a crash is passed over.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.model import SILENCE_DBFS, Loudness

ROWS_PER_S = 10
HEADER_BYTES = 256
_MAGIC = b"\x93NUMPY\x01\x00"
_INT16 = 32768.0
_ROWS = "<rows>"

Rows: TypeAlias = NDArray[np.void]


@cache
def row_type(channels: int) -> np.dtype[np.void]:
    """The layout of a row.

    `sample`: the first sample that the row covers; `min`, `max`: per channel, on the scale of int16; `mean_square`: per
    channel, full scale is 1.0; `lufs_m`, `la_db`: NaN where not measured. All NaN or 0 where nothing could be decoded.
    """
    return np.dtype(
        [
            ("sample", "<i8"),
            ("min", "<i2", (channels,)),
            ("max", "<i2", (channels,)),
            ("mean_square", "<f4", (channels,)),
            ("lufs_m", "<f4"),
            ("la_db", "<f4"),
        ]
    )


def row_start(row: int, sample_rate_hz: int) -> int:
    """The first sample of row `row`; the row ends where the next begins."""
    return (row * sample_rate_hz + ROWS_PER_S // 2) // ROWS_PER_S


@cache
def _description(channels: int) -> str:
    described = {"descr": row_type(channels).descr, "fortran_order": False, "shape": (_ROWS,)}
    return repr(described).replace(repr(_ROWS), _ROWS)


def header(channels: int, rows: int) -> bytes:
    """The first HEADER_BYTES of a file of so many rows (NumPy format 1.0, NEP 1)."""
    text = _description(channels).replace(_ROWS, str(rows)).encode()
    room = HEADER_BYTES - len(_MAGIC) - 2 - 1
    return _MAGIC + (HEADER_BYTES - len(_MAGIC) - 2).to_bytes(2, "little") + text.ljust(room) + b"\n"


def read_levels(path: Path) -> Rows:
    """The rows of a file, finished or growing. OSError where it cannot be read, ValueError where it is none."""
    with path.open("rb") as file:
        return load_levels(file)


def load_levels(file: BinaryIO) -> Rows:
    """The rows of an open file. ValueError where it is no level series."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"version {version} of the NumPy format is not that of a level series")
    _shape, _is_fortran, found = np.lib.format.read_array_header_1_0(file)
    names: Any = found.names
    if names is None or found != row_type(found["min"].shape[0] if "min" in names and found["min"].shape else 0):
        raise ValueError("this is no level series")
    data = file.read()
    return np.frombuffer(data[: len(data) // found.itemsize * found.itemsize], found)


def lengths(rows: Rows, samples: int) -> NDArray[np.int64]:
    """How many samples each row covers, in a file of `samples` samples."""
    return np.diff(np.append(rows["sample"], samples))


def loudness(rows: Rows, samples: int) -> Loudness | None:
    """The level of a whole file of `samples` samples; None where there is no row."""
    if not len(rows):
        return None
    weights = lengths(rows, samples).astype(np.float64)
    power = np.nansum(rows["mean_square"] * weights[:, None], axis=0) / max(1.0, float(weights.sum()))
    peak = max(int(rows["max"].max()), -int(rows["min"].min())) / _INT16
    return Loudness(rms_dbfs=power_dbfs(float(power.max())), peak_dbfs=power_dbfs(peak * peak))


def power_dbfs(power: float) -> float:
    """A mean square, full scale 1.0, in dBFS with one decimal; silence is -120.0, and so is what is not measured."""
    return round(exact_dbfs(power), 1)


def exact_dbfs(power: float) -> float:
    """The same, not rounded."""
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS
