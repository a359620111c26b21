"""Names on disk. The name is the true start in local time; the sidecar is the truth."""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path, PurePosixPath

from agent.archive_format.times import to_ms

PART = ".part"
SIDECAR = ".json"
LEVELS = ".levels.npy"
LEDGER = "gaps.jsonl"
FORGOTTEN = "gaps.forgotten"
STATUS = "status.json"
STATE_DIRECTORY = ".state"
AUDIO_SUFFIXES = (".flac", ".wav", ".mp3", ".aac", ".ogg", ".opus")

_STEM = re.compile(
    r"[a-z0-9][a-z0-9-]{0,31}_(?P<start>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}[+-]\d{4}(\d\d)?)(-\d+)?", re.ASCII
)

_DAY = tuple(re.compile(digits, re.ASCII) for digits in (r"\d{4}", r"\d\d", r"\d\d"))


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

    @property
    def levels(self) -> str:
        """The level series of the finished audio."""
        return str(self.folder / f"{self.stem}{LEVELS}")

    @property
    def levels_part(self) -> str:
        """The level series so far, while the audio is recorded."""
        return self.levels + PART


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
    try:
        return to_ms(datetime.strptime(match["start"], "%Y-%m-%dT%H-%M-%S.%f%z"))
    except OverflowError as error:
        raise ValueError(f"{name.stem} begins when no calendar has it in UTC") from error


def _told_start(name: SegmentName) -> datetime:
    """Not the text: in an hour that comes twice the later name comes first in the alphabet."""
    try:
        return start_of(name)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def home_of(name: SegmentName) -> PurePosixPath:
    """The folder that the file was recorded into, wherever it lies now: the local day of its start."""
    year, month, day = name.stem.partition("_")[2][:10].split("-")
    return PurePosixPath(source_of(name), year, month, day)


def days_of(recordings: Path, source: str) -> list[Path]:
    """The folders of a source's days, oldest first. That of the source itself may be a link, those inside may not:
    what is behind one may be anybody's."""
    folders = [recordings / source]
    for digits in _DAY:
        folders = [inner for folder in folders for inner in _inner(folder, digits)]
    return folders


def _inner(folder: Path, digits: re.Pattern[str]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [one.name for one in entries if digits.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [folder / name for name in sorted(names)]


def unfinished(recordings: Path, source: str) -> list[SegmentName]:
    """Audio of a source that nobody closed, oldest name first. Folders that are links are passed over."""
    parts = sorted(path for day in days_of(recordings, source) for path in day.glob(f"{source}_*{PART}"))
    names = (name_of(PurePosixPath(path.relative_to(recordings).as_posix())) for path in parts)
    return sorted((name for name in names if name is not None), key=_told_start)
