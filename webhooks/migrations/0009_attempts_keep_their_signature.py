from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0008_events_by_type'),
    ]

    operations = [
        migrations.AddField(
            model_name='attempt',
            name='signature',
            field=models.CharField(blank=True, db_default='', max_length=200),
        ),
    ]
