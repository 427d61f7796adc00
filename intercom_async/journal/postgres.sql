-- Runs as tables in PostgreSQL. Names are for people; all times but leases are Unix seconds.

CREATE TABLE intercom_schema (version integer NOT NULL);       -- one row

CREATE TABLE intercom_run (
    run text COLLATE "C" PRIMARY KEY,
    operation text NOT NULL,
    state text NOT NULL DEFAULT 'open',                        -- or 'paused', 'cancelled'
    created_at double precision NOT NULL,
    library text NOT NULL
);

CREATE TABLE intercom_workspace (                              -- with the lease of its owner
    run text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,                       -- '' for a run of one client
    base_url text,
    app_id text,
    app_name text,
    fence bigint NOT NULL DEFAULT 0,                           -- grows with each owner
    owner text,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',       -- of the lease
    loaded bigint NOT NULL DEFAULT 0,                          -- how often pairs were submitted
    drained bigint NOT NULL DEFAULT 0,                         -- `loaded` when all was worked off
    stopped_by text,                                           -- why nobody works it off
    counts jsonb NOT NULL DEFAULT '{}',                        -- pairs by state, some seconds old
    PRIMARY KEY (run, workspace)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE intercom_session (                                -- each time a workspace was begun
    run text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    started_at double precision NOT NULL,
    ended_at double precision,                                 -- NULL: it goes on, or was killed
    process integer,
    host text,
    source_kind text,
    source_name text,
    source_columns jsonb,
    input_ended boolean NOT NULL DEFAULT false,
    requests bigint,
    retries bigint,
    refusals bigint,
    duplicates bigint,
    elapsed double precision,
    quota_limit bigint,
    ending text,
    stopped_by text,
    PRIMARY KEY (run, workspace, number)
);

-- No index on the state: it would triple what an update costs.
CREATE TABLE intercom_pair (
    run text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    contact_id text COLLATE "C" NOT NULL,
    admin_id text,
    state text COLLATE "C" NOT NULL,                           -- 'pending', 'sending' or an outcome
    inferred boolean NOT NULL DEFAULT false,                   -- concluded from a check
    in_doubt boolean NOT NULL DEFAULT false,                   -- an attempt may still be applied
    attempts integer NOT NULL DEFAULT 0,
    refusals integer NOT NULL DEFAULT 0,
    status integer,
    code text,
    error_type text,
    error text,
    request_id text,
    deferred boolean NOT NULL DEFAULT false,                   -- waits for its second try
    second_try boolean NOT NULL DEFAULT false,
    session integer NOT NULL DEFAULT 0,                        -- 0: submitted, never begun
    updated_at double precision NOT NULL,
    PRIMARY KEY (run, workspace, conversation_id, contact_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE VIEW intercom_outcomes AS
SELECT run, workspace, state, count(*) AS pairs, count(*) FILTER (WHERE inferred) AS inferred
FROM intercom_pair GROUP BY run, workspace, state;

CREATE VIEW intercom_failures AS
SELECT run, workspace, conversation_id, contact_id, state, status, code, error, request_id,
    attempts, to_timestamp(updated_at) AS updated_at
FROM intercom_pair WHERE state IN ('failed', 'unknown', 'refused_last_contact', 'sending');
