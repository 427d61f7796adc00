"""What PostgreSQL is asked: all statements of the journal in one place.

A session owns workspaces by a lease on its own row, which each of its writes checks, locks and
renews. Whoever takes a workspace over ends the lease of the session that had it: its row says
'-infinity' then, and it writes nothing more anywhere.
"""

from typing import Final

from intercom_async.journal.journal import FACTS, Wanted
from intercom_async.journal.row import SETTLED

VERSION: Final = 1

_TYPES: Final = {
    "workspace": "text",
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
"""Of the table `intercom_pair` behind the run; also the names in a `Row`."""

_NAMES: Final = ", ".join(COLUMNS)
_KEY: Final = "run, workspace, conversation_id, contact_id"
_MINE: Final = "run = %(run)s AND number = %(session)s AND expires_at > '-infinity'"
_HELD: Final = "expires_at = clock_timestamp() + %(lease)s * interval '1 second'"
_LIVE: Final = """
    EXISTS (SELECT FROM intercom_session AS owner WHERE owner.run = known.run
        AND owner.number = known.session AND owner.expires_at > {moment})
"""
_OWNED: Final = _LIVE.format(moment="clock_timestamp()")

LOCK_SCHEMA: Final = b"SELECT pg_advisory_xact_lock(7236833291837)"
SCHEMA: Final = b"""
    SELECT EXISTS (
        SELECT FROM pg_class WHERE relname = 'intercom_schema' AND pg_table_is_visible(oid))
"""
SCHEMA_VERSION: Final = b"SELECT version FROM intercom_schema"

# --- beginning a session, and owning workspaces: each in a transaction ---------------------------

SHORTLY: Final = b"SET LOCAL idle_in_transaction_session_timeout = '10s'"
"""A process that is frozen inside a transaction must not keep its locks."""

BEGIN_RUN: Final = b"""
    INSERT INTO intercom_run AS known (run, operation, sessions, created_at, library)
    VALUES (%(run)s, %(operation)s, 1, %(now)s, %(library)s)
    ON CONFLICT (run) DO UPDATE SET sessions = known.sessions + 1 RETURNING operation, sessions
"""
BEGIN_SESSION: Final = b"""
    INSERT INTO intercom_session (run, number, expires_at, started_at, process, host, source_kind,
        source_name, source_columns)
    VALUES (%(run)s, %(session)s, clock_timestamp() + %(lease)s * interval '1 second', %(now)s,
        %(process)s, %(host)s, %(source_kind)s, %(source_name)s, %(source_columns)s)
"""
ADD_WORKSPACES: Final = b"""
    INSERT INTO intercom_workspace (run, workspace)
    SELECT %(run)s, unnest(%(workspaces)s::text[]) ON CONFLICT DO NOTHING
"""
_THESE: Final = "known.run = %(run)s AND known.workspace = ANY(%(workspaces)s)"
WORKSPACES: Final = f"""
    SELECT base_url, app_id, app_name FROM intercom_workspace AS known WHERE {_THESE}
    ORDER BY workspace FOR UPDATE
""".encode()
OUST: Final = f"""
    UPDATE intercom_session AS owner SET expires_at = '-infinity'
    FROM intercom_workspace AS known
    WHERE {_THESE} AND owner.run = known.run AND owner.number = known.session
        AND owner.number <> %(session)s AND owner.expires_at < clock_timestamp()
""".encode()
OWN: Final = f"""
    UPDATE intercom_workspace AS known
    SET session = %(session)s, base_url = coalesce(%(base_url)s, base_url),
        app_id = coalesce(app_id, %(app_id)s), app_name = coalesce(app_name, %(app_name)s)
    WHERE {_THESE} AND (session = %(session)s OR NOT {_LIVE.format(moment="'-infinity'")})
""".encode()
KEPT: Final = b"""
    SELECT (SELECT coalesce(json_object_agg(state, pairs), '{}') FROM intercom_count
            WHERE run = %(run)s AND workspace = %(workspace)s AND pairs > 0),
        (SELECT bool_or(input_ended) FROM intercom_session WHERE run = %(run)s)
"""

# --- while workspaces are owned -----------------------------------------------------------------

BIND: Final = b"""
    UPDATE intercom_workspace
    SET app_id = coalesce(app_id, %(app_id)s), app_name = coalesce(app_name, %(app_name)s)
    WHERE run = %(run)s AND workspace = %(workspace)s AND session = %(session)s
    RETURNING app_id, app_name
"""
RENEW: Final = f"UPDATE intercom_session SET {_HELD} WHERE {_MINE}".encode()


def end_session(names: list[str]) -> bytes:
    """Set columns of a session's row, and let go of what it owns."""
    return _update_session(names, "expires_at = '-infinity'")


def update_session(names: list[str]) -> bytes:
    """Set columns of a session's row and renew its lease."""
    return _update_session(names, _HELD)


def _update_session(names: list[str], lease: str) -> bytes:
    unknown = set(names) - {*FACTS, "input_ended", "ended_at"}
    assert not unknown  # noqa: S101  `Facts` names them
    changes = ", ".join([lease, *(f"{name} = %({name})s" for name in names)])
    return f"UPDATE intercom_session SET {changes} WHERE {_MINE}".encode()


# The lease is renewed and its row locked before the first row is written: an owner that was
# replaced finds no row there, and so writes none. What a pair was before is found by its key, one
# by one (OFFSET 0), whatever the planner believes; a pair that was there and not found there was
# submitted this very moment.
WRITE: Final = f"""
    WITH lease AS (UPDATE intercom_session SET {_HELD} WHERE {_MINE} RETURNING run),
    given AS MATERIALIZED (SELECT * FROM json_to_recordset(%(rows)s::json)
        AS given ({", ".join(f"{name} {kind}" for name, kind in _TYPES.items())})),
    before AS MATERIALIZED (
        SELECT given.workspace, given.conversation_id, given.contact_id, found.state
        FROM given CROSS JOIN LATERAL (
            SELECT state FROM intercom_pair AS pair
            WHERE run = %(run)s AND pair.workspace = given.workspace
                AND pair.conversation_id = given.conversation_id
                AND pair.contact_id = given.contact_id OFFSET 0) AS found),
    written AS (
        INSERT INTO intercom_pair (run, {_NAMES}) SELECT lease.run, given.* FROM lease, given
        ON CONFLICT ({_KEY})
        DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[3:])}
        RETURNING workspace, conversation_id, contact_id, state, xmax = 0 AS added),
    changed AS (
        SELECT workspace, state, 1 AS pairs FROM written
        UNION ALL
        SELECT workspace, coalesce(before.state, 'pending'), -1
        FROM written LEFT JOIN before USING (workspace, conversation_id, contact_id)
        WHERE NOT added),
    counted AS (
        INSERT INTO intercom_count AS known (run, workspace, state, pairs)
        SELECT %(run)s, workspace, state, sum(pairs) FROM changed
        GROUP BY workspace, state HAVING sum(pairs) <> 0 ORDER BY workspace, state
        ON CONFLICT (run, workspace, state) DO UPDATE SET pairs = known.pairs + excluded.pairs)
    SELECT count(*) FROM written
""".encode()

LOOK_UP: Final = f"""
    SELECT wanted.place, found.* FROM unnest(%(workspaces)s::text[], %(conversations)s::text[],
        %(contacts)s::text[]) WITH ORDINALITY AS wanted (workspace, conversation_id, contact_id,
        place)
    CROSS JOIN LATERAL (
        SELECT {_NAMES} FROM intercom_pair AS pair
        WHERE run = %(run)s AND pair.workspace = wanted.workspace
            AND pair.conversation_id = wanted.conversation_id
            AND pair.contact_id = wanted.contact_id OFFSET 0) AS found
""".encode()

_SETTLED: Final = ", ".join(f"'{state}'" for state in SETTLED)
LEFT: Final = f"""
    SELECT DISTINCT workspace FROM intercom_count
    WHERE run = %(run)s AND pairs > 0 AND state NOT IN ({_SETTLED}) ORDER BY workspace
""".encode()
_PAGE: Final = f"""
    SELECT {_NAMES} FROM intercom_pair
    WHERE run = %(run)s AND workspace = %(workspace)s
        AND (conversation_id, contact_id) > (%(conversation)s, %(contact)s) AND {{wanted}}
    ORDER BY {_KEY} LIMIT %(limit)s
"""
PAGES: Final = {
    Wanted.LEFT: _PAGE.format(
        wanted=f"state NOT IN ({_SETTLED}) AND session <> %(session)s"
    ).encode(),
    Wanted.DEFERRED: _PAGE.format(wanted="deferred AND session = %(session)s").encode(),
    Wanted.PENDING: _PAGE.format(wanted="state = 'pending' AND session = %(session)s").encode(),
}

# --- runs from outside --------------------------------------------------------------------------

STAGE: Final = b"""
    CREATE TEMPORARY TABLE intercom_staged (
        workspace text COLLATE "C", conversation_id text COLLATE "C", contact_id text COLLATE "C",
        admin_id text) ON COMMIT DROP
"""
COPY: Final = b"COPY intercom_staged FROM STDIN"
LOAD_WORKSPACES: Final = b"""
    INSERT INTO intercom_workspace AS known (run, workspace, loaded)
    SELECT DISTINCT %(run)s, workspace, 1 FROM intercom_staged ORDER BY workspace
    ON CONFLICT (run, workspace) DO UPDATE SET loaded = known.loaded + 1, stopped_by = NULL
"""
LOAD_PAIRS: Final = b"""
    WITH added AS (
        INSERT INTO intercom_pair (run, workspace, conversation_id, contact_id, admin_id, state,
            session, updated_at)
        SELECT DISTINCT ON (workspace, conversation_id, contact_id)
            %(run)s, workspace, conversation_id, contact_id, admin_id, 'pending', %(session)s,
            %(now)s
        FROM intercom_staged ORDER BY workspace, conversation_id, contact_id
        ON CONFLICT DO NOTHING RETURNING workspace),
    counted AS (
        INSERT INTO intercom_count AS known (run, workspace, state, pairs)
        SELECT %(run)s, workspace, 'pending', count(*) FROM added GROUP BY workspace
        ORDER BY workspace
        ON CONFLICT (run, workspace, state) DO UPDATE SET pairs = known.pairs + excluded.pairs)
    SELECT count(*) FROM added
"""
ANALYZE: Final = b"ANALYZE intercom_pair, intercom_workspace, intercom_count"
STATUS: Final = f"""
    SELECT (SELECT state FROM intercom_run WHERE run = %(run)s),
        count(*), count(*) FILTER (WHERE drained = loaded AND NOT owned),
        count(*) FILTER (WHERE owned),
        coalesce(jsonb_object_agg(workspace, stopped_by) FILTER (WHERE stopped_by IS NOT NULL),
            '{{}}'),
        coalesce((SELECT jsonb_object_agg(state, pairs) FROM (
            SELECT state, sum(pairs) AS pairs FROM intercom_count WHERE run = %(run)s
            GROUP BY state HAVING sum(pairs) > 0) AS c), '{{}}')
    FROM (SELECT *, {_OWNED} AS owned FROM intercom_workspace AS known WHERE run = %(run)s
        AND (run, workspace) IN (SELECT run, workspace FROM intercom_count)) AS known
""".encode()
SET_STATE: Final = b"UPDATE intercom_run SET state = %(state)s WHERE run = %(run)s"
NOT_OPEN: Final = b"SELECT run FROM intercom_run WHERE state <> 'open'"
LOADED: Final = b"""
    SELECT loaded FROM intercom_workspace JOIN intercom_run USING (run)
    WHERE run = %(run)s AND workspace = %(workspace)s AND state = 'open'
"""
DRAINED: Final = b"""
    UPDATE intercom_workspace
    SET drained = greatest(drained, %(loaded)s), stopped_by = %(stopped_by)s
    WHERE run = %(run)s AND workspace = %(workspace)s
"""
WAITING: Final = f"""
    SELECT run, workspace FROM intercom_workspace AS known JOIN intercom_run USING (run)
    WHERE drained < loaded AND state = 'open' AND NOT {_OWNED} ORDER BY run, workspace
""".encode()
