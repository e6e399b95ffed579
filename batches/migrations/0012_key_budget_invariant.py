from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("batches", "0011_told_where_it_was"), ("ledger", "0015_key_budgets")]

    operations = [run_sql_file(__file__)]
