"""Migrations in SQL: the statements stand in a .sql file of the same name, in `sql/` beside the migration."""

from pathlib import Path

from django.db import migrations


def run_sql_file(migration: str, *, reverse: str = migrations.RunSQL.noop) -> migrations.RunSQL:
    """Return the operation that runs `sql/<name>.sql` for the migration file `migration` (pass `__file__`)."""
    path = Path(migration)
    return migrations.RunSQL((path.parent / "sql" / f"{path.stem}.sql").read_text(), reverse)
