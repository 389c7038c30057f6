-- Plans, and the changes that runs made.

-- The plan that an apply follows, and the run whose changes a run gives back.
ALTER TABLE runs ADD COLUMN follows BLOB;
ALTER TABLE runs ADD COLUMN undoes BLOB;

CREATE TABLE plans (
    run        INTEGER PRIMARY KEY REFERENCES runs (seq),
    -- SHA-256 of the body.
    digest     BLOB NOT NULL,
    expires    INTEGER NOT NULL,
    -- The run that applies it; there is never a second one.
    applied_by BLOB,
    body       TEXT NOT NULL
) STRICT;

CREATE TABLE changes (
    run       INTEGER NOT NULL REFERENCES runs (seq),
    position  INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    plugin    TEXT NOT NULL,
    operation TEXT NOT NULL,
    target    TEXT NOT NULL,
    -- How many things it touches, or touched.
    objects   INTEGER NOT NULL,
    intended  INTEGER NOT NULL,
    settled   INTEGER,
    -- applied, unchanged, conflict, failed or unknown; null while it is under way.
    fate      TEXT,
    detail    TEXT,
    undone_by BLOB,
    planned   TEXT NOT NULL,
    done      TEXT,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

-- What an hour's bound counts.
CREATE INDEX changes_by_time ON changes (plugin, operation, target, intended);
