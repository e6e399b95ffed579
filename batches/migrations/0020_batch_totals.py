from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """An index that holds what the list of batches adds up, made while batches are written."""

    atomic = False

    dependencies = [
        ("batches", "0019_items_by_custom_id"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="batch",
            index=models.Index(
                fields=["organization", "mode", "state"],
                include=["total", "credits", "settled", "refunded"],
                name="batches_batch_totals",
            ),
        ),
    ]
