from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0020_invoice_guards")]

    operations = [run_sql_file(__file__)]
