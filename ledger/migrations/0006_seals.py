import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_periods'),
    ]

    operations = [
        migrations.CreateModel(
            name='Seal',
            fields=[
                ('number', models.BigIntegerField(primary_key=True, serialize=False)),
                ('sealed_at', models.DateTimeField()),
                ('wallets', models.BigIntegerField()),
                ('root', models.CharField(max_length=64)),
                ('previous', models.CharField(max_length=64)),
                ('body', models.TextField()),
                ('signature', models.CharField(max_length=88)),
                ('key_id', models.CharField(max_length=16)),
            ],
        ),
        migrations.CreateModel(
            name='SealLeaf',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq', models.BigIntegerField()),
                ('head_hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.AddField(
            model_name='sealleaf',
            name='seal',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='leaves', to='ledger.seal'),
        ),
        migrations.AddField(
            model_name='sealleaf',
            name='wallet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.wallet'),
        ),
        migrations.AddConstraint(
            model_name='sealleaf',
            constraint=models.UniqueConstraint(fields=('wallet', 'seal'), name='ledger_sealleaf_once'),
        ),
    ]
