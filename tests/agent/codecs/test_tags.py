import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codecs.tags import MOST_BYTES, find_tag, id3v2_bytes, tag_bytes

ID3 = b"ID3\x03\0\0\0\0\x02\x01"
APE_FIELDS = (2000).to_bytes(4, "little") + (500).to_bytes(4, "little") + bytes(4)
APE_HEAD = b"APETAGEX" + APE_FIELDS + (0xA0000000).to_bytes(4, "little") + bytes(8)
APE_FOOT = b"APETAGEX" + APE_FIELDS + (0x80000000).to_bytes(4, "little") + bytes(8)


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (ID3, 10 + 257),
        (b"ID3\x04\0\x10\0\0\0\0", 20),
        (b"ID3\x02\0\0\0\x3f\x7f\x76", MOST_BYTES),
        (b"ID3\x02\0\0\0\x3f\x7f\x77", 0),
        (b"ID3\x05\0\0\0\0\0\x20", 0),
        (b"ID3\x03\0\x01\0\0\0\x20", 0),
        (b"ID3\x03\xff\0\0\0\0\x20", 0),
        (b"ID3\x03\0\0\0\0\x80\x20", 0),
        (APE_HEAD, 532),
        (APE_FOOT, 32),
        (b"APETAGEX" + bytes(24), 0),
        (b"TAGx", 128),
        (b"TAG+", 227),
        (b"\xff\xfb\x90\0", 0),
        (b"", 0),
    ],
)
def test_a_tag_tells_its_length(head: bytes, length: int) -> None:
    assert tag_bytes(head + bytes(40 if head else 0), 0) == length
    assert tag_bytes(b"12345" + head, 5) == length
    is_sure = length and not head.startswith(b"TAG")
    assert find_tag(b"12345" + head + bytes(9)) == (5 if is_sure else -1)
    assert find_tag(b"12345" + head + bytes(9), 6) == -1
    assert find_tag(b"12345" + head + bytes(9), 0, 5) == -1


@pytest.mark.parametrize("tag", [ID3, APE_HEAD, b"TAG+"])
def test_the_beginning_of_a_tag_may_become_one(tag: bytes) -> None:
    assert [tag_bytes(tag[:length], 0) for length in range(1, len(tag))] in (
        [None] * (len(tag) - 1),
        [0, 0, None],  # of ID3v1 three letters are needed
    )


def test_the_first_of_two_is_found_and_what_only_looks_like_one_passed_over() -> None:
    assert find_tag(b"ID3 is no tag" + APE_HEAD + ID3) == 13
    assert find_tag(b"ID3 is no tag" + ID3 + APE_HEAD) == 13


def test_an_id3_tag_of_any_length_tells_it() -> None:
    assert id3v2_bytes(b"ID3\x03\0\0\x7f\x7f\x7f\x7f") == 10 + (1 << 28) - 1


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_have_an_answer(data: bytes, at: int) -> None:
    length = tag_bytes(data, at)
    assert length is None or 0 <= length <= MOST_BYTES
    assert find_tag(data, at) < len(data)
