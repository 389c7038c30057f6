-- Runs with their calls and logs, and the state of plugins.
--
-- Times are milliseconds since 1970-01-01T00:00:00Z; ids and digests are their bytes; words are the labels that the
-- domain gives. Columns that can grow large stand last, so that a list of runs reads past none of them.

CREATE TABLE runs (
    seq               INTEGER PRIMARY KEY,
    id                BLOB NOT NULL UNIQUE,
    plugin            TEXT NOT NULL,
    version           TEXT NOT NULL,
    digest            BLOB NOT NULL,
    mode              TEXT NOT NULL,
    "trigger"         TEXT NOT NULL,
    actor             TEXT NOT NULL,
    started           INTEGER NOT NULL,
    finished          INTEGER,
    -- running, ok, warning, critical, unknown, failed or interrupted.
    state             TEXT NOT NULL,
    failure_kind      TEXT,
    failure_message   TEXT,
    summary           TEXT,
    duration_ns       INTEGER NOT NULL DEFAULT 0,
    memory_bytes      INTEGER NOT NULL DEFAULT 0,
    calls             INTEGER NOT NULL DEFAULT 0,
    answer_bytes      INTEGER NOT NULL DEFAULT 0,
    dropped_log_lines INTEGER NOT NULL DEFAULT 0,
    params            TEXT NOT NULL,
    -- What else a conclusion holds, as JSON; null for a run without one.
    outcome           TEXT
) STRICT;

-- One index for each way to ask for the newest runs; the first also serves retention.
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_by_plugin ON runs (plugin, started);
CREATE INDEX runs_by_state ON runs (state, started);
CREATE INDEX runs_by_actor ON runs (actor, started);

CREATE TABLE calls (
    run           INTEGER NOT NULL REFERENCES runs (seq),
    sequence      INTEGER NOT NULL,
    operation     TEXT NOT NULL,
    target        TEXT NOT NULL,
    decision      TEXT NOT NULL,
    started       INTEGER NOT NULL,
    duration_ns   INTEGER NOT NULL,
    answer_bytes  INTEGER NOT NULL,
    answer_digest BLOB,
    error         TEXT,
    arguments     TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_lines (
    run     INTEGER NOT NULL REFERENCES runs (seq),
    n       INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    level   TEXT NOT NULL,
    source  TEXT NOT NULL,
    message TEXT NOT NULL,
    -- Pairs of name and value, as JSON; null when there are none.
    fields  TEXT,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    plugin   TEXT NOT NULL,
    key      TEXT NOT NULL,
    revision INTEGER NOT NULL,
    expires  INTEGER,
    value    TEXT NOT NULL,
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;

-- The last revision that a plugin was given. It outlives the keys, so that no revision is ever given twice.
CREATE TABLE state_revisions (
    plugin TEXT PRIMARY KEY,
    last   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
