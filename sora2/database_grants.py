"""Give the role that the system runs as exactly the rights that sora2.database_role lists, and look that it is so."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction
from psycopg.sql import Identifier

from sora2.database_role import EVERY, TABLES, Columns


class RoleRefused(Exception):
    """The role cannot be given exactly its rights; the message says why, and nothing has changed."""


# What belongs to the current user in the schema of the tables; `called` is how SQL names it. What an extension brought
# is not ours. Functions of triggers, and what runs as its owner, are apart: nobody needs the right to call them.
OURS = """
    WITH ours AS (
        SELECT thing.* FROM (
            SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
                   c.oid, c.tableoid AS catalog, c.relname AS name, quote_ident(c.relname) AS called,
                   c.relowner AS owner
            FROM pg_class c
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            UNION ALL
            SELECT CASE WHEN p.prosecdef OR p.prorettype = 'trigger'::regtype THEN 'trigger' ELSE 'function' END,
                   p.oid, p.tableoid, p.proname, p.oid::regprocedure::text, p.proowner
            FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
        ) thing
        WHERE pg_has_role(thing.owner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = thing.catalog AND d.objid = thing.oid AND d.deptype = 'e')
    )
"""
OWNED = f"{OURS} SELECT kind, name, called FROM ours ORDER BY kind, name"  # noqa: S608 - a constant of ours.
OBJECTS = {"table": "TABLE", "view": "TABLE", "sequence": "SEQUENCE", "function": "FUNCTION", "trigger": "FUNCTION"}
PLACE = "SELECT current_database(), current_schema()"

# What a role can do, of its own, as a member of others, or as everybody: each right in words, `UPDATE on table.column`.
EFFECTIVE = f"""
    {OURS}
    SELECT v.attribute FROM pg_roles r CROSS JOIN LATERAL (VALUES
        ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
        ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls)) v (attribute, granted)
    WHERE r.rolname = %(role)s AND v.granted
    UNION ALL
    SELECT 'the rights of ' || o.rolname FROM pg_roles o
    WHERE o.oid IN (SELECT owner FROM ours UNION SELECT datdba FROM pg_database WHERE datname = current_database())
      AND pg_has_role(%(role)s, o.oid, 'MEMBER')
    UNION ALL
    SELECT p || ' on the database' FROM unnest('{{CONNECT,CREATE,TEMPORARY}}'::text[]) p
    WHERE has_database_privilege(%(role)s, current_database(), p)
    UNION ALL
    SELECT p || ' on the schema ' || n.nspname FROM pg_namespace n CROSS JOIN unnest('{{CREATE,USAGE}}'::text[]) p
    WHERE n.nspname !~ '^(pg_|information_schema$)' AND (p = 'CREATE' OR n.nspname = current_schema())
      AND has_schema_privilege(%(role)s, n.oid, p)
    UNION ALL
    SELECT p || ' on ' || t.name FROM ours t
    CROSS JOIN unnest('{{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}}'::text[]) p
    WHERE t.kind IN ('table', 'view') AND has_table_privilege(%(role)s, t.oid, p)
    UNION ALL
    SELECT p || ' on ' || t.name || '.' || a.attname FROM ours t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN unnest('{{SELECT,INSERT,UPDATE,REFERENCES}}'::text[]) p
    WHERE t.kind IN ('table', 'view') AND has_column_privilege(%(role)s, t.oid, a.attnum, p)
      AND NOT has_table_privilege(%(role)s, t.oid, p)
    UNION ALL
    SELECT p || ' on ' || s.name FROM ours s CROSS JOIN unnest('{{SELECT,USAGE,UPDATE}}'::text[]) p
    WHERE s.kind = 'sequence' AND has_sequence_privilege(%(role)s, s.oid, p)
    UNION ALL
    SELECT 'EXECUTE on ' || f.name FROM ours f
    WHERE f.kind IN ('function', 'trigger') AND has_function_privilege(%(role)s, f.oid, 'EXECUTE')
