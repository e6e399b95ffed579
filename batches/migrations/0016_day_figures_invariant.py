from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("batches", "0015_sign_off_guards"), ("ledger", "0017_wallet_days")]

    operations = [run_sql_file(__file__)]
