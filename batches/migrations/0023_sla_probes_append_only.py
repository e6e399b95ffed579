from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("batches", "0022_sla_probes")]

    operations = [run_sql_file(__file__)]
