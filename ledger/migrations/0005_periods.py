import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0004_credit_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='wallet',
            name='closed_until',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name='Period',
            fields=[
                ('month', models.CharField(help_text='such as 2026-10', max_length=7, primary_key=True, serialize=False)),
                ('starts_at', models.DateTimeField(unique=True)),
                ('ends_at', models.DateTimeField(unique=True)),
                ('closed_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name='PeriodBalance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('available', models.BigIntegerField()),
                ('reserved', models.BigIntegerField()),
                ('settled', models.BigIntegerField()),
                ('last_seq', models.BigIntegerField()),
                ('head_hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.AddField(
            model_name='period',
            name='closed_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='periodbalance',
            name='period',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='balances', to='ledger.period'),
        ),
        migrations.AddField(
            model_name='periodbalance',
            name='wallet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.wallet'),
        ),
        migrations.AddConstraint(
            model_name='period',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='ledger_period_has_length'),
        ),
        migrations.AddConstraint(
            model_name='periodbalance',
            constraint=models.UniqueConstraint(fields=('period', 'wallet'), name='ledger_periodbalance_once'),
        ),
    ]
