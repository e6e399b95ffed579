from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0007_reconciliation_figures'),
    ]

    operations = [
        migrations.AddField(
            model_name='wallet',
            name='low_since',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='low_since_told',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='wallet',
            name='low_threshold',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='wallet',
            index=models.Index(condition=models.Q(('low_since__isnull', False)), fields=['id'], name='ledger_wallet_low'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('low_threshold__gte', 0)), name='ledger_wallet_low_threshold_not_negative'),
        ),
    ]
