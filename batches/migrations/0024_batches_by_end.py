from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """An index on when an organization's batches ended, made while batches are written."""

    atomic = False

    dependencies = [
        ("batches", "0023_sla_probes_append_only"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="batch",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["organization", "mode", "finished_at"],
                include=["total", "succeeded", "failed", "refunded"],
                name="batches_batch_by_end",
            ),
        ),
    ]
