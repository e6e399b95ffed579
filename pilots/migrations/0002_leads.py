import pilots.lead_models
import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0001_initial'),
        ('customers', '0010_handovers'),
    ]

    operations = [
        migrations.CreateModel(
            name='Lead',
            fields=[
                ('id', models.CharField(default=pilots.lead_models.new_lead_id, editable=False, max_length=30, primary_key=True, serialize=False)),
                ('company', models.CharField(max_length=200)),
                ('contact_name', models.CharField(max_length=150)),
                ('contact_email', models.EmailField(max_length=254)),
                ('stage', models.CharField(choices=[('cold_mail', 'Cold Mail'), ('reply', 'Reply'), ('call', 'Call'), ('pilot', 'Pilot'), ('contract', 'Contract')], default='cold_mail', max_length=10)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('lost_at', models.DateTimeField(editable=False, null=True)),
                ('lost_reason', models.CharField(blank=True, max_length=600)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='lead', to='customers.organization')),
            ],
        ),
        migrations.CreateModel(
            name='LeadStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('stage', models.CharField(choices=[('cold_mail', 'Cold Mail'), ('reply', 'Reply'), ('call', 'Call'), ('pilot', 'Pilot'), ('contract', 'Contract')], max_length=10)),
                ('note', models.CharField(blank=True, max_length=600)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('lead', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='pilots.lead')),
            ],
        ),
        migrations.CreateModel(
            name='Signal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(choices=[('more_concurrency', 'Can concurrency be higher?'), ('more_events', 'Can we get another webhook event?'), ('contract_or_sla', 'Do we need a contract / SLA?'), ('asks_pricing', 'The customer asks about pricing by itself'), ('asks_pilot', 'The customer asks for a pilot'), ('asks_prepaid', 'The customer asks about enterprise prepaid'), ('finance_approves', 'The customer says: finance team needs to approve'), ('only_price', 'The customer asks about the price only, not what it does'), ('free_thousand', 'The customer wants to try 1000 for free'), ('just_looking', 'The customer says: we are just looking')], max_length=20)),
                ('note', models.CharField(blank=True, max_length=600)),
                ('seen_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='signal',
            name='lead',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='signals', to='pilots.lead'),
        ),
        migrations.AddField(
            model_name='signal',
            name='organization',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='signals', to='customers.organization'),
        ),
        migrations.AddField(
            model_name='signal',
            name='recorded_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='lead',
            index=models.Index(fields=['stage', '-id'], name='pilots_lead_by_stage'),
        ),
        migrations.AddConstraint(
            model_name='lead',
            constraint=models.CheckConstraint(condition=models.Q(('stage__in', ['cold_mail', 'reply', 'call', 'pilot', 'contract'])), name='pilots_lead_stage_known'),
        ),
        migrations.AddConstraint(
            model_name='lead',
            constraint=models.CheckConstraint(condition=models.Q(('lost_at', None), models.Q(('lost_reason', ''), _negated=True), _connector='OR'), name='pilots_lead_lost_with_reason'),
        ),
        migrations.AddIndex(
            model_name='leadstep',
            index=models.Index(fields=['lead', '-at', '-id'], name='pilots_leadstep_by_lead'),
        ),
        migrations.AddIndex(
            model_name='signal',
            index=models.Index(fields=['organization', '-seen_at'], name='pilots_signal_by_org'),
        ),
        migrations.AddConstraint(
            model_name='signal',
            constraint=models.CheckConstraint(condition=models.Q(('lead__isnull', False), ('organization__isnull', False), _connector='OR'), name='pilots_signal_about_somebody'),
        ),
    ]
