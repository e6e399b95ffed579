import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0006_failures'),
    ]

    operations = [
        migrations.CreateModel(
            name='Tick',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('item', models.CharField(max_length=40)),
                ('side', models.CharField(choices=[('customer', 'Customer'), ('staff', 'Staff')], max_length=8)),
                ('note', models.CharField(blank=True, max_length=600)),
                ('ticked_at', models.DateTimeField()),
                ('undone_at', models.DateTimeField(editable=False, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='ReviewAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('question', models.CharField(max_length=40)),
                ('answer', models.TextField()),
                ('answered_by', models.CharField(blank=True, max_length=150)),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='tick',
            name='pilot',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ticks', to='pilots.pilot'),
        ),
        migrations.AddField(
            model_name='tick',
            name='ticked_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='tick',
            name='undone_by',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='reviewanswer',
            name='pilot',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='answers', to='pilots.pilot'),
        ),
        migrations.AddField(
            model_name='reviewanswer',
            name='recorded_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='tick',
            constraint=models.UniqueConstraint(condition=models.Q(('undone_at', None)), fields=('pilot', 'item'), name='pilots_tick_once'),
        ),
        migrations.AddIndex(
            model_name='reviewanswer',
            index=models.Index(fields=['pilot', 'question', '-at'], name='pilots_reviewanswer_latest'),
        ),
    ]
