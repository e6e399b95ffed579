import django.db.models.deletion
from django.db import migrations, models

from sora2.migration_sql import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0012_seals_append_only")]

    operations = [
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.UniqueConstraint(fields=["reference", "kind"], name="credit_ledger_once"),
        ),
        *(
            migrations.RemoveConstraint(model_name="entry", name=f"credit_ledger_{kind}_once")
            for kind in ("grant", "reserve", "settle", "refund", "adjustment")
        ),
        migrations.RemoveConstraint(model_name="entry", name="credit_ledger_kind_known"),
        migrations.RemoveConstraint(model_name="wallet", name="ledger_wallet_mode_known"),
        migrations.AlterField(
            model_name="entry",
            name="wallet",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="ledger.wallet",
            ),
        ),
        migrations.AlterField(
            model_name="wallet",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="wallets",
                to="customers.organization",
            ),
        ),
        run_sql_file(__file__),
    ]
