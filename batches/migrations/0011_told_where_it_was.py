from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("batches", "0010_overdue"), ("webhooks", "0007_telling_is_explained")]

    operations = [run_sql_file(__file__)]
