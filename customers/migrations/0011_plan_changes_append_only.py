from django.db import migrations

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("customers", "0010_handovers")]

    operations = [run_sql_file(__file__)]
