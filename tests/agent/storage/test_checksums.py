"""Checksums of large files come later, without anything else changing."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.archive_format.sidecar import encode, segment_from, segment_json
from agent.model import FinishedSegment
from agent.storage.checksums import Checksums
from agent.storage.sidecars import Sidecars
from tests.archive.support import Recordings


@pytest.fixture
def large(tmp_path: Path) -> FinishedSegment:
    """A finished segment whose checksum was left for later."""
    finished = Recordings(tmp_path).finished(20)
    segment = replace(finished.segment, sha256=None)
    finished.path.with_suffix(".json").write_bytes(encode(segment_json(segment)))
    return FinishedSegment(segment, finished.path)


def run(checksums: Checksums) -> None:
    for _ in range(1000):
        if not checksums.step():
            return
    raise AssertionError("there is no end to it")


def judge(finished: FinishedSegment, told: list[FinishedSegment]) -> None:
    sidecar = json.loads(finished.path.with_suffix(".json").read_bytes())
    assert sidecar["sha256"] == hashlib.sha256(finished.path.read_bytes()).hexdigest()
    assert sidecar["rev"] == finished.segment.rev + 1
    assert [one.segment for one in told] == [segment_from(sidecar)]
    same = replace(segment_from(sidecar), sha256=None, rev=finished.segment.rev)
    assert same == finished.segment


def test_it_is_filled_in_with_a_higher_rev_and_told(tmp_path: Path, large: FinishedSegment) -> None:
    told: list[FinishedSegment] = []
    checksums = Checksums(tmp_path, Sidecars(tmp_path, told.append))
    checksums.put(large)
    run(checksums)
    judge(large, told)


def test_what_an_earlier_run_left_is_found(tmp_path: Path, large: FinishedSegment) -> None:
    told: list[FinishedSegment] = []
    checksums = Checksums(tmp_path, Sidecars(tmp_path, told.append))
    (large.path.parent / "broken.json").write_text("{")
    checksums.put_left_over("mic")
    run(checksums)
    judge(large, told)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.with_suffix(".json").unlink()])
def test_a_file_that_went_away_stops_nothing(
    tmp_path: Path, large: FinishedSegment, spoil: Callable[[Path], None]
) -> None:
    told: list[FinishedSegment] = []
    checksums = Checksums(tmp_path, Sidecars(tmp_path, told.append))
    checksums.put(large)
    spoil(large.path)
    run(checksums)
    assert told == []


@pytest.mark.parametrize("name", ["edited copy", "mic_2026-11-22T23-00-00.000+0100"])
def test_a_copied_sidecar_says_nothing_of_the_file_it_was_copied_from(
    tmp_path: Path, large: FinishedSegment, name: str
) -> None:
    sidecar = large.path.with_suffix(".json")
    known = replace(large.segment, sha256=hashlib.sha256(large.path.read_bytes()).hexdigest())
    copy = large.path.with_name(f"{name}{large.path.suffix}")
    copy.write_bytes(large.path.read_bytes()[:-100])
    copy.with_suffix(".json").write_bytes(sidecar.read_bytes())
    sidecar.write_bytes(encode(segment_json(known)))
    before = sidecar.read_bytes()
    checksums = Checksums(tmp_path, Sidecars(tmp_path, lambda _: None))
    checksums.put_left_over("mic")
    run(checksums)
    assert sidecar.read_bytes() == before
