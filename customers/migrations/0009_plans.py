import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0008_people_by_link'),
    ]

    operations = [
        migrations.CreateModel(
            name='PlanChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('plan_before', models.CharField(choices=[('pilot', 'Pilot'), ('enterprise', 'Enterprise')], max_length=10)),
                ('plan_after', models.CharField(choices=[('pilot', 'Pilot'), ('enterprise', 'Enterprise')], max_length=10)),
                ('contract_reference', models.CharField(max_length=100)),
                ('reason', models.CharField(max_length=600)),
                ('before', models.JSONField()),
                ('after', models.JSONField()),
            ],
        ),
        migrations.AddField(
            model_name='organization',
            name='plan',
            field=models.CharField(choices=[('pilot', 'Pilot'), ('enterprise', 'Enterprise')], db_default='pilot', default='pilot', editable=False, max_length=10),
        ),
        migrations.AddField(
            model_name='organization',
            name='support_response_hours',
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='planchange',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='planchange',
            name='organization',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plan_changes', to='customers.organization'),
        ),
        migrations.AddConstraint(
            model_name='organization',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('plan', 'pilot'), ('support_response_hours', None)), ('plan', 'enterprise'), _connector='OR'), name='customers_organization_plan_whole'),
        ),
        migrations.AddIndex(
            model_name='planchange',
            index=models.Index(fields=['organization', '-at'], name='customers_planchange_by_org'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(('plan_after', 'enterprise'), ('plan_before__in', ['pilot', 'enterprise'])), name='customers_planchange_forward'),
        ),
        migrations.AddConstraint(
            model_name='planchange',
            constraint=models.CheckConstraint(condition=models.Q(('contract_reference', ''), _negated=True), name='customers_planchange_contract'),
        ),
    ]
