import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0004_preflights'),
    ]

    operations = [
        migrations.AddField(
            model_name='pilot',
            name='closed_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='pilot',
            name='closed_by',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='pilot',
            name='lesson',
            field=models.TextField(blank=True, db_default='', default='', editable=False),
        ),
        migrations.AddField(
            model_name='pilot',
            name='outcome',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=9),
        ),
        migrations.AddField(
            model_name='pilot',
            name='override_reason',
            field=models.CharField(blank=True, db_default='not recorded', default='', max_length=600),
        ),
        migrations.AddField(
            model_name='pilot',
            name='preflight',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='pilots', to='pilots.preflight'),
        ),
        migrations.AddConstraint(
            model_name='pilot',
            constraint=models.CheckConstraint(condition=models.Q(('preflight__isnull', False), models.Q(('override_reason', ''), _negated=True), _connector='OR'), name='pilots_pilot_preflight_or_reason'),
        ),
        migrations.AddConstraint(
            model_name='pilot',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('closed_by', None), ('outcome', '')), models.Q(('closed_at__isnull', False), ('closed_by__isnull', False), models.Q(('outcome', ''), _negated=True)), _connector='OR'), name='pilots_pilot_closed_whole'),
        ),
        migrations.AddConstraint(
            model_name='pilot',
            constraint=models.CheckConstraint(condition=models.Q(('deadline__gt', models.F('activated_at'))), name='pilots_pilot_has_time'),
        ),
    ]
