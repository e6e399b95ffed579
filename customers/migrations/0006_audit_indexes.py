from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    # The log is large, and everybody writes to it: its indexes are made beside that.
    atomic = False

    dependencies = [
        ('customers', '0005_signing_in'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='auditevent',
            index=models.Index(fields=['-at', '-id'], name='customers_audit_by_at'),
        ),
        AddIndexConcurrently(
            model_name='auditevent',
            index=models.Index(fields=['actor', '-at', '-id'], name='customers_audit_by_actor'),
        ),
        AddIndexConcurrently(
            model_name='auditevent',
            index=models.Index(fields=['action', '-at', '-id'], name='customers_audit_by_action'),
        ),
        AddIndexConcurrently(
            model_name='auditevent',
            index=models.Index(condition=models.Q(('subject', ''), _negated=True), fields=['subject', '-at', '-id'], name='customers_audit_by_subject'),
        ),
        AddIndexConcurrently(
            model_name='auditevent',
            index=models.Index(condition=models.Q(('outcome', 'done'), _negated=True), fields=['-at', '-id'], name='customers_audit_not_done'),
        ),
    ]
