from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0014_quick_guards"), ("customers", "0004_keys")]

    operations = [run_sql_file(__file__)]
