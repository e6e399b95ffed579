from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0016_day_figures_invariant'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('failed__gt', 0)), fields=['organization', 'mode', 'failed'], name='batches_batch_with_failures'),
        ),
        migrations.AddIndex(
            model_name='item',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['batch'], name='batches_item_unrefunded'),
        ),
    ]
