-- Recordings: what the guest of a run was told, compressed.
--
-- Written with the end of the run, whose link in the chain speaks of it.

CREATE TABLE recordings (
    run   INTEGER PRIMARY KEY REFERENCES runs (seq),
    -- Bytes before they were compressed.
    size  INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
