-- Keys that callers gave to what they asked for, each with what came of it, so that asking again does nothing twice.

CREATE TABLE idempotency_keys (
    seq         INTEGER PRIMARY KEY,
    actor       TEXT NOT NULL,
    key         TEXT NOT NULL,
    -- Digest of what was asked for.
    fingerprint BLOB NOT NULL,
    created     INTEGER NOT NULL,
    -- Id of the run that came of it; null for anything else. The run may have been forgotten meanwhile.
    run         BLOB,
    -- The answer, where it was no run: its status, its headers as pairs of name and value in JSON, and its body.
    status      INTEGER,
    headers     TEXT,
    body        BLOB,
    UNIQUE (actor, key)
) STRICT;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created);
