-- A run as a table. Names are for people: read it with any SQLite tool.

CREATE TABLE run (                       -- one row
    operation TEXT NOT NULL,
    base_url TEXT NOT NULL,
    created_at REAL NOT NULL,            -- all times are Unix seconds; views show them as ISO text
    library TEXT NOT NULL
);

CREATE TABLE workspace (
    workspace TEXT PRIMARY KEY,          -- '' for a run of one client
    app_id TEXT NOT NULL,
    app_name TEXT
);

CREATE TABLE session (                   -- one row for each time the run was started
    number INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,                       -- NULL: it goes on, or was killed
    source_kind TEXT,
    source_name TEXT,
    source_columns TEXT,                 -- JSON
    input_ended INTEGER NOT NULL DEFAULT 0,
    requests INTEGER,
    retries INTEGER,
    refusals INTEGER,
    duplicates INTEGER,
    elapsed REAL,
    quota_limit INTEGER,
    ending TEXT,
    stopped_by TEXT
);

CREATE TABLE pair (
    workspace TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    contact_id TEXT NOT NULL,
    admin_id TEXT,
    state TEXT NOT NULL,                 -- 'pending', 'sending' (may have been applied), or an outcome
    inferred INTEGER NOT NULL,           -- concluded from a check
    in_doubt INTEGER NOT NULL,           -- an attempt may still be applied
    attempts INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    status INTEGER,                      -- HTTP status of the error
    code TEXT,
    error_type TEXT,
    error TEXT,
    request_id TEXT,
    deferred INTEGER NOT NULL,           -- waits for its second try
    second_try INTEGER NOT NULL,
    session INTEGER NOT NULL,            -- which wrote the row last; negative: it has only read the pair
    updated_at REAL NOT NULL,
    PRIMARY KEY (workspace, conversation_id, contact_id)
) WITHOUT ROWID;

CREATE TABLE person (                    -- of a run that was given people
    by TEXT NOT NULL,                    -- what the person is named by: 'contact', 'email', 'external-id'
    value TEXT NOT NULL,
    state TEXT NOT NULL,                 -- 'pending', 'looked_up' (the contacts are known), 'done' (so are
                                         -- all pairs), 'not_found', 'ambiguous' (many contacts), 'failed'
    contacts TEXT NOT NULL,              -- JSON: the contacts' ids
    merged INTEGER NOT NULL,             -- how many were found by following a merge
    without_email INTEGER NOT NULL,      -- how many cannot be attached again by their id
    note TEXT,                           -- why it failed, what was followed
    session INTEGER NOT NULL,
    PRIMARY KEY (by, value)
) WITHOUT ROWID;

CREATE VIEW people AS                    -- unsettled: pairs of the person that are not settled
SELECT by, person.value, person.state, contacts, note, count(pair.state) AS pairs,
    total(pair.state IN ('pending', 'sending', 'failed', 'unknown')) AS unsettled,
    total(pair.state = 'refused_last_contact') AS last_contact
FROM person LEFT JOIN json_each(contacts) AS contact
LEFT JOIN pair ON pair.contact_id = contact.value AND pair.workspace = ''
GROUP BY by, person.value;

-- What a pool has read ahead; empty in a run of one client.
CREATE INDEX planned ON pair (workspace, conversation_id, contact_id) WHERE session < 0;

CREATE VIEW outcomes AS
SELECT workspace, state, count(*) AS pairs, sum(inferred) AS inferred
FROM pair GROUP BY workspace, state;

CREATE VIEW failures AS
SELECT workspace, conversation_id, contact_id, state, status, code, error, request_id, attempts,
    strftime('%Y-%m-%dT%H:%M:%SZ', updated_at, 'unixepoch') AS updated_at
FROM pair WHERE state IN ('failed', 'unknown', 'refused_last_contact', 'sending');

CREATE VIEW timeline AS
SELECT strftime('%Y-%m-%dT%H:%MZ', updated_at, 'unixepoch') AS minute, state, count(*) AS pairs,
    sum(attempts + refusals) AS requests
FROM pair WHERE state NOT IN ('pending', 'sending') GROUP BY minute, state;
