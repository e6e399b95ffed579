from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """An index on what request ids begin with, made while batches are written."""

    atomic = False

    dependencies = [
        ("batches", "0017_refund_coverage"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="batch",
            index=models.Index(
                fields=["request_id"], name="batches_batch_by_request_id", opclasses=["varchar_pattern_ops"]
            ),
        ),
    ]
