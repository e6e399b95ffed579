import pilots.preflight_models
import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0003_sales_mails'),
    ]

    operations = [
        migrations.CreateModel(
            name='Preflight',
            fields=[
                ('id', models.CharField(default=pilots.preflight_models.new_preflight_id, editable=False, max_length=30, primary_key=True, serialize=False)),
                ('requested_at', models.DateTimeField()),
                ('requested_by', models.CharField(max_length=40)),
                ('started_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('ok', models.BooleanField(null=True)),
                ('checks', models.JSONField(default=list)),
                ('organization', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='customers.organization')),
            ],
        ),
        migrations.AddConstraint(
            model_name='preflight',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('ok', None)), models.Q(('ended_at__isnull', False), ('ok__isnull', False)), _connector='OR'), name='pilots_preflight_ended_with_word'),
        ),
    ]
