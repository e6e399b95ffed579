from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """An index on the custom ids of items, made while items are written."""

    atomic = False

    dependencies = [
        ("batches", "0018_batches_by_request_id"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="item",
            index=models.Index(
                condition=models.Q(("custom_id", ""), _negated=True),
                fields=["custom_id", "batch"],
                name="batches_item_by_custom_id",
            ),
        ),
    ]
