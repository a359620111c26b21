"""`GET /api/analyze?file=&threshold=`: waveform and loud sections of one recording, with the ancestor's fields."""

import os
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archive_api.analysis.sections import sections, waveform
from archive_api.analysis.series import Missing, Series, find_series
from archive_api.answers.problem import Problem, not_found
from archive_api.archive import Archive, archive_of
from archive_api.query import check, fraction, wrong
from archive_api.recordings.paths import Parts, parse_path
from archive_api.routes.answers import json_answer

_THRESHOLD = 0.05


async def analyze(request: Request) -> Response:
    """Nothing is decoded where there is a level series; of other files one is made first, once."""
    given = check(request.query_params.multi_items(), "file", "threshold")
    threshold = fraction(given, "threshold", _THRESHOLD)
    if "file" not in given:
        raise wrong("file", "file is to be a name of /api/files.")
    parts = parse_path(quote(given["file"], safe="/").encode())
    if parts is None:
        raise not_found()
    try:
        series = await _series(archive_of(request), parts)
        return await run_in_threadpool(_answer, request, series, threshold)
    except OSError as error:
        raise Problem(503, "The recording cannot be read right now.", headers={"retry-after": "1"}) from error


async def _series(archive: Archive, parts: Parts) -> Series:
    found = await run_in_threadpool(find_series, archive.recordings, archive.levels, parts)
    if isinstance(found, Missing):
        try:
            await archive.decoder.decode(found.key, found.name, found.descriptor)
        finally:
            os.close(found.descriptor)
        found = await run_in_threadpool(find_series, archive.recordings, archive.levels, parts)
    if isinstance(found, Missing):
        os.close(found.descriptor)
        detail = "The recording has changed while it was looked at; ask again."
        raise Problem(503, detail, headers={"retry-after": "1"})
    return found


def _answer(request: Request, series: Series, threshold: float) -> Response:
    values, interval_s = waveform(series.rows, series.samples)
    body = {
        "file": series.name,
        "duration": round(series.samples / series.sample_rate_hz, 3),
        "threshold": threshold,
        "waveform": values,
        "interval": interval_s,
        "sections": sections(series.rows, series.samples, series.sample_rate_hz, threshold),
    }
    return json_answer(request, body)


ROUTE = Route("/api/analyze", analyze, methods=["GET"])
