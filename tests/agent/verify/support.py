"""Runs verify as the command does, without a terminal."""

from datetime import UTC, datetime
from pathlib import Path

from agent.verify.finding import Finding
from agent.verify.places import groups
from agent.verify.run import Verifier


def found(*paths: Path, quick: bool = False, since: datetime | None = None) -> list[Finding]:
    """Everything that is wrong there."""
    told: list[Finding] = []
    verifier = Verifier(
        now=lambda: datetime(2026, 11, 23, tzinfo=UTC),
        progress=lambda done, total: None,
        tell=told.append,
        since=since,
        quick=quick,
    )
    report = verifier.check([list(groups(path)) for path in paths])
    assert report.findings == told
    return told


def checks(findings: list[Finding]) -> set[str]:
    return {str(finding.check) for finding in findings}
