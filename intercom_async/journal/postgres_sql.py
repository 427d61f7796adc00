"""What PostgreSQL is asked: all statements of the journal in one place."""

from typing import Final

from intercom_async.journal.journal import FACTS, Wanted
from intercom_async.journal.row import SETTLED

VERSION: Final = 1

_TYPES: Final = {
    "conversation_id": "text",
    "contact_id": "text",
    "admin_id": "text",
    "state": "text",
    "inferred": "boolean",
    "in_doubt": "boolean",
    "attempts": "integer",
    "refusals": "integer",
    "status": "integer",
    "code": "text",
    "error_type": "text",
    "error": "text",
    "request_id": "text",
    "deferred": "boolean",
    "second_try": "boolean",
    "session": "integer",
    "updated_at": "double precision",
}
COLUMNS: Final = tuple(_TYPES)
"""Of the table `intercom_pair` behind run and workspace; also the names in a `Row`."""

_NAMES: Final = ", ".join(COLUMNS)
_HERE: Final = "run = %(run)s AND workspace = %(workspace)s"
_MINE: Final = f"{_HERE} AND fence = %(fence)s"
_HELD: Final = "expires_at = clock_timestamp() + %(lease)s * interval '1 second'"

LOCK_SCHEMA: Final = b"SELECT pg_advisory_xact_lock(7236833291837)"
SCHEMA: Final = b"""
    SELECT EXISTS (
        SELECT FROM pg_class WHERE relname = 'intercom_schema' AND pg_table_is_visible(oid))
"""
SCHEMA_VERSION: Final = b"SELECT version FROM intercom_schema"

# --- owning a workspace of a run ----------------------------------------------------------------

SHORTLY: Final = b"SET LOCAL idle_in_transaction_session_timeout = '10s'"
"""A process that is frozen inside a transaction must not keep its locks."""

ADD_RUN: Final = b"""
    INSERT INTO intercom_run (run, operation, created_at, library)
    VALUES (%(run)s, %(operation)s, %(now)s, %(library)s) ON CONFLICT DO NOTHING
"""
OPERATION: Final = b"SELECT operation FROM intercom_run WHERE run = %(run)s"
ADD_WORKSPACE: Final = b"""
    INSERT INTO intercom_workspace (run, workspace) VALUES (%(run)s, %(workspace)s)
    ON CONFLICT DO NOTHING
"""
WORKSPACE: Final = f"""
    SELECT base_url, app_id, app_name, expires_at > clock_timestamp() FROM intercom_workspace
    WHERE {_HERE} FOR UPDATE
""".encode()
OWN: Final = f"""
    UPDATE intercom_workspace
    SET fence = fence + 1, owner = %(owner)s, {_HELD}, base_url = %(base_url)s,
        app_id = coalesce(%(app_id)s, app_id), app_name = coalesce(%(app_name)s, app_name)
    WHERE {_HERE} RETURNING fence
""".encode()
BEGIN_SESSION: Final = f"""
    INSERT INTO intercom_session (run, workspace, number, started_at, process, host,
        source_kind, source_name, source_columns)
    SELECT %(run)s, %(workspace)s, coalesce(max(number), 0) + 1, %(now)s, %(process)s, %(host)s,
        %(source_kind)s, %(source_name)s, %(source_columns)s::jsonb
    FROM intercom_session WHERE {_HERE}
    RETURNING number
""".encode()
KEPT: Final = f"""
    SELECT coalesce(json_object_agg(state, pairs), '{{}}'),
        (SELECT coalesce(bool_or(input_ended), false) FROM intercom_session WHERE {_HERE})
    FROM (SELECT state, count(*) AS pairs FROM intercom_pair WHERE {_HERE} GROUP BY state) AS c
""".encode()

# --- while it is owned --------------------------------------------------------------------------

RENEW: Final = f"UPDATE intercom_workspace SET {_HELD} WHERE {_MINE}".encode()
BIND: Final = f"""
    UPDATE intercom_workspace SET app_id = coalesce(app_id, %(app_id)s),
        app_name = coalesce(app_name, %(app_name)s)
    WHERE {_MINE} RETURNING app_id, app_name
""".encode()
COUNT: Final = f"""
    UPDATE intercom_workspace SET {_HELD}, counts = (
        SELECT coalesce(jsonb_object_agg(state, pairs), '{{}}') FROM (
            SELECT state, count(*) AS pairs FROM intercom_pair WHERE {_HERE} GROUP BY state) AS c)
    WHERE {_MINE}
""".encode()
LET_GO: Final = f"UPDATE intercom_workspace SET expires_at = '-infinity' WHERE {_MINE}".encode()

# The lease is renewed and its row locked before the first row is written: an owner that was
# replaced finds no row there, and so writes none.
WRITE: Final = f"""
    WITH lease AS (UPDATE intercom_workspace SET {_HELD} WHERE {_MINE} RETURNING 1)
    INSERT INTO intercom_pair (run, workspace, {_NAMES})
    SELECT %(run)s, %(workspace)s, given.* FROM lease, json_to_recordset(%(rows)s::json)
        AS given ({", ".join(f"{name} {kind}" for name, kind in _TYPES.items())})
    ON CONFLICT (run, workspace, conversation_id, contact_id)
    DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])}
""".encode()

