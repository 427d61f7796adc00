"""A run's tables in PostgreSQL, and the lease by which a session owns workspaces of the run.

The lease stands in the session's own row; each write checks, locks and renews it. A session that
takes a workspace over ends the lease of the session that had it: the row of that session then says
'-infinity', and it writes nothing more anywhere. So the lease guards the tables. The clock guards
the requests to Intercom: `write` and `hold` return only while the lease surely holds, and `watch`
recalls requests under way when that is no longer sure.
"""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import msgspec
from msgspec.structs import asdict

from intercom_async.journal import postgres_connection as database
from intercom_async.journal.errors import (
    NOTHING_SENT,
    SAFE,
    JournalLockedError,
    JournalLostError,
    unusable,
)
from intercom_async.journal.row import UNSETTLED, Binding, Row
from intercom_async.journal.store import (
    COLUMNS,
    KEY,
    NAMES,
    UPDATES,
    Store,
    row_of,
)

if TYPE_CHECKING:
    from intercom_async.journal.journal import Journal

LEASE: Final = 30.0
"""Seconds that a session owns its workspaces after each write."""

PATIENCE: Final = 300.0
"""Seconds that the database may be away before the run fails."""

_MINE: Final = "run = %(run)s AND number = %(session)s AND expires_at > '-infinity'"
_HELD: Final = "expires_at = clock_timestamp() + %(lease)s * interval '1 second'"
_RELEASED: Final = "expires_at = '-infinity'"

# Makes or locks the rows, in order, so that a session that takes workspaces over sees what the one
# before has done.
_LOCK: Final = """
    INSERT INTO intercom_workspace (run, workspace)
    SELECT %(run)s, unnest(%(workspaces)s::text[])
    ON CONFLICT (run, workspace) DO UPDATE SET workspace = excluded.workspace
"""
_THESE: Final = "kept.run = %(run)s AND kept.workspace = ANY(%(workspaces)s)"
_OUST: Final = f"""
    UPDATE intercom_session AS owner SET expires_at = '-infinity'
    FROM intercom_workspace AS kept
    WHERE {_THESE} AND owner.run = kept.run AND owner.number = kept.session
        AND owner.number <> %(session)s AND owner.expires_at < clock_timestamp()
"""
_OWN: Final = f"""
    UPDATE intercom_workspace AS kept
    SET session = %(session)s, base_url = coalesce(base_url, %(base_url)s),
        app_id = coalesce(app_id, %(app_id)s), app_name = coalesce(app_name, %(app_name)s)
    WHERE {_THESE} AND (session = %(session)s OR NOT EXISTS (
        SELECT FROM intercom_session AS owner WHERE owner.run = kept.run
            AND owner.number = kept.session AND owner.expires_at > '-infinity'))
    RETURNING base_url, app_id, app_name
"""

# Renews the lease, and so locks its row, before it writes the first pair: an owner that was
# replaced finds no lease to renew, and so writes none.
_WRITE: Final = f"""
    WITH lease AS (UPDATE intercom_session SET {_HELD} WHERE {_MINE} RETURNING run)
    INSERT INTO intercom_pair (run, {NAMES})
    SELECT lease.run, {", ".join(f"given.{name}" for name in COLUMNS)}
    FROM lease, json_populate_recordset(NULL::intercom_pair, %(rows)s::json) AS given
    ON CONFLICT (run, {KEY}) DO UPDATE SET {UPDATES}
"""
_LEFT: Final = f"""
    SELECT DISTINCT workspace FROM intercom_count
    WHERE run = %(run)s AND pairs > 0 AND state IN {UNSETTLED} ORDER BY workspace
"""
_KEPT: Final = """
    SELECT (SELECT coalesce(jsonb_object_agg(state, pairs), '{}') FROM intercom_count
            WHERE run = %(run)s AND workspace = %(workspace)s AND pairs > 0),
        coalesce(bool_or(input_ended), false) FROM intercom_session WHERE run = %(run)s
"""

_Result = TypeVar("_Result")


