import customers.handover_models
import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0009_plans'),
    ]

    operations = [
        migrations.CreateModel(
            name='Handover',
            fields=[
                ('id', models.CharField(default=customers.handover_models.new_handover_id, editable=False, max_length=30, primary_key=True, serialize=False)),
                ('title', models.CharField(max_length=100)),
                ('names', models.JSONField(default=list)),
                ('content_encrypted', models.TextField(editable=False)),
                ('token_sha256', models.CharField(editable=False, max_length=64, unique=True)),
                ('made_by', models.CharField(max_length=40)),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField()),
                ('revealed_at', models.DateTimeField(editable=False, null=True)),
                ('withdrawn_at', models.DateTimeField(editable=False, null=True)),
            ],
        ),
        migrations.AddField(
            model_name='handover',
            name='organization',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='handovers', to='customers.organization'),
        ),
        migrations.AddConstraint(
            model_name='handover',
            constraint=models.CheckConstraint(condition=models.Q(('content_encrypted', ''), models.Q(('revealed_at', None), ('withdrawn_at', None)), _connector='OR'), name='customers_handover_wiped'),
        ),
    ]
