"""Names on disk. The name is the true start in local time; the sidecar is the truth."""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path, PurePosixPath

from agent.archive_format.times import to_ms

PART = ".part"
SIDECAR = ".json"
LEDGER = "gaps.jsonl"
STATUS = "status.json"
STATE_DIRECTORY = ".state"
AUDIO_SUFFIXES = (".flac", ".wav", ".mp3")

_STEM = re.compile(
    r"[a-z0-9][a-z0-9-]{0,31}_(?P<start>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}[+-]\d{4}(\d\d)?)(-\d+)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class SegmentName:
    """Where the files of one segment lie, relative to the recordings folder."""

    folder: PurePosixPath
    stem: str
    extension: str

    @property
    def audio(self) -> str:
        """The finished audio."""
        return str(self.folder / f"{self.stem}.{self.extension}")

    @property
    def audio_part(self) -> str:
        """The audio while it is recorded."""
        return self.audio + PART

    @property
    def sidecar(self) -> str:
        """What is known of the finished audio."""
        return str(self.folder / f"{self.stem}{SIDECAR}")

    @property
    def sidecar_part(self) -> str:
        """The sidecar so far, while the audio is recorded."""
        return self.sidecar + PART


def segment_name(source: str, start: datetime, zone: tzinfo, extension: str, *, attempt: int = 1) -> SegmentName:
    """The name of the segment of `source` that begins at `start`; `attempt` 2 and up where a name is taken."""
    local = to_ms(start).astimezone(zone)
    stem = f"{source}_{local:%Y-%m-%dT%H-%M-%S}.{local.microsecond // 1000:03d}{local:%z}"[:200]
    folder = PurePosixPath(source) / f"{local:%Y}" / f"{local:%m}" / f"{local:%d}"
    return SegmentName(folder, stem if attempt == 1 else f"{stem}-{attempt}", extension)


def name_of(audio: PurePosixPath) -> SegmentName | None:
    """The name that belongs to an audio file of ours, finished or not; None for any other file."""
    plain = audio.with_suffix("") if audio.suffix == PART else audio
    if plain.suffix not in AUDIO_SUFFIXES or not _STEM.fullmatch(plain.name.removesuffix(plain.suffix)):
        return None
    return SegmentName(audio.parent, plain.name.removesuffix(plain.suffix), plain.suffix[1:])


def source_of(name: SegmentName) -> str:
    """The id of the source that recorded the file."""
    return name.stem.partition("_")[0]


def start_of(name: SegmentName) -> datetime:
    """The start that the name tells; ValueError where no calendar has it."""
    match = _STEM.fullmatch(name.stem)
    if match is None:
        raise ValueError(f"{name.stem} is no name of ours")
    return to_ms(datetime.strptime(match["start"], "%Y-%m-%dT%H-%M-%S.%f%z"))


def unfinished(recordings: Path, source: str) -> list[SegmentName]:
    """Audio of a source that nobody closed, oldest name first."""
    parts = sorted((recordings / source).glob(f"*/*/*/*{PART}"))
    names = (name_of(PurePosixPath(path.relative_to(recordings).as_posix())) for path in parts)
    return [name for name in names if name is not None]
