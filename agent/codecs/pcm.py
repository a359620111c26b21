"""Raw PCM: any whole number of samples is a unit."""

from collections.abc import Iterator

from agent.model import AudioFormat, Block, Frame


class PcmFramer:
    """Frames of whole samples; bytes of a sample cut in two wait for the next block."""

    def __init__(self, audio_format: AudioFormat) -> None:
        if audio_format.bytes_per_sample is None:
            raise ValueError(f"not PCM: {audio_format}")
        self._format = audio_format
        self._width = audio_format.bytes_per_sample
        self._rest = b""

    def push(self, block: Block) -> Iterator[Frame]:
        """All whole samples of the rest and the block, as one frame."""
        data = self._rest + block.data
        samples = len(data) // self._width
        self._rest = data[samples * self._width :]
        if samples:
            yield Frame(data[: samples * self._width], samples, self._format, block.received_at)
