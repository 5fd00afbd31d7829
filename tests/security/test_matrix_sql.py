"""The permission matrix as plain SQL under each service's role: table × action × role × row of the own and of a foreign situation.

What to expect is computed by `support.expected` from the permission table and from the lines of `row_security.sql`, which are
recorded here rather than turned into policies: neither the policies nor their functions have a part in it. Every table has rows of
both situations: what the service wrote when the HTTP matrix was run, made-up ones (`support.made_up_rows`) where it wrote none.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from chassis import row_security
from chassis.migrations import upgrade
from local_stack.postgres import PostgresServer
from security.test_matrix_http import aggregation_matrix, export_matrix, intake_matrix, verification_matrix
from support.databases import migrations
from support.edge import RunningIntake
from support.expected import ROLES, SOMETHING, actions_of, allows, held
from support.exporting import RunningExport, export
from support.issuer import issuer
from support.made_up_rows import make_up
from support.running_aggregation import RunningAggregation, aggregation
from support.vetting import RunningVerification, vetting

__all__ = ["aggregation", "export", "issuer", "vetting"]
Property = Callable[[str, object], None]
Grants = frozenset[tuple[str, str]]
FOREIGN: Final = "XBB"
FEWEST: Final = {"intake": 15_000, "verification": 50_000, "aggregation": 15_000, "export": 15_000}
PLUMBING: Final = {
    "confirmations_due": "what the receiver has yet to confirm",
    "relay_state": "which broker the relay last saw",
    "row_security_state": "what the migrations set up; read before anybody is let in",
    "sessions": "sealed under cookies; found by their hash before it is known who asks",
    "revisions of the schema": "Alembic's own",
}
"""Tables for the service alone, whoever acts; the matrix shows that no action of any role sees or changes a row of them."""
RECORDER: Final = """
create table pg_temp.lines (act text, tab text, actions text[], place text, scope text, relation text, owner text, states text[],
    state_column text, offices text[], office_column text, also text, added text);
create function pg_temp.may(act text, relation_name text, actions text[], place text default 'situation', scope text default 'everywhere',
    relation text default null, owner text default null, states text[] default null, state_column text default 'state',
    offices text[] default null, office_column text default 'role', also text default null, added text default null
) returns void language sql as $$
    insert into pg_temp.lines values (act, relation_name, actions, place, scope, relation, owner, states, state_column, offices,
        office_column, also, added)
$$;
"""
TRY: Final = """
do $do$
declare
    statement text; answers text[] := '{}'; n bigint;
begin
    for statement in select * from jsonb_array_elements_text(current_setting('mrm.statements')::jsonb) loop
        begin
            execute statement;
            get diagnostics n = row_count;
            raise exception 'rows %', n using errcode = 'MRM00';
        exception when others then
            answers := answers || case when sqlstate = 'MRM00' then sqlerrm
                when sqlstate = '42501' and sqlerrm like '%row-level security%' then 'refused'
                when sqlstate = '42501' then 'no privilege' else sqlstate end;
        end;
    end loop;
    perform set_config('mrm.answers', array_to_json(answers)::text, true);
end
$do$
"""


@dataclass(frozen=True)
class Line:
    """A line of `row_security.sql`, and of every row what the line looks at: place, own, state, office, `also`, `added`."""

    act: str
    actions: tuple[str, ...] | None
    place: str | None
    scope: str
    relation: str | None
    owner: bool
    states: tuple[str, ...] | None
    offices: tuple[str, ...] | None
    office_in_row: bool
    looks: Mapping[str, tuple[str | None, bool, str | None, str | None, bool, bool]]

    def holds(self, service: str, action: str, grants: Grants, row: str, *, fully: bool = True, added: bool = False) -> bool:
        """Whether somebody at an action may do the line's act with a row; not `fully`: whether a changed row may stay where it is."""
        if self.actions is not None and action not in self.actions:
            return False
        place, own, state, office, also, new = self.looks[row]
        if not also or (added and not new):
            return False
        if self.place is None and self.scope == "somewhere":
            return allows(service, action, {role for _, role in grants}, SOMETHING, SOMETHING)
        roles = held(grants, place)
        if not fully:
            return allows(service, action, roles, SOMETHING, SOMETHING)
        of_row = self.offices if self.offices is None or not self.office_in_row else {str(office)} & set(self.offices)
        if (self.states is not None and state not in self.states) or (of_row is not None and not of_row):
            return False
        relation = ("own" if own else "not_own") if self.owner else self.relation
        of_office = roles if of_row is None else roles & set(of_row)
        return allows(service, action, of_office, relation, SOMETHING if self.states is None else state)


