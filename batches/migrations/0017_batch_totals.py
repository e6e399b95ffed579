from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0016_day_figures_invariant'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(fields=['organization', 'mode', 'state', '-id'], include=('created_at', 'total', 'credits', 'settled', 'refunded', 'failed'), name='batches_batch_totals'),
        ),
        migrations.RemoveIndex(
            model_name='batch',
            name='batches_batch_by_state',
        ),
    ]