class PostgresStore(Store):
    """The part of the tables that one session owns; a lost connection is made again."""

    # Pairs are found by their keys, one by one (OFFSET 0), whatever the planner believes.
    LOOK_UP = f"""
        SELECT found.* FROM json_array_elements(%(keys)s::json) AS wanted (key)
        CROSS JOIN LATERAL (
            SELECT {NAMES} FROM intercom_pair
            WHERE run = %(run)s AND workspace = key->>0 AND conversation_id = key->>1
                AND contact_id = key->>2 OFFSET 0) AS found
    """
    PAGE = f"""
        SELECT {NAMES} FROM intercom_pair
        WHERE run = %(run)s AND workspace = %(workspace)s
            AND (conversation_id, contact_id) > (%(conversation)s, %(contact)s) AND {{wanted}}
        ORDER BY {KEY} LIMIT %(limit)s
    """

    def __init__(self, journal: "Journal", binding: Binding, now: float) -> None:
        self._url, run = journal.path or "", journal.run or ""
        self.name = database.name_of(self._url, run, journal.workspace)
        self.workspace = journal.workspace
        self.owned = frozenset()
        self.lease = LEASE
        self.held_until = -math.inf
        self._asked_at = monotonic()
        self._connection: database.Connection | None = None
        self._facts: dict[str, Any] = {"run": run, "lease": LEASE}
        with contextlib.ExitStack() as undo:
            undo.callback(self.let_go)
            try:
                self._begin(journal, binding, now)
            except (database.Error, OSError) as error:
                raise unusable(self.name, error, NOTHING_SENT) from error
            undo.pop_all()

    def _begin(self, journal: "Journal", binding: Binding, now: float) -> None:
        connection = self._connected()
        database.ensure_schema(connection, self.name)
        facts = {**self._facts, "operation": binding.operation, "now": now}
        self.number = database.count_session(connection, self.name, facts)
        self._facts["session"] = self.number
        with connection.transaction():
            database.work_shortly(connection)
            database.begin_session(connection, journal.source, {**self._facts, "now": now})
            self._take({self.workspace}, binding)
        self.owned = frozenset({self.workspace})
        self._renewed()
        kept = self._execute(_KEPT, workspace=self.workspace).fetchall()
        ((self.before, self.input_ended),) = kept

    def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = database.connect(self._url)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _execute(self, statement: str, **facts: Any) -> database.Cursor:
        return database.execute(self._connected(), statement, {**self._facts, **facts})

    def attempt(self, work: Callable[[], _Result]) -> _Result:
        """See `Store`. After an outage it repeats the work, so doing it twice must be harmless."""
        since = monotonic()
        pause = 0.05
        while True:
            self._asked_at = monotonic()
            try:
                return work()
            except (database.Error, OSError) as error:
                if not database.passes(error) or monotonic() - since > PATIENCE:
                    raise unusable(self.name, error, SAFE) from error
            self._disconnect()
            time.sleep(pause)
            pause = min(2.0, 2 * pause)

    def own(self, workspaces: Collection[str]) -> None:
        """See `Store`; raise `JournalLockedError` if another session has one of them."""
        connection = self._connected()
        with connection.transaction():
            database.work_shortly(connection)
            self._expect(1, self._update({}, _HELD))
            self._take(workspaces, Binding(operation="", base_url=""))
        self._renewed()  # a refusal or a lost connection undoes the renewal, too
        self.owned = frozenset(workspaces).union(self.owned or ())

    def _take(self, workspaces: Collection[str], now: Binding) -> None:
        """Own workspaces, in a transaction; those that belong elsewhere are refused."""
        facts = {
            "workspaces": sorted(workspaces),
            "base_url": now.base_url or None,
            "app_id": now.app_id,
            "app_name": now.app_name,
        }
        self._execute(_LOCK, **facts)
        self._execute(_OUST, **facts)
        found = self._execute(_OWN, **facts).fetchall()
        if len(found) != len(workspaces):
            raise JournalLockedError(self.name)
        for base_url, app_id, app_name in found:
            url = base_url if now.base_url else ""
            kept = attrs.evolve(now, base_url=url, app_id=app_id, app_name=app_name)
            kept.check(now, journal=self.name)

    def _expect(self, expected: int, changed: int) -> None:
        """Raise `JournalLostError` if the lease kept a statement from changing what it should."""
        if changed != expected:
            raise JournalLostError(self.name)

    def _renewed(self) -> None:
        # Counted from before the statement: the database renewed the lease later than that.
        self.held_until = self._asked_at + 0.8 * self.lease

    def write(self, rows: Sequence[Row]) -> None:
        latest = {row.key: row for row in rows}
        given = msgspec.json.encode([asdict(latest[key]) for key in sorted(latest)]).decode()
        self._expect(len(latest), self._execute(_WRITE, rows=given).rowcount)
        self._renewed()

    def fetch(self, statement: str, **facts: Any) -> list[Row]:
        return [row_of(values) for values in self._execute(statement, **facts)]

    def workspaces(self) -> list[str]:
        return [workspace for (workspace,) in self._execute(_LEFT)]

    def bind(self, workspace: str, app_id: str, app_name: str | None) -> tuple[Any, ...]:
        facts = {"base_url": None, "app_id": app_id, "app_name": app_name}
        found = self._execute(_OWN, workspaces=[workspace], **facts).fetchall()
        self._expect(1, len(found))
        return found[0][1:]

    def update(self, facts: Mapping[str, Any]) -> None:
        self._expect(1, self._update(facts, _HELD))
        self._renewed()

    def _update(self, facts: Mapping[str, Any], lease: str) -> int:
        changes = ", ".join([lease, *(f"{name} = %({name})s" for name in facts)])
        statement = f"UPDATE intercom_session SET {changes} WHERE {_MINE}"
        return self._execute(statement, **facts).rowcount

    def close(self, facts: Mapping[str, Any]) -> None:
        self._update(facts, _RELEASED)

    def let_go(self) -> None:
        """See `Store`. Ends the lease, too, so that no worker waits for it to run out."""
        for _ in range(2 * ("session" in self._facts)):  # a first connection may have broken
            with contextlib.suppress(database.Error, OSError):
                self._update({}, _RELEASED)
                break
            self._disconnect()
        self._facts.pop("session", None)
        self._disconnect()