@dataclass
class SqlMatrix:
    """All tables of one service."""

    service: str
    own: str
    superuser: asyncpg.Connection
    app: asyncpg.Connection
    subject: str
    lines: dict[str, list[Line]] = field(default_factory=dict)
    rows: dict[str, list[str]] = field(default_factory=dict)
    chosen: dict[str, list[str]] = field(default_factory=dict)
    statements: list[tuple[str, str, str, str]] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    """Tables without a row, or without one of the own and one of the foreign situation."""

    async def prepare(self) -> None:
        """Give the foreign situation a copy of every row, and look at all rows as every line does."""
        await self.superuser.execute("select set_config('mrm.subject', $1, false)", self.subject)
        tables = [row[0] for row in await self.superuser.fetch(_TABLES)]
        await self._record_lines()
        for table in tables:
            columns = {row[0] for row in await self.superuser.fetch(_COLUMNS, table)}
            place = "code" if table == "situations" else "situation" if "situation" in columns else None
            await make_up(self.superuser, table, place=place, own=self.own, subject=self.subject)
            if place:
                await self._copy(table, place)
            self.rows[table] = [row[0] for row in await self.superuser.fetch(f"select ctid::text from {table} order by ctid")]  # noqa: S608
            kind = f"coalesce({place} = '{FOREIGN}', null)" if place else "null::boolean"
            firsts = await self.superuser.fetch(f"select distinct on ({kind}) ctid::text from {table} order by {kind}, ctid")  # noqa: S608
            self.chosen[table] = [row[0] for row in firsts]
            if len(firsts) < (1 if place is None else 2):
                self.empty.append(table)
            self.lines.setdefault(table, [])
            await self._prepare_statements(table)
        for table, lines in self.recorded.items():
            self.lines[table] = [await self._line(table, line) for line in lines]

    async def _record_lines(self) -> None:
        shared = row_security.source_of(self.service, f"{self.service}_app")
        text = shared[shared.index("-- Which events leave with an act") :]
        await self.superuser.execute(RECORDER + re.sub(r"^create policy .*?;$", "", text, flags=re.DOTALL | re.MULTILINE))
        self.recorded: dict[str, list[asyncpg.Record]] = {}
        for row in await self.superuser.fetch("select * from pg_temp.lines where to_regclass(tab) is not null"):
            self.recorded.setdefault(row["tab"], []).append(row)

    async def _copy(self, table: str, place: str) -> None:
        fresh = {"id": "1000000 + id", "event_id": "gen_random_uuid()", "device": "gen_random_uuid()", "request": "sha256(request)"}
        columns = [row[0] for row in await self.superuser.fetch(_COLUMNS, table)]
        if table == "audit_entries":
            fresh = {"id": "gen_random_uuid()"}
        plain = [fresh.get(name, f"'{FOREIGN}'" if name == place else name) for name in columns]
        same = [f"'{FOREIGN}'" if name == place else name for name in columns]
        await self.superuser.execute("set session_replication_role = replica")
        keyed = table in ("outbox", "inbox", "parked", "audit_entries", "answered_requests", "devices")
        await self.superuser.execute(
            f"insert into {table} ({', '.join(columns)}) overriding system value"  # noqa: S608 - the database's own names
            f" select {', '.join(plain if keyed else same)} from {table} where {place} = $1 on conflict do nothing",
            self.own,
        )
        await self.superuser.execute("set session_replication_role = origin")

    async def _line(self, table: str, line: asyncpg.Record) -> Line:
        looks = await self.superuser.fetch(
            f"select ctid::text, {line['place'] or 'null::text'}, ({line['owner'] or 'false'}) is true,"  # noqa: S608
            f" {line['state_column'] + '::text' if line['states'] else 'null::text'},"
            f" {line['office_column'] + '::text' if line['office_column'] and line['offices'] else 'null::text'},"
            f" ({line['also'] or 'true'}) is true, ({line['added'] or 'true'}) is true from {table}"
        )
        return Line(
            line["act"],
            tuple(line["actions"]) if line["actions"] is not None else None,
            line["place"],
            line["scope"],
            line["relation"],
            line["owner"] is not None,
            tuple(line["states"]) if line["states"] else None,
            tuple(line["offices"]) if line["offices"] else None,
            line["office_column"] is not None,
            {look[0]: tuple(look)[1:] for look in looks},
        )

    async def _prepare_statements(self, table: str) -> None:
        changeable = await self.superuser.fetchval(_CHANGEABLE, table, f"{self.service}_app")
        for row in self.chosen[table]:
            text = await self.superuser.fetchval(f"select t::text from {table} t where ctid = $1::text::tid", row)  # noqa: S608
            literal = await self.superuser.fetchval("select quote_literal($1::text)", text)
            insert = f"insert into {table} overriding system value select (r).* from (select {literal}::{table} as r) as given"  # noqa: S608
            self.statements.append((table, row, "add", insert))
            self.statements.append((table, row, "remove", f"delete from {table} where ctid = '{row}'"))  # noqa: S608
            if changeable:
                self.statements.append((table, row, "change", f"update {table} set {changeable} = {changeable} where ctid = '{row}'"))  # noqa: S608
                self.statements.append((table, row, "lock", f"select from {table} where ctid = '{row}' for update"))

    async def run(self, *, to_first: bool = False) -> None:
        """Do everything as everybody at every action; `to_first`: until something is not as expected."""
        seen = " union all ".join(f"select '{table}', ctid::text from {table}" for table in self.rows)  # noqa: S608
        statements = json.dumps([statement for _, _, _, statement in self.statements])
        for action in [*actions_of(self.service), "system", "", "no.such_action"]:
            for role in ROLES:
                grants = frozenset({("_all" if role == "operator" else self.own, role)})
                transaction = self.app.transaction()
                await transaction.start()
                try:
                    settings = {"mrm.action": action, "mrm.subject": self.subject, "mrm.grants": json.dumps(sorted(grants))}
                    for name, value in {**settings, "mrm.statements": statements}.items():
                        await self.app.execute("select set_config($1, $2, true)", name, value)
                    visible = {(row[0], row[1]) for row in await self.app.fetch(seen)}
                    await self.app.execute(TRY)
                    answers = json.loads(await self.app.fetchval("select current_setting('mrm.answers')"))
                finally:
                    await transaction.rollback()
                self._compare(action, role, grants, visible, answers)
                if to_first and self.failures:
                    return

    def _compare(self, action: str, role: str, grants: Grants, visible: set[tuple[str, str]], answers: list[str]) -> None:
        for table, rows in self.rows.items():
            for row in rows:
                self.cells["see"] += 1
                if self._sees(table, row, action, grants) != ((table, row) in visible):
                    self.failures.append(f"{action or '-'} as {role}: {table} {row} is {'' if (table, row) in visible else 'not '}visible")
        for (table, row, act, _), answer in zip(self.statements, answers, strict=True):
            expected = self._expected(table, row, act, action, grants)
            outcome = {"rows 0": "hidden", "refused": "refused", "no privilege": "no privilege"}.get(answer, "done")
            if outcome == "no privilege" or (act == "add" and answer == "23514"):  # a trigger speaks before the policy
                continue
            if act == "change" and answer == "23514":  # here too, after the row was found
                outcome = "refused" if expected == "refused" else "done"
            self.cells[act] += 1
            if expected != outcome:
                self.failures.append(f"{action or '-'} as {role}: {act} {table} {row}: expected {expected}, got {answer}")

    def _any(self, table: str, row: str, acts: tuple[str, ...], action: str, grants: Grants, **how: bool) -> bool:
        if action == "system":
            return True
        return any(line.holds(self.service, action, grants, row, **how) for line in self.lines[table] if line.act in acts)

    def _sees(self, table: str, row: str, action: str, grants: Grants) -> bool:
        """By the lines, or by one of the four policies that are written out."""
        name, known = self.service, action in actions_of(self.service)
        place = self.places.get((table, row))
        if table == "permission_rows":
            return True
        if table in ("situations", "answered_requests") and known and place is not None and held(grants, place):
            return True
        state = "installation" if place is None else "situation"
        if table == "audit_entries" and action == "audit.read" and allows(name, action, held(grants, place), "any", state):
            return True
        if table == "revisions" and action != "system" and not self._sees("incidents", self.incidents[row], action, grants):
            return False
        return self._any(table, row, ("see",), action, grants)

    def _expected(self, table: str, row: str, act: str, action: str, grants: Grants) -> str:
        if act == "add":
            return "done" if self._any(table, row, ("add",), action, grants, added=True) else "refused"
        if not self._sees(table, row, action, grants):
            return "hidden"
        if act == "remove":
            return "done" if self._any(table, row, ("remove",), action, grants) else "hidden"
        if not self._any(table, row, ("lock", "change"), action, grants):
            return "hidden"
        if act == "lock":
            return "done"
        return "done" if self._any(table, row, ("change",), action, grants, fully=False, added=True) else "refused"

    async def find_places(self) -> None:
        """Remember where rows are."""
        self.places: dict[tuple[str, str], str | None] = {}
        for table, place in (("situations", "code"), ("answered_requests", "situation"), ("audit_entries", "situation")):
            for row in await self.superuser.fetch(f"select ctid::text, {place} from {table}"):  # noqa: S608
                self.places[table, row[0]] = row[1]
        self.incidents: dict[str, str] = {}
        if "revisions" in self.rows:  # intake's are seen where their incident is
            join = "select r.ctid::text, i.ctid::text from revisions r join incidents i using (situation, incident)"
            self.incidents = {row[0]: row[1] for row in await self.superuser.fetch(join)}


