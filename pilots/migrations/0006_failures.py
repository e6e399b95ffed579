import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0005_pilot_basis_and_end'),
    ]

    operations = [
        migrations.CreateModel(
            name='PilotFailure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('condition', models.PositiveSmallIntegerField(choices=[(1, 'No batch ran in time'), (2, 'The webhook did not arrive, or was misunderstood'), (3, 'Finance could not complete the reconciliation'), (4, 'Somebody had to ask: “Is the demo the same as the API?”')])),
                ('note', models.CharField(max_length=600)),
                ('recorded_at', models.DateTimeField()),
                ('withdrawn_at', models.DateTimeField(editable=False, null=True)),
                ('withdrawn_reason', models.CharField(blank=True, editable=False, max_length=600)),
                ('pilot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='failures', to='pilots.pilot')),
                ('recorded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('withdrawn_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name='pilotfailure',
            constraint=models.CheckConstraint(condition=models.Q(('condition__in', [2, 3, 4])), name='pilots_pilotfailure_of_people'),
        ),
        migrations.AddConstraint(
            model_name='pilotfailure',
            constraint=models.UniqueConstraint(condition=models.Q(('withdrawn_at', None)), fields=('pilot', 'condition'), name='pilots_pilotfailure_once'),
        ),
    ]
