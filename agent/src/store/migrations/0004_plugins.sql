-- Plugins: components by digest, the versions that were admitted, the one that waits for its grants, and quarantines.
--
-- A component is kept in parts, so that one of many megabytes does not hold up the writes of runs.

CREATE TABLE components (
    digest BLOB PRIMARY KEY,
    size   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Written before the row in `components` that makes them count.
CREATE TABLE component_parts (
    digest BLOB NOT NULL,
    n      INTEGER NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX component_parts_in_order ON component_parts (digest, n);

CREATE TABLE plugin_versions (
    plugin    TEXT NOT NULL,
    version   TEXT NOT NULL,
    digest    BLOB NOT NULL REFERENCES components (digest),
    size      INTEGER NOT NULL,
    origin    TEXT NOT NULL,
    actor     TEXT,
    signer    TEXT,
    signature TEXT,
    added     INTEGER NOT NULL,
    -- Imports and description, as JSON.
    profile   TEXT NOT NULL,
    PRIMARY KEY (plugin, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX plugin_versions_by_component ON plugin_versions (digest);

-- At most one for each plugin: the last one that asked for more than its grants.
CREATE TABLE plugin_waiting (
    plugin    TEXT PRIMARY KEY,
    -- Null when nobody said which version it is and it could not be asked.
    version   TEXT,
    digest    BLOB NOT NULL REFERENCES components (digest),
    size      INTEGER NOT NULL,
    origin    TEXT NOT NULL,
    actor     TEXT,
    signer    TEXT,
    signature TEXT,
    added     INTEGER NOT NULL,
    profile   TEXT NOT NULL,
    reason    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugins (
    plugin    TEXT PRIMARY KEY,
    active    TEXT,
    previous  TEXT,
    -- Digest of what the file or the folder brought last.
    delivered BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_quarantines (
    plugin TEXT PRIMARY KEY,
    -- The component that it is about; another one begins without it.
    digest BLOB NOT NULL,
    since  INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    round  INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