_TABLES: Final = """
    select case nspname when 'public' then '' else nspname || '.' end || relname from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname not like 'pg\\_%' and nspname <> 'information_schema' order by 1
"""
_COLUMNS: Final = "select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum"
_CHANGEABLE: Final = """
    select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attidentity = ''
        and has_column_privilege($2, attrelid, attnum, 'update') order by attnum limit 1
"""


async def matrix_of(server: PostgresServer, owner: asyncpg.Connection, *, service: str, own: str, subject: str) -> SqlMatrix:
    """Open the database that a running service has filled, once as a superuser and once in the service's role."""
    name = await owner.fetchval("select current_database()")
    superuser = await asyncpg.connect(server.superuser_url(name))
    app = await asyncpg.connect(server.service_database(service, name).app_url)
    made = SqlMatrix(service, own, superuser, app, subject)
    await made.prepare()
    await made.find_places()
    return made


async def in_full(matrix: SqlMatrix, say: Property) -> None:
    try:
        await matrix.run()
        say("said", f"{matrix.cells.total()} cells of {len(matrix.rows)} tables: {dict(matrix.cells)}")
        assert matrix.failures[:20] == []
        assert matrix.empty == []
        alone = {table for table, lines in matrix.lines.items() if not lines and table != "permission_rows"}
        assert {"revisions of the schema" if table == f"{matrix.service}_revisions" else table for table in alone} == set(PLUMBING)
        assert matrix.cells.total() >= FEWEST[matrix.service]
    finally:
        await matrix.app.close()
        await matrix.superuser.close()


