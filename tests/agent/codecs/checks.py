"""What every container has to stand: files cut anywhere, laid over with the patches, and read by other programs."""

from pathlib import Path

from agent.codecs.base import Container, Muxer, Patch, Whole
from agent.model import Frame


def patched(data: bytes, patches: list[Patch] | tuple[Patch, ...]) -> bytes:
    whole = bytearray(data)
    for patch in patches:
        assert patch.offset + len(patch.data) <= len(whole)
        whole[patch.offset : patch.offset + len(patch.data)] = patch.data
    return bytes(whole)


def written(muxer: Muxer, frames: list[Frame]) -> bytes:
    """The file while it is recorded, after all frames."""
    data = muxer.head()
    for frame in frames:
        data += muxer.add(frame)
    return data


def finished(muxer: Muxer, frames: list[Frame]) -> bytes:
    """The finished file."""
    data = written(muxer, frames)
    tail, patches = muxer.finish()
    return patched(data + tail, patches)


def rescued(data: bytes, whole: Whole) -> bytes:
    """What salvage makes of it."""
    return patched(data[: whole.length], whole.patches)


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def assert_stable(container: Container, data: bytes, whole: Whole) -> bytes:
    """A rescued file is whole as it is: rescuing it again changes nothing."""
    result = rescued(data, whole)
    again = container.whole(result)
    assert again is not None
    assert (again.length, again.samples, again.packets) == (len(result), whole.samples, whole.packets)
    assert rescued(result, again) == result
    return result
