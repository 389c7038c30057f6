-- Sweeps: which slots were dealt with, how each sweep stands, its runs and events; and silences.

-- The run of a sweep that a run was part of. It stands behind the columns that can grow large, and is read only with them.
ALTER TABLE runs ADD COLUMN sweep_run BLOB;

-- The columns are those of domain::Standing.
CREATE TABLE sweeps (
    name     TEXT PRIMARY KEY,
    hard     TEXT,
    since    INTEGER,
    last     TEXT,
    streak   INTEGER NOT NULL,
    changes  INTEGER NOT NULL,
    flapping INTEGER NOT NULL,
    reminded INTEGER
) STRICT, WITHOUT ROWID;

-- Slots that were dealt with: all from `first` to `last`, both included. Slots are claimed in their order except after the
-- clock was set back, so a sweep has few of these rows and no slot is ever forgotten.
CREATE TABLE sweep_claims (
    sweep TEXT NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (sweep, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE sweep_runs (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    sweep    TEXT NOT NULL,
    slot     INTEGER,
    actor    TEXT NOT NULL,
    started  INTEGER NOT NULL,
    finished INTEGER,
    -- running, concluded, replaced or interrupted.
    state    TEXT NOT NULL,
    status   TEXT,
    -- What each check came to, as JSON; null until it ends.
    checks   TEXT
) STRICT;

CREATE INDEX sweep_runs_by_sweep ON sweep_runs (sweep, seq);
CREATE INDEX sweep_runs_under_way ON sweep_runs (seq) WHERE state = 'running';

CREATE TABLE sweep_events (
    seq         INTEGER PRIMARY KEY,
    sweep       TEXT NOT NULL,
    time        INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    from_status TEXT,
    status      TEXT NOT NULL,
    muted       TEXT,
    run         BLOB
) STRICT;

CREATE INDEX sweep_events_by_sweep ON sweep_events (sweep, seq);

CREATE TABLE silences (
    id                BLOB PRIMARY KEY,
    sweep             TEXT,
    reason            TEXT NOT NULL,
    creator           TEXT NOT NULL,
    created           INTEGER NOT NULL,
    expires           INTEGER NOT NULL,
    expire_on_resolve INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
