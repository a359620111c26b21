"""The checksums of FLAC (RFC 9639, 9.1.8 and 9.3), quick enough for every frame of a stream.

A walk over the bytes costs milliseconds a frame. The polynomial of CRC-16, x^16 + x^15 + x^2 + 1, is (x + 1) times
x^15 + x + 1. Modulo the first a frame is the parity of its bits. Modulo the second x^15 = x + 1, and, squared again and
again, x^15m = x^m + 1 for every power of two m: the upper half of a long number is folded onto the lower one by two
additions, which Python's integers do at the speed of memory.
"""

from array import array
from functools import cache

_FACTOR = 0x8003
"""x^15 + x + 1"""
_ORDER = (1 << 15) - 1
"""x^32767 = 1 modulo that factor, and no smaller power is."""


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07; 0 over a header together with its own CRC."""
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def crc16(data: bytes) -> int:
    """CRC-16 with polynomial 0x8005; 0 over a frame together with its own CRC."""
    value = int.from_bytes(data, "big") << 16
    odd = value.bit_count() & 1
    step = 1
    while 30 * step < value.bit_length():
        step *= 2
    while step:
        size = 15 * step
        mask = (1 << size) - 1
        while high := value >> size:
            value = value & mask ^ high ^ high << step
        step >>= 1
    return _joined(value, odd)


def crc16_moved(crc: int, count: int) -> int:
    """The CRC-16 of data whose CRC-16 is `crc` and that is followed by `count` bytes of 0."""
    rest = crc ^ _FACTOR if crc >> 15 else crc
    if rest:
        powers, logarithms = _tables()
        rest = powers[(logarithms[rest] + 8 * count) % _ORDER]
    return _joined(rest, crc.bit_count() & 1)


def _joined(rest: int, odd: int) -> int:
    """The number of 16 bits with that remainder modulo the factor and that parity."""
    return rest if rest.bit_count() & 1 == odd else rest ^ _FACTOR


@cache
def _tables() -> "tuple[array[int], array[int]]":
    """The powers of x modulo the factor, and which power a number is."""
    powers, logarithms = array("H", bytes(2 * _ORDER)), array("H", bytes(2 * _ORDER + 2))
    value = 1
    for exponent in range(_ORDER):
        powers[exponent], logarithms[value] = value, exponent
        value <<= 1
        if value >> 15:
            value ^= _FACTOR
    return powers, logarithms


def _crc8_table() -> list[int]:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
        table.append(crc)
    return table


_CRC8 = _crc8_table()
