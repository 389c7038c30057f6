-- Guards of changes: freezes, approvals, what breakers look at, and what broke the glass.

-- Why an apply went past its guards.
ALTER TABLE runs ADD COLUMN break_glass TEXT;

-- The targets that a plan would change, in order and with commas between; null for plans that were made before.
ALTER TABLE plans ADD COLUMN targets TEXT;
CREATE INDEX plans_by_targets ON plans (targets) WHERE applied_by IS NOT NULL;

-- What the budgets of all plugins count.
CREATE INDEX changes_by_target ON changes (target, operation, intended);

CREATE TABLE freezes (
    id        BLOB PRIMARY KEY,
    -- At most one of the two; neither for one of all changes.
    target    TEXT,
    plugin    TEXT,
    reason    TEXT NOT NULL,
    creator   TEXT NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    lifted    INTEGER,
    lifted_by TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
    plan   INTEGER NOT NULL REFERENCES plans (run),
    actor  TEXT NOT NULL,
    -- Of the plan that was looked at.
    digest BLOB NOT NULL,
    time   INTEGER NOT NULL,
    PRIMARY KEY (plan, actor)
) STRICT, WITHOUT ROWID;

-- Since when somebody trusts a plugin again whose applies did not help.
CREATE TABLE breakers (
    plugin    TEXT PRIMARY KEY,
    closed    INTEGER NOT NULL,
    closed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
