import pilots.mail_models
import django.db.models.deletion
import django.utils.timezone
import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0002_leads'),
    ]

    operations = [
        migrations.CreateModel(
            name='SalesMail',
            fields=[
                ('id', models.CharField(default=pilots.mail_models.new_mail_id, editable=False, max_length=30, primary_key=True, serialize=False)),
                ('template', models.CharField(max_length=30)),
                ('recipients', django.contrib.postgres.fields.ArrayField(base_field=models.EmailField(max_length=254), size=None)),
                ('subject', models.CharField(max_length=300)),
                ('body', models.TextField()),
                ('way', models.CharField(choices=[('sent', 'Sent'), ('copied', 'Copied')], max_length=6)),
                ('created_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('fault', models.CharField(blank=True, max_length=300)),
            ],
        ),
        migrations.AddField(
            model_name='salesmail',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='salesmail',
            name='lead',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='mails', to='pilots.lead'),
        ),
        migrations.AddField(
            model_name='salesmail',
            name='organization',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sales_mails', to='customers.organization'),
        ),
        migrations.AddIndex(
            model_name='salesmail',
            index=models.Index(fields=['organization', '-id'], name='pilots_salesmail_by_org'),
        ),
        migrations.AddIndex(
            model_name='salesmail',
            index=models.Index(fields=['lead', '-id'], name='pilots_salesmail_by_lead'),
        ),
        migrations.AddConstraint(
            model_name='salesmail',
            constraint=models.CheckConstraint(condition=models.Q(('lead__isnull', False), ('organization__isnull', False), _connector='OR'), name='pilots_salesmail_to_somebody'),
        ),
    ]
