from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0006_deliveries_have_owners_always")]

    operations = [run_sql_file(__file__)]
