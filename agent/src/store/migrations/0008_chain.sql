-- The chain: one link for each thing that acts or decides, each with the hash of the one before in its own.
--
-- What a link says of rows in other tables, it says with digests of them; see `store/chain/rows.rs`.

CREATE TABLE chain (
    seq  INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    -- Id of the run that it is about; the run may have been removed meanwhile.
    run  BLOB,
    -- SHA-256 of the link as canonical JSON, with the hash of the one before.
    hash BLOB NOT NULL,
    -- Canonical JSON.
    body TEXT NOT NULL
) STRICT;

CREATE INDEX chain_by_run ON chain (run, seq) WHERE run IS NOT NULL;

-- What retention did, which explains what is missing.
CREATE INDEX chain_of_removals ON chain (seq) WHERE kind = 'runs_removed';
CREATE INDEX chain_of_cuts ON chain (seq) WHERE kind = 'chain_cut';
