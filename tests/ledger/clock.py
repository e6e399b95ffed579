"""A clock for tests about months. PostgreSQL dates entries by a clock of its own, which nothing outside turns."""

from django.db import connection

from tests.as_role import as_owner

# Functions that look at the clock find this one before PostgreSQL's. A test's transaction takes it all back.
INSTALL = """
    CREATE OR REPLACE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS $$ SELECT current_setting('tests.now')::timestamptz $$;
    ALTER FUNCTION ledger_post() SET search_path = public, pg_catalog, pg_temp;
    ALTER FUNCTION ledger_close_period() SET search_path = public, pg_catalog, pg_temp;
    ALTER FUNCTION ledger_issue_invoice() SET search_path = public, pg_catalog, pg_temp;
"""
REMOVE = """
    ALTER FUNCTION ledger_post() SET search_path = public, pg_temp;
    ALTER FUNCTION ledger_close_period() SET search_path = public, pg_temp;
    ALTER FUNCTION ledger_issue_invoice() SET search_path = public, pg_temp;
    DROP FUNCTION public.clock_timestamp();
"""


def turn_to(now: str) -> None:
    """Make it `now`, a time with its zone, for postings, closes and invoices in the test's transaction."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(INSTALL)
        cursor.execute("SELECT set_config('tests.now', %s, true)", [now])


def turn_back() -> None:
    """Give PostgreSQL its own clock back, in a transaction that will be committed."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(REMOVE)
