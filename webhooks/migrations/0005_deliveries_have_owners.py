from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0004_health_and_replay")]

    operations = [run_sql_file(__file__)]
