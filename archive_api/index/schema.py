"""The tables of the index. A change of them needs another VERSION: an older file is then built anew."""

from archive_api.index.gap_row import GAP_COLUMNS
from archive_api.index.row import COLUMNS

APPLICATION_ID = 0x69737258
VERSION = 4

_TABLES = """
CREATE TABLE {schema}.meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE {schema}.folders (folder TEXT PRIMARY KEY, seen TEXT) WITHOUT ROWID;
CREATE TABLE {schema}.segments (
    row INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    seen TEXT,
    file TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    agent TEXT,
    source TEXT,
    container TEXT,
    codec TEXT,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    duration_s REAL,
    bytes INTEGER NOT NULL,
    samples INTEGER,
    sample_rate_hz INTEGER,
    channels INTEGER,
    state TEXT NOT NULL,
    reason TEXT,
    missing_s REAL,
    rms_dbfs REAL,
    peak_dbfs REAL,
    loud_events INTEGER NOT NULL,
    title TEXT,
    tz TEXT NOT NULL
);
CREATE TABLE {schema}.titles (
    segment INTEGER NOT NULL, place INTEGER NOT NULL, at_ms INTEGER NOT NULL, text TEXT NOT NULL,
    folded TEXT NOT NULL, PRIMARY KEY (segment, place)
) WITHOUT ROWID;
CREATE TABLE {schema}.events (
    segment INTEGER NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER, offset_s REAL NOT NULL, max_dbfs REAL, PRIMARY KEY (segment, place)
) WITHOUT ROWID;
CREATE TABLE {schema}.ledgers (
    folder TEXT PRIMARY KEY, agent TEXT NOT NULL, inode INTEGER NOT NULL, read_bytes INTEGER NOT NULL,
    before TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE {schema}.gaps (
    folder TEXT NOT NULL,
    id TEXT NOT NULL,
    agent TEXT NOT NULL,
    source TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    lasts INTEGER NOT NULL,
    cause TEXT NOT NULL,
    missing INTEGER NOT NULL,
    filled_samples INTEGER NOT NULL,
    detail TEXT,
    PRIMARY KEY (folder, id)
) WITHOUT ROWID;
CREATE TABLE {schema}.sums (
    agent TEXT NOT NULL, source TEXT NOT NULL, segments INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (agent, source)
) WITHOUT ROWID;
"""
"""`folder` is '' for the recordings folder itself. `seen` is what a file or a folder looked like when
they were read, null where that was too fresh to tell a later change from it. `folded` is for searching."""

_INDEXES = """
CREATE INDEX {schema}.by_folder ON segments (folder);
CREATE INDEX {schema}.by_id ON segments (id);
CREATE INDEX {schema}.by_start ON segments (start_ms, file);
CREATE INDEX {schema}.by_source ON segments
    (agent, source, start_ms, file, end_ms, state, bytes, loud_events);
CREATE INDEX {schema}.by_start_loud ON segments (start_ms, file) WHERE loud_events > 0;
CREATE INDEX {schema}.by_source_loud ON segments (agent, source, start_ms, file) WHERE loud_events > 0;
CREATE INDEX {schema}.by_start_damaged ON segments (start_ms, file) WHERE state = 'damaged';
CREATE INDEX {schema}.by_source_damaged ON segments (agent, source, start_ms, file) WHERE state = 'damaged';
CREATE INDEX {schema}.by_start_deleted ON segments (start_ms, file) WHERE state = 'deleted';
CREATE INDEX {schema}.by_source_deleted ON segments (agent, source, start_ms, file) WHERE state = 'deleted';
CREATE INDEX {schema}.by_source_there ON segments (agent, source, start_ms, file) WHERE state != 'deleted';
CREATE INDEX {schema}.open_ones ON segments (file) WHERE state = 'open';
CREATE INDEX {schema}.by_length ON segments (end_ms - start_ms);
CREATE INDEX {schema}.gaps_by_start ON gaps (start_ms, id);
CREATE INDEX {schema}.gaps_by_source ON gaps
    (agent, source, start_ms, id, end_ms, lasts, cause, filled_samples);
CREATE INDEX {schema}.gaps_by_length ON gaps (end_ms - start_ms);
CREATE INDEX {schema}.lasting_gaps ON gaps (agent, source, start_ms) WHERE lasts;
"""

_TRIGGERS = """
CREATE TRIGGER {schema}.added AFTER INSERT ON segments
WHEN NEW.source IS NOT NULL AND NEW.state != 'deleted' BEGIN
    INSERT INTO sums VALUES (NEW.agent, NEW.source, 1, NEW.bytes)
    ON CONFLICT DO UPDATE SET segments = segments + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER {schema}.gone AFTER DELETE ON segments WHEN OLD.state != 'deleted' BEGIN
    UPDATE sums SET segments = segments - 1, bytes = bytes - OLD.bytes
    WHERE agent = OLD.agent AND source = OLD.source;
    DELETE FROM sums WHERE agent = OLD.agent AND source = OLD.source AND segments = 0;
END;
CREATE TRIGGER {schema}.lists_gone AFTER DELETE ON segments BEGIN
    DELETE FROM titles WHERE segment = OLD.row;
    DELETE FROM events WHERE segment = OLD.row;
END;
"""
"""Rows are never updated, only replaced, so that these keep sums and lists right. Deleted audio counts nowhere."""

TABLES = ("folders", "segments", "titles", "events", "ledgers", "gaps")
"""What a rebuilt index brings along; the sums follow from it."""

INSERT_ROW = f"INSERT INTO segments (folder, seen, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"  # noqa: S608 - our own names
ROW = ", ".join(COLUMNS)
GAP = ", ".join(GAP_COLUMNS)
INSERT_GAP = f"INSERT OR REPLACE INTO gaps (folder, {GAP}) VALUES ({', '.join('?' * (len(GAP_COLUMNS) + 1))})"  # noqa: S608


def statements(schema: str = "main") -> str:
    """The script that makes an empty index."""
    return (_TABLES + _INDEXES + _TRIGGERS).format(schema=schema)
