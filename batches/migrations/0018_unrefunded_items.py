from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0017_batch_totals'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='item',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['batch'], name='batches_item_unrefunded'),
        ),
    ]
