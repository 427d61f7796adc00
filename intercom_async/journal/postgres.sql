-- Runs as tables in PostgreSQL. Names are for people; all times but leases are Unix seconds.

CREATE TABLE IF NOT EXISTS intercom_schema (version integer NOT NULL);
INSERT INTO intercom_schema SELECT 1 WHERE NOT EXISTS (SELECT FROM intercom_schema);

CREATE TABLE IF NOT EXISTS intercom_run (
    run text COLLATE "C" PRIMARY KEY,
    operation text NOT NULL,
    state text NOT NULL DEFAULT 'open',                        -- or 'paused', 'cancelled'
    sessions integer NOT NULL DEFAULT 0,                       -- begun so far
    created_at double precision NOT NULL,
    library text NOT NULL
);

CREATE TABLE IF NOT EXISTS intercom_workspace (
    run text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,                       -- '' for a run of one client
    base_url text,
    app_id text,
    app_name text,
    session integer,                                           -- which owns it, or did so last
    loaded bigint NOT NULL DEFAULT 0,                          -- how often pairs were submitted
    drained bigint NOT NULL DEFAULT 0,                         -- `loaded` when all was worked off
    stopped_by text,                                           -- why no worker can do it
    PRIMARY KEY (run, workspace)
);

CREATE TABLE IF NOT EXISTS intercom_session (                                -- a submission, or an owner's time
    run text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    expires_at timestamptz NOT NULL,                           -- of its lease; '-infinity': let go
    started_at double precision NOT NULL,
    ended_at double precision,                                 -- NULL: it goes on, or was killed
    source_kind text,
    source_name text,
    source_columns text,                                       -- JSON
    input_ended boolean NOT NULL DEFAULT false,
    requests bigint,
    retries bigint,
    refusals bigint,
    duplicates bigint,
    elapsed double precision,
    quota_limit bigint,
    ending text,
    stopped_by text,
    PRIMARY KEY (run, number)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- No index on the state: it would triple what an update costs.
CREATE TABLE IF NOT EXISTS intercom_pair (
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
    session integer NOT NULL,                                  -- negative: it has only read the pair
    updated_at double precision NOT NULL,
    PRIMARY KEY (run, workspace, conversation_id, contact_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE IF NOT EXISTS intercom_count (                                  -- kept by the triggers below
    run text COLLATE "C" NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    pairs bigint NOT NULL,
    PRIMARY KEY (run, workspace, state)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE OR REPLACE FUNCTION intercom_count_pairs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO intercom_count AS kept
        SELECT run, workspace, state, count(*) FROM after GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (run, workspace, state) DO UPDATE SET pairs = kept.pairs + excluded.pairs;
    ELSE
        INSERT INTO intercom_count AS kept
        SELECT run, workspace, state, sum(pairs) FROM (
            SELECT run, workspace, state, 1 AS pairs FROM after
            UNION ALL SELECT run, workspace, state, -1 FROM before) AS changed
        GROUP BY 1, 2, 3 HAVING sum(pairs) <> 0 ORDER BY 1, 2, 3
        ON CONFLICT (run, workspace, state) DO UPDATE SET pairs = kept.pairs + excluded.pairs;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER intercom_added AFTER INSERT ON intercom_pair
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION intercom_count_pairs();

CREATE OR REPLACE TRIGGER intercom_changed AFTER UPDATE ON intercom_pair
REFERENCING OLD TABLE AS before NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION intercom_count_pairs();