"""  # noqa: S608 - a constant of ours.


@dataclass(frozen=True)
class Owned:
    """Something of the current user's in the schema of the tables, and how SQL calls it."""

    kind: str
    name: str
    called: str

    def rights(self) -> Iterator[tuple[str, Columns]]:
        """Yield what the role is to have on it: each verb with its columns."""
        if self.kind == "function":
            yield "EXECUTE", EVERY
        if self.kind == "view":
            yield "SELECT", EVERY
        if self.kind == "table" and self.name in TABLES:
            rights = TABLES[self.name]
            yield "SELECT", EVERY
            yield "INSERT", rights.insert
            yield "UPDATE", rights.update
            yield "DELETE", EVERY if rights.delete else ()


def establish(*, role: str) -> bool:
    """Create the role if it is missing, and give it exactly its rights; return whether it was created.

    To be called as the tables' owner, again after each release. Raises RoleRefused; then nothing has changed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        is_new = not _exists(role)
        for statement in statements(role=role):
            cursor.execute(statement)
        excess, lack = differences(role=role)
        if excess:
            raise RoleRefused(f"{role} would have, and must not have: {', '.join(sorted(excess))}.")
        if lack:
            raise RoleRefused(f"{role} would lack: {', '.join(sorted(lack))}.")
    return is_new


def statements(*, role: str) -> list[str]:
    """Return the SQL that gives the role exactly its rights. Raises RoleRefused to who does not own the tables."""
    owned = _owned()
    missing = TABLES.keys() - {thing.name for thing in owned}
    if missing:
        raise RoleRefused(
            "Connect as the tables' owner, to a migrated database. Missing here, or somebody else's: "
            f"{', '.join(sorted(missing))}."
        )
    name = _quoted(role)
    created = [] if _exists(role) else [f"CREATE ROLE {name} LOGIN"]
    return [*created, *_on_place(name), *(statement for thing in owned for statement in _on_thing(name, thing))]


def differences(*, role: str) -> tuple[set[str], set[str]]:
    """Return what the role can do and must not, by whatever way it came to that, and what it must and cannot."""
    with connection.cursor() as cursor:
        cursor.execute(EFFECTIVE, {"role": role})
        effective = {right for (right,) in cursor.fetchall()}
    wanted = set(_wanted())
    return effective - wanted, wanted - effective


def _on_place(name: str) -> list[str]:
    database, schema = map(_quoted, _place())
    return [
        # With a table of its own, even a temporary one, it could lay traps: a name of ours, or a trigger's function.
        f"REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC",
        f"REVOKE ALL ON DATABASE {database} FROM {name}",
        f"GRANT CONNECT ON DATABASE {database} TO {name}",
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        f"REVOKE ALL ON SCHEMA {schema} FROM {name}",
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
    ]


def _on_thing(name: str, thing: Owned) -> Iterator[str]:
    on = f"{OBJECTS[thing.kind]} {thing.called}"
    if thing.kind != "function":  # Whoever reads a view calls those.
        yield f"REVOKE ALL ON {on} FROM PUBLIC, {name}"
    granted = [
        verb if columns == EVERY else f"{verb} ({', '.join(map(_quoted, columns))})"
        for verb, columns in thing.rights()
        if columns
    ]
    if granted:
        yield f"GRANT {', '.join(granted)} ON {on} TO {name}"


def _wanted() -> Iterator[str]:
    """Yield the rights that the role is to have, in the words of EFFECTIVE."""
    yield from ("CONNECT on the database", f"USAGE on the schema {_place()[1]}")
    for thing in _owned():
        for verb, columns in thing.rights():
            yield from (f"{verb} on {thing.name}" + ("" if columns == EVERY else f".{each}") for each in columns)


def _owned() -> list[Owned]:
    with connection.cursor() as cursor:
        cursor.execute(OWNED)
        return [Owned(*row) for row in cursor.fetchall()]


def _place() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(PLACE)
        database, schema = cursor.fetchone()
    return database, schema


def _exists(role: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        return cursor.fetchone() is not None


def _quoted(name: str) -> str:
    return Identifier(name).as_string(None)