# OFFSET 0: whatever the planner believes, each pair is looked up in the index.
LOOK_UP: Final = f"""
    SELECT wanted.place, found.* FROM unnest(%(conversations)s::text[], %(contacts)s::text[])
        WITH ORDINALITY AS wanted (conversation_id, contact_id, place)
    CROSS JOIN LATERAL (
        SELECT {_NAMES} FROM intercom_pair AS pair
        WHERE {_HERE} AND pair.conversation_id = wanted.conversation_id
            AND pair.contact_id = wanted.contact_id OFFSET 0) AS found
""".encode()

_PAGE: Final = f"""
    SELECT {_NAMES} FROM intercom_pair
    WHERE {_HERE} AND (conversation_id, contact_id) > (%(conversation)s, %(contact)s)
        AND {{wanted}}
    ORDER BY run, workspace, conversation_id, contact_id LIMIT %(limit)s
"""
_SETTLED: Final = ", ".join(f"'{state}'" for state in SETTLED)
PAGES: Final = {
    Wanted.LEFT: _PAGE.format(
        wanted=f"state NOT IN ({_SETTLED}) AND session < %(session)s"
    ).encode(),
    Wanted.DEFERRED: _PAGE.format(wanted="deferred AND session = %(session)s").encode(),
}


def update_session(names: list[str]) -> bytes:
    """Set columns of a session's row, if its workspace is still owned."""
    unknown = set(names) - {*FACTS, "input_ended", "ended_at"}
    assert not unknown  # noqa: S101  `Facts` names them
    changes = ", ".join(f"{name} = %({name})s" for name in names)
    return f"""
        WITH lease AS (UPDATE intercom_workspace SET {_HELD} WHERE {_MINE} RETURNING 1)
        UPDATE intercom_session SET {changes} FROM lease WHERE {_HERE} AND number = %(session)s
    """.encode()


# --- runs from outside --------------------------------------------------------------------------

STAGE: Final = b"""
    CREATE TEMPORARY TABLE intercom_staged (
        workspace text COLLATE "C", conversation_id text COLLATE "C", contact_id text COLLATE "C",
        admin_id text) ON COMMIT DROP
"""
COPY: Final = b"COPY intercom_staged FROM STDIN"
ADD_WORKSPACES: Final = b"""
    INSERT INTO intercom_workspace AS known (run, workspace, loaded)
    SELECT DISTINCT %(run)s, workspace, 1 FROM intercom_staged ORDER BY workspace
    ON CONFLICT (run, workspace) DO UPDATE SET loaded = known.loaded + 1, stopped_by = NULL
"""
ADD_PAIRS: Final = b"""
    WITH added AS (
        INSERT INTO intercom_pair (run, workspace, conversation_id, contact_id, admin_id, state,
            updated_at)
        SELECT DISTINCT ON (workspace, conversation_id, contact_id)
            %(run)s, workspace, conversation_id, contact_id, admin_id, 'pending', %(now)s
        FROM intercom_staged ORDER BY workspace, conversation_id, contact_id
        ON CONFLICT DO NOTHING RETURNING workspace),
    grown AS (SELECT workspace, count(*) AS pairs FROM added GROUP BY workspace),
    counted AS (
        UPDATE intercom_workspace AS known SET counts = counts || jsonb_build_object(
            'pending', coalesce((counts ->> 'pending')::bigint, 0) + grown.pairs)
        FROM grown WHERE run = %(run)s AND known.workspace = grown.workspace)
    SELECT coalesce(sum(pairs), 0) FROM grown
"""
ANALYZE: Final = b"ANALYZE intercom_pair, intercom_workspace"
STATUS: Final = b"""
    SELECT (SELECT state FROM intercom_run WHERE run = %(run)s),
        count(*), count(*) FILTER (WHERE drained = loaded),
        count(*) FILTER (WHERE expires_at > clock_timestamp()),
        coalesce(jsonb_object_agg(workspace, stopped_by) FILTER (WHERE stopped_by IS NOT NULL),
            '{}'),
        coalesce((SELECT jsonb_object_agg(state, pairs) FROM (
            SELECT key AS state, sum(value::bigint) AS pairs
            FROM intercom_workspace, jsonb_each_text(counts)
            WHERE run = %(run)s GROUP BY key) AS c), '{}')
    FROM intercom_workspace WHERE run = %(run)s
"""
SET_STATE: Final = b"UPDATE intercom_run SET state = %(state)s WHERE run = %(run)s"
NOT_OPEN: Final = b"SELECT run FROM intercom_run WHERE state <> 'open'"
LOADED: Final = f"""
    SELECT loaded FROM intercom_workspace JOIN intercom_run USING (run)
    WHERE {_HERE} AND state = 'open'
""".encode()
ENDED: Final = f"""
    UPDATE intercom_workspace
    SET drained = greatest(drained, %(loaded)s), stopped_by = %(stopped_by)s WHERE {_HERE}
""".encode()
WAITING: Final = b"""
    SELECT run, workspace FROM intercom_workspace JOIN intercom_run USING (run)
    WHERE drained < loaded AND expires_at < clock_timestamp() AND state = 'open'
    ORDER BY run, workspace
"""
