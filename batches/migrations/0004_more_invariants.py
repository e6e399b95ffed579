from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0003_invariants"),
        ("ledger", "0012_seals_append_only"),
        ("webhooks", "0002_events_are_fixed"),
    ]

    operations = [run_sql_file(__file__)]
