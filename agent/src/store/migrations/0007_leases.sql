-- Changes that are given back by themselves, and whether an apply helped.

CREATE TABLE leases (
    run      INTEGER PRIMARY KEY REFERENCES runs (seq),
    -- When its changes are given back.
    until    INTEGER NOT NULL,
    -- held, ended or stuck.
    state    TEXT NOT NULL,
    -- Why it is stuck.
    detail   TEXT,
    -- The run that gave the changes back.
    ended_by BLOB
) STRICT;

CREATE INDEX leases_by_time ON leases (until) WHERE state = 'held';

-- helped, no_change, worse or unknown; null for a run that was not compared.
ALTER TABLE runs ADD COLUMN helped TEXT;
-- The runs of the check that were compared.
ALTER TABLE runs ADD COLUMN checked_before BLOB;
ALTER TABLE runs ADD COLUMN checked_after BLOB;
