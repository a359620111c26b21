"""Gaps, days and the completeness of today over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent import clock
from agent.archive_format.coverage import day_of
from agent.archive_format.ledger import ledger_line
from agent.archive_format.times import rfc3339, to_ms
from agent.model import Gap, GapCause, GapLine
from agent.storage.ledger import Ledger
from tests.archive.index.rig import edit
from tests.archive.support import RATE, START, ZONE, Recordings, Served, source
from tests.parts.waiting import wait_until

CAUSES = (GapCause.STALL, GapCause.DEVICE_LOST, GapCause.STOPPED)


def ledger(recordings: Recordings, *lines: GapLine, source_id: str = "mic") -> None:
    for line in lines:
        Ledger(recordings.folder, source_id).append(line)


def gap(
    name: str, start: datetime, seconds: float | None, cause: GapCause = GapCause.STALL, filled: int = 0
) -> GapLine:
    end = None if seconds is None else to_ms(start + timedelta(seconds=seconds))
    return GapLine("begin" if end is None else "end", Gap(name, "mic", to_ms(start), end, cause, None, filled))


def answer(served: Served, path: str) -> dict[str, Any]:
    got = served.get(f"/api/v1/{path}")
    assert got.status_code == 200, got.text
    body: dict[str, Any] = got.json()
    return body


def wait_for(served: Served, path: str, count: int) -> list[dict[str, Any]]:
    def there() -> list[dict[str, Any]] | None:
        got = served.get(f"/api/v1/{path}")
        items: list[dict[str, Any]] = got.json()["items"] if got.status_code == 200 else []
        return items if len(items) == count else None

    return wait_until(there, 10, f"{count} items of {path}") or []


def many(recordings: Recordings, count: int = 30) -> None:
    ledger(
        recordings, *(gap(f"gap-{n:03d}", START + timedelta(minutes=n // 2), 5.0, CAUSES[n % 3]) for n in range(count))
    )


def test_gaps_are_listed_newest_first_with_all_that_the_ledger_says(served: Served, recordings: Recordings) -> None:
    ledger(recordings, gap("one", START, 7.36, GapCause.DEVICE_LOST), gap("two", START + timedelta(hours=1), None))
    two, one = wait_for(served, "gaps", 2)
    assert one == {
        "id": "one",
        "source": "mic",
        "agent": "shed",
        "start": "2026-11-22T13:00:00.000Z",
        "end": "2026-11-22T13:00:07.360Z",
        "duration_s": 7.36,
        "cause": "device_lost",
        "missing": True,
        "filled_samples": 0,
        "detail": None,
    }
    assert (two["end"], two["duration_s"]) == (None, None)


def test_pages_of_gaps_join_without_a_seam(served: Served, recordings: Recordings) -> None:
    many(recordings)
    wait_for(served, "gaps", 30)
    for order in ("desc", "asc"):
        found, path = [], f"gaps?limit=7&order={order}"
        while path:
            body = answer(served, path)
            found += [item["id"] for item in body["items"]]
            path = f"gaps?limit=7&order={order}&cursor={body['next']}" if body["next"] else ""
        names = [f"gap-{n:03d}" for n in range(30)]
        assert found == (names if order == "asc" else names[::-1])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("source=mic", 30),
        ("source=shed/mic", 30),
        ("source=yard", 0),
        ("cause=stall", 10),
        ("cause=stall,stopped", 20),
        ("missing=1", 20),
        ("missing=0", 10),
        ("from=2026-11-22T13:10:00Z", 10),
        ("from=2026-11-22T13:10:04Z", 10),
        ("from=2026-11-22T13:10:05Z", 8),
        ("to=2026-11-22T13:10:00Z", 20),
        ("from=2026-11-22T14:01:00%2B01:00&to=2026-11-22T14:02:00%2B01:00", 2),
    ],
)
def test_gaps_are_filtered(served: Served, recordings: Recordings, query: str, count: int) -> None:
    many(recordings)
    wait_for(served, "gaps", 30)
    assert len(answer(served, f"gaps?{query}")["items"]) == count


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("gaps?cause=weather", "cause"),
        ("gaps?missing=yes", "missing"),
        ("gaps?limit=0", "limit"),
        ("gaps?state=done", "state"),
        ("gaps?cursor=x", "cursor"),
        ("gaps?from=2026-11-22T13:00:00", "from"),
        ("days?from=2026-11-22T13:00:00Z&to=2026-11-22T13:00:00Z", "from"),
        ("days?from=0", "from"),
        ("days?from=-99999999999", "from"),
        ("days?to=99999999999", "from"),
        ("days?from=1700000000&to=1750000000", "from"),
        ("days?source=A", "source"),
        ("days?limit=1", "limit"),
    ],
)
def test_what_is_asked_wrongly_is_named(shared: Served, path: str, name: str) -> None:
    got = shared.get(f"/api/v1/{path}")
    assert got.status_code == 400
    assert got.json()["errors"][0]["parameter"] == name


def test_a_cursor_goes_with_its_filters(served: Served, recordings: Recordings) -> None:
    many(recordings)
    wait_for(served, "gaps", 30)
    after = answer(served, "gaps?limit=5")["next"]
    assert served.get(f"/api/v1/gaps?limit=5&cause=stall&cursor={after}").status_code == 400
    assert served.get(f"/api/v1/segments?cursor={after}").status_code == 400


def test_days_add_up_and_know_summer_time(served: Served, recordings: Recordings) -> None:
    """The day on which the clock is put back has 25 hours; a gap over a midnight counts on both sides of it."""
    october = datetime(2026, 10, 24, 22, tzinfo=UTC)  # midnight of the 25th in Berlin
    recordings.finished(10, start=october - timedelta(seconds=30))
    last = recordings.finished(10, start=october + timedelta(hours=24, minutes=59, seconds=50))
    edit(last.path.with_suffix(".json"), events=[])
    ledger(
        recordings,
        gap("a", october - timedelta(seconds=20), 3620, GapCause.DEVICE_LOST),
        gap("b", october + timedelta(hours=1), 86_400 - 10, GapCause.STOPPED),
    )
    wait_for(served, "gaps", 2)
    later, earlier = wait_for(served, "days?from=2026-10-24T12:00:00Z&to=2026-10-26T12:00:00Z", 2)
    assert (later["day"], later["start"], later["end"]) == (
        "2026-10-25",
        "2026-10-24T22:00:00.000Z",
        "2026-10-25T23:00:00.000Z",
    )
    assert (later["recorded_s"], later["missing_s"], later["not_asked_s"]) == (10.0, 3600.0, 86_390.0)
    assert later["completeness_pct"] == 0.277
    assert later["causes"] == {"stopped": 86_390.0, "device_lost": 3600.0}
    assert (later["segments"], later["loud_events"], later["source"], later["tz"]) == (1, 0, "mic", "Europe/Berlin")
    assert later["bytes"] == last.path.stat().st_size
    assert (earlier["day"], earlier["recorded_s"], earlier["missing_s"]) == ("2026-10-24", 10.0, 20.0)


def today_of(served: Served) -> dict[str, Any]:
    (item,) = answer(served, "sources")["items"]
    found: dict[str, Any] = item["today"]
    return found


def test_today_is_what_a_running_agent_says(served: Served, recordings: Recordings) -> None:
    now = clock.utc_now()
    ledger(recordings, gap("now", now - timedelta(seconds=5), None))
    own: dict[str, Any] = {"recorded_today_s": 51_600.2, "missing_today_s": 7.4, "completeness_pct": 99.985}
    recordings.status(source(state="stalled", **own))
    wait_for(served, "gaps", 1)
    found = today_of(served)
    assert (found["recorded_s"], found["missing_s"], found["completeness_pct"]) == (51_600.2, 7.4, 99.985)
    assert set(found["causes"]) == {"stall"}
    assert [one["cause"] for one in found["coverage"]] == ["stall"]


def test_today_goes_on_without_the_agent(served: Served, recordings: Recordings) -> None:
    """It was stopped, which the ledger tells; or it was killed, which its last word tells."""
    now = clock.utc_now()
    day = day_of(round(now.timestamp() * 1000), ZONE)
    begun = datetime.fromtimestamp(day.start_ms / 1000, UTC)
    since_s = (now - begun).total_seconds()
    if since_s < 60:
        pytest.skip("the day has only just begun")
    recordings.finished(30, start=begun)
    recordings.status(source(), age_s=20)
    wait_for(served, "segments", 1)
    killed = today_of(served)
    assert killed["recorded_s"] == 30.0
    assert killed["missing_s"] == pytest.approx(since_s - 30, abs=10)
    assert set(killed["causes"]) == {"agent_crashed"}

    (recordings.folder / "status.json").unlink()
    assert today_of(served)["missing_s"] == 0.0, "nobody knows whether it was to record"
    ledger(recordings, gap("down", begun + timedelta(seconds=30), None, GapCause.AGENT_STOPPED))
    wait_for(served, "gaps", 1)
    stopped = today_of(served)
    assert stopped["missing_s"] == pytest.approx(since_s - 30, abs=10)
    (item,) = answer(served, "sources")["items"]
    assert item["gap"] == {"id": "down", "start": rfc3339(begun + timedelta(seconds=30)), "cause": "agent_stopped"}
    assert [one["cause"] for one in stopped["coverage"]] == [None, "agent_stopped"]


def test_filled_silence_and_what_is_open_count_in_the_archive_too(served: Served, recordings: Recordings) -> None:
    now = clock.utc_now()
    begun = now - timedelta(seconds=60)
    if day_of(round(begun.timestamp() * 1000), ZONE) != day_of(round(now.timestamp() * 1000), ZONE):
        pytest.skip("the day has only just begun")
    writer = recordings.opened(40, start=to_ms(begun), container="wav")
    writer.tick(clock.now())
    ledger(recordings, gap("filled", begun + timedelta(seconds=10), 0.5, GapCause.OVERRUN, filled=4000))
    recordings.status(source(writer=writer))
    wait_for(served, "gaps", 1)

    def counted() -> bool:
        found = today_of(served)
        return bool(found["recorded_s"] == 39.5 and found["missing_s"] == 0.5)

    wait_until(counted, 10, "the open recording to count")


def test_silence_in_one_of_two_files_of_the_same_time_is_not_missing(served: Served, recordings: Recordings) -> None:
    recordings.finished(20, start=START)
    recordings.finished(20, start=START + timedelta(seconds=15))
    for at_s in (5, 16):
        ledger(recordings, gap(f"at {at_s}", START + timedelta(seconds=at_s), 1.0, GapCause.OVERRUN, filled=RATE))
    wait_for(served, "segments", 2)
    wait_for(served, "gaps", 2)
    (day,) = answer(served, "days")["items"]
    assert (day["recorded_s"], day["missing_s"]) == (34.0, 1.0)


def test_a_ledger_of_years_is_indexed_and_asked(served: Served, recordings: Recordings) -> None:
    folder = recordings.folder / "mic"
    folder.mkdir()
    lines = [ledger_line(gap(f"gap-{n:06d}", START - timedelta(minutes=n), 5.0)) for n in range(20_000)]
    (folder / "gaps.jsonl").write_bytes(b"".join(lines))
    wait_until(
        lambda: (
            len(answer(served, "gaps?order=asc&limit=1000")["items"]) == 1000
            and answer(served, "gaps?order=asc&limit=1")["items"][0]["id"] == "gap-019999"
        ),
        20,
        "all of the ledger in the index",
    )
    began_s = clock.monotonic_s()
    answer(served, "sources")
    answer(served, "days")
    assert clock.monotonic_s() - began_s < 3
