"""Orders are found by words of their buyers, by e-mail in any capitals, by amount and by payment.

What it costs where many pass. Two indexes on an e-mail address become one. Checkout writes the words
once, and an entry into three indexes more; each later change of an order writes the entries of all
indexes anew, since it changes indexed columns. New words wait in the index's list of pending ones,
which is sorted in some hundred orders at a time. See docs/decisions/2026-11-27-finding-orders.md.

The orders that there are get their words in batches, each committed by itself, so that the shop may
go on selling: an order that is made meanwhile by the old version gets none, and is found by all else.
"""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import migrations, models
from django.db.models.functions import Lower

from orders.services import finding

BATCH = 1_000
WRITE = """
UPDATE orders_order SET found_by = new.words::tsvector
FROM unnest(%s::uuid[], %s::text[]) AS new (id, words)
WHERE orders_order.id = new.id
"""


def write_words(apps, schema_editor):
    orders = apps.get_model("orders", "Order").objects.filter(found_by="").order_by("pk")
    columns = ("pk", "customer_name", "customer_email", "billing_address", "shipping_address")
    last = None
    while True:
        following = orders.filter(pk__gt=last) if last else orders
        batch = list(following.values_list(*columns)[:BATCH])
        if not batch:
            return
        keys, found_by = [row[0] for row in batch], [finding.words(*row[1:]) for row in batch]
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(WRITE, [keys, found_by])
        last = keys[-1]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0017_placed_at_the_desk")]

    operations = [
        migrations.AddField(
            "order", "found_by", SearchVectorField(default="", db_default="", editable=False)
        ),
        migrations.AlterField("order", "customer_email", models.CharField(max_length=254)),
        migrations.RunPython(write_words, migrations.RunPython.noop),
        migrations.AddIndex("order", models.Index(Lower("customer_email"), name="orders_by_email")),
        migrations.AddIndex(
            "order",
            GinIndex(fields=["found_by"], gin_pending_list_limit=512, name="orders_found_by"),
        ),
        migrations.AddIndex(
            "order", models.Index(fields=["currency", "total"], name="orders_by_total")
        ),
        migrations.AddIndex(
            "order",
            models.Index(
                fields=["payment", "created_at"],
                condition=~models.Q(payment="paid"),
                name="orders_by_payment",
            ),
        ),
    ]
