from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """An index on who ordered a batch, made while batches are written."""

    atomic = False

    dependencies = [
        ("batches", "0020_batch_totals"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="batch",
            index=models.Index(
                fields=["created_by", "-id"],
                include=["organization", "mode", "state", "total", "credits", "settled", "refunded"],
                name="batches_batch_by_maker",
            ),
        ),
    ]
