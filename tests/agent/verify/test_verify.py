"""Recordings of every codec: sound ones pass, damaged ones are named, each with the right words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.verify.finding import Check, Finding
from tests.agent.broken import BREAKABLE, broken, damaged
from tests.agent.recorded import KINDS, record
from tests.agent.verify.support import checks, found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three segments of each kind."""
    made = {}
    for kind in KINDS:
        made[kind] = tmp_path_factory.mktemp(kind.replace(" ", "-"))
        record(made[kind], kind)
    return made


@pytest.fixture
def recordings(sound: dict[str, Path], kind: str, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(sound[kind], tmp_path / "recordings"))


def audio_files(recordings: Path) -> list[Path]:
    return sorted(path for path in recordings.glob("*/*/*/*/*") if path.suffix not in (".json", ".npy"))


def changed(path: Path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)


def edited(audio: Path, **fields: object) -> None:
    sidecar = audio.with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_bytes()), **fields}))


def series(audio: Path) -> Path:
    return audio.with_suffix(".levels.npy")


def truncated(audio: Path) -> None:
    audio.write_bytes(audio.read_bytes()[: audio.stat().st_size * 2 // 3])


def flipped(audio: Path) -> None:
    middle = audio.stat().st_size // 2
    changed(audio, middle, bytes([audio.read_bytes()[middle] ^ 0x10]))


def beheaded(audio: Path) -> None:
    changed(audio, 0, bytes([audio.read_bytes()[0] ^ 0xFF]))


def lengthened(audio: Path) -> None:
    audio.write_bytes(audio.read_bytes() + b"garbage " * 40)


def zeroed(audio: Path) -> None:
    changed(audio, audio.stat().st_size // 2, bytes(4096))


def recounted(audio: Path) -> None:
    samples = json.loads(audio.with_suffix(".json").read_bytes())["samples"]
    edited(audio, samples=samples + 1)


def without_sidecar(audio: Path) -> None:
    audio.with_suffix(".json").unlink()


def with_a_garbled_sidecar(audio: Path) -> None:
    audio.with_suffix(".json").write_bytes(b'{"v": 1, "id": ')


def without_levels(audio: Path) -> None:
    series(audio).unlink()


def with_short_levels(audio: Path) -> None:
    series(audio).write_bytes(series(audio).read_bytes()[:-60])


def swapped(audio: Path) -> None:
    other = audio_files(audio.parents[4])[2]
    mine = audio.read_bytes()
    audio.write_bytes(other.read_bytes())
    other.write_bytes(mine)


def renamed(audio: Path) -> None:
    audio.rename(audio.with_stem("copy-of-" + audio.stem))


def all_renamed(audio: Path) -> None:
    for path in audio.parent.glob(audio.stem + ".*"):
        path.rename(path.with_name(path.name.replace("T13-", "T12-")))


DAMAGE: list[tuple[Callable[[Path], None], set[str], str]] = [
    (truncated, {"size", "damaged"}, "bytes"),
    (flipped, {"sha256"}, "put the file back from a copy"),
    (beheaded, {"sha256"}, "put the file back from a copy"),
    (lengthened, {"size"}, "bytes"),
    (zeroed, {"sha256"}, "put the file back from a copy"),
    (recounted, {"counts", "sidecar"}, "samples"),
    (without_sidecar, {"no_sidecar"}, "audio without a sidecar"),
    (with_a_garbled_sidecar, {"sidecar"}, "no JSON"),
    (without_levels, {"levels"}, "isr-agent repair"),
    (with_short_levels, {"levels"}, "rows of"),
    (swapped, {"sha256"}, ""),
    (renamed, {"lost"}, "has just this size: name it back"),
    (all_renamed, {"name"}, "the sidecar of"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_recorded_is_sound(recordings: Path) -> None:
    assert found(recordings) == []
    assert found(recordings, quick=True) == []
    for audio in audio_files(recordings):
        assert found(audio) == []
        assert found(audio.with_suffix(".json"), series(audio)) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("damage", "expected", "words"), DAMAGE, ids=[one[0].__name__ for one in DAMAGE])
def test_each_damaged_file_is_named(
    recordings: Path, damage: Callable[[Path], None], expected: set[str], words: str
) -> None:
    audio = audio_files(recordings)[1]
    damage(audio)
    findings = found(recordings)
    named = [one for one in findings if Path(one.file).name.startswith(audio.stem) or damage is all_renamed]
    assert named
    if damage is swapped and "size" in checks(named):
        expected = {"size"}
    assert expected <= checks(named), [str(one) for one in findings]
    assert any(words in str(one) for one in named), [str(one) for one in findings]
    also = {"swapped": audio_files(recordings)[-1].stem, "renamed": "copy-of-" + audio.stem}.get(damage.__name__)
    assert [one for one in findings if one not in named and (also is None or also not in one.file)] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", [truncated, beheaded, lengthened, zeroed])
def test_damage_shows_without_a_checksum(recordings: Path, damage: Callable[[Path], None]) -> None:
    """A large file gets its checksum only later; the codec itself tells."""
    for audio in audio_files(recordings):
        edited(audio, sha256=None)
    assert found(recordings) == []
    audio = audio_files(recordings)[1]
    damage(audio)
    findings = found(audio)
    if audio.suffix == ".wav" and damage is zeroed:
        assert findings == []  # silence is PCM like any other
    else:
        assert findings, damage
    assert {one.file.rpartition("/")[2] for one in findings} <= {audio.name}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("card wav", "mp3", "aac")])
def test_a_bit_shows_without_a_checksum_where_the_codec_has_its_own(recordings: Path) -> None:
    audio = audio_files(recordings)[1]
    edited(audio, sha256=None)
    flipped(audio)
    findings = found(audio)
    assert checks(findings) & {"damaged", "decode"}
    assert any("nothing sound behind byte" in str(one) or "MD5" in str(one) for one in findings)


@pytest.mark.parametrize("kind", ["mp3"])
def test_a_line_says_what_where_and_what_to_do(recordings: Path) -> None:
    audio = audio_files(recordings)[0]
    size = audio.stat().st_size
    truncated(audio)
    line = str(next(one for one in found(recordings) if one.check == "size"))
    assert line == (
        f"{audio.relative_to(recordings)}: size: found {audio.stat().st_size} bytes; expected {size}; "
        "put the file back from a copy; without one, listen to it: what is still good plays"
    )


@pytest.mark.parametrize("codec", BREAKABLE)
def test_packets_that_were_sent_broken_are_allowed_where_the_sidecar_tells_of_them(tmp_path: Path, codec: str) -> None:
    record(tmp_path, codec, data=damaged(codec, {number: broken(codec, number) for number in (5, 10)}))
    assert found(tmp_path) == []
    audio = audio_files(tmp_path)[0]
    gaps = json.loads(audio.with_suffix(".json").read_bytes())["gaps"]
    for count in (1, 0):
        listed = gaps[:count]
        edited(audio, gaps=listed)
        (finding,) = found(tmp_path)
        assert finding.check == "decode"
        assert finding.found.startswith("2 packets that cannot be decoded, ")
        assert finding.expected.startswith(f"{sum(gap['filled_samples'] for gap in listed)} samples, by the entries")
        assert finding.advice == "nothing: the source sent them like that"


@pytest.mark.parametrize("codec", BREAKABLE)
def test_an_entry_for_a_packet_that_is_sound_shows(tmp_path: Path, codec: str) -> None:
    record(tmp_path, codec, data=damaged(codec, {5: broken(codec, 5)}))
    audio = audio_files(tmp_path)[0]
    (gap,) = json.loads(audio.with_suffix(".json").read_bytes())["gaps"]
    edited(audio, gaps=[gap, {**gap, "id": gap["id"][:-1] + ("0" if gap["id"][-1] != "0" else "1")}])
    assert checks(found(tmp_path)) == {"decode"}


def test_a_finding_for_programs() -> None:
    finding = Finding("a", Check.SIZE, "1 bytes", "2", "x")
    assert finding.json() == {"file": "a", "check": "size", "found": "1 bytes", "expected": "2", "advice": "x"}
