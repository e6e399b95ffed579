from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0006_seals'),
    ]

    operations = [
        migrations.AddField(
            model_name='reconciliationrun',
            name='counts',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='reconciliationrun',
            name='figures',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='reconciliationrun',
            name='items',
            field=models.BigIntegerField(default=0),
        ),
    ]
