import django.db.models.deletion
import django.utils.timezone
import ledger.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0002_audit_append_only'),
        ('ledger', '0003_invariants'),
    ]

    operations = [
        migrations.CreateModel(
            name='CreditRequest',
            fields=[
                ('id', models.CharField(default=ledger.models.new_credit_request_id, editable=False, max_length=30, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('grant', 'Grant'), ('adjustment_in', 'Adjustment In'), ('adjustment_out', 'Adjustment Out')], max_length=14)),
                ('amount', models.BigIntegerField()),
                ('reference', models.CharField(max_length=300)),
                ('about', models.CharField(blank=True, default='', max_length=300)),
                ('request_id', models.CharField(blank=True, default='', max_length=255)),
                ('reason', models.CharField(max_length=600)),
                ('evidence_url', models.URLField(blank=True, default='', max_length=1000)),
                ('basis', models.CharField(choices=[('two_people', 'Two People'), ('pilot', 'Pilot'), ('sandbox', 'Sandbox')], max_length=10)),
                ('state', models.CharField(choices=[('requested', 'Requested'), ('approved', 'Approved'), ('rejected', 'Rejected')], default='requested', max_length=9)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('decided_at', models.DateTimeField(editable=False, null=True)),
                ('note', models.CharField(blank=True, default='', max_length=600)),
            ],
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.UniqueConstraint(condition=models.Q(('kind__in', ['adjustment_in', 'adjustment_out'])), fields=('reference',), name='credit_ledger_adjustment_once'),
        ),
        migrations.AddField(
            model_name='creditrequest',
            name='decided_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='creditrequest',
            name='requested_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='creditrequest',
            name='wallet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_requests', to='ledger.wallet'),
        ),
        migrations.AddIndex(
            model_name='creditrequest',
            index=models.Index(condition=models.Q(('state', 'requested')), fields=['id'], name='ledger_creditrequest_open'),
        ),
        migrations.AddIndex(
            model_name='creditrequest',
            index=models.Index(condition=models.Q(('about', ''), _negated=True), fields=['about'], name='ledger_creditrequest_about'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['grant', 'adjustment_in', 'adjustment_out'])), name='ledger_creditrequest_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['requested', 'approved', 'rejected'])), name='ledger_creditrequest_state_known'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='ledger_creditrequest_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(('reference', ''), _negated=True), name='ledger_creditrequest_reference_given'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='ledger_creditrequest_reason_given'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('state', 'requested')), models.Q(models.Q(('state', 'requested'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='ledger_creditrequest_decided_when'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('basis', 'two_people'), _negated=True), models.Q(('requested_by__isnull', False), models.Q(('state', 'requested'), models.Q(('decided_by__isnull', False), models.Q(('decided_by', models.F('requested_by')), _negated=True)), _connector='OR')), _connector='OR'), name='ledger_creditrequest_two_people'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(('basis', 'two_people'), models.Q(('basis__in', ['pilot', 'sandbox']), ('kind', 'grant'), ('state', 'approved')), _connector='OR'), name='ledger_creditrequest_basis_known'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('basis', 'pilot'), _negated=True), ('amount__lte', 100000), _connector='OR'), name='ledger_creditrequest_pilot_cap'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.UniqueConstraint(condition=models.Q(('basis', 'pilot')), fields=('wallet',), name='ledger_creditrequest_pilot_once'),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'rejected'), _negated=True), fields=('reference',), name='ledger_creditrequest_reference_once'),
        ),
    ]