async def of_intake(server: PostgresServer, running: RunningIntake) -> SqlMatrix:
    await intake_matrix(running)
    subject = await running.owner.fetchval("select 'monitor:' || encode(submitter, 'hex') from incidents limit 1")
    return await matrix_of(server, running.owner, service="intake", own="XAA", subject=subject)


async def test_intake(intake: RunningIntake, postgres_server: PostgresServer, record_property: Property) -> None:
    await in_full(await of_intake(postgres_server, intake), record_property)


async def test_verification(vetting: RunningVerification, postgres_server: PostgresServer, record_property: Property) -> None:
    await verification_matrix(vetting)
    await in_full(await matrix_of(postgres_server, vetting.owner, service="verification", own="XAA", subject="tomas"), record_property)


async def test_aggregation(aggregation: RunningAggregation, postgres_server: PostgresServer, record_property: Property) -> None:
    await aggregation_matrix(aggregation)
    await in_full(await matrix_of(postgres_server, aggregation.owner, service="aggregation", own="XAA", subject="olga"), record_property)


async def test_export(export: RunningExport, postgres_server: PostgresServer, record_property: Property) -> None:
    await export_matrix(export)
    await in_full(await matrix_of(postgres_server, export.owner, service="export", own="AFG", subject="olga"), record_property)


HOLES: Final = {
    "policy dropped": (
        'drop policy "see submission.draft submission.edit submission.read submission.approve s" on submissions',
        "submissions",
    ),
    "policy added": ("create policy more on submissions for select using (true)", "submissions"),
    "off on one table": ("alter table approvals disable row level security", "approvals"),
    "owner connection": (
        "grant export_owner to export_app; alter table approvals no force row level security; alter role export_app set role export_owner",
        "approvals",
    ),
    "superuser connection": ("alter role export_app superuser", "sessions"),
    "BYPASSRLS": ("alter role export_app bypassrls", "sessions"),
}
"""What is planted, and a table at which it is seen."""


async def test_planted_holes_are_seen(export: RunningExport, postgres_server: PostgresServer) -> None:
    for hole, (statements, table) in HOLES.items():
        matrix = await matrix_of(postgres_server, export.owner, service="export", own="AFG", subject="olga")
        await matrix.superuser.execute(statements)
        await matrix.app.close()
        matrix.app = await asyncpg.connect(export.database.app_url)
        try:
            await matrix.run(to_first=True)
            assert any(f" {table} " in failure for failure in matrix.failures), hole
        finally:
            await matrix.app.close()
            await matrix.superuser.execute(
                "alter role export_app nosuperuser nobypassrls; alter role export_app reset role; revoke export_owner from export_app"
            )
            await matrix.superuser.close()
            await asyncio.to_thread(upgrade, "export", migrations(export.database))
    matrix = await matrix_of(postgres_server, export.owner, service="export", own="AFG", subject="olga")
    try:
        await matrix.run()
        assert matrix.failures[:20] == [], "what was closed again is closed"
    finally:
        await matrix.app.close()
        await matrix.superuser.close()
