"""Of stock that has moved already, the log is told from here on: the feed was not there before.

With it, the audit knows of every stock where what is told begins: where nothing is said, at entry 1.
"""

from typing import Any

from django.db import migrations

_BATCH = 10_000
_LAST = """
SELECT max(id::text)::uuid FROM (
    SELECT id FROM inventory_stock WHERE id > %s ORDER BY id LIMIT %s
) AS batch
"""

# What moves meanwhile waits in the outbox, and begins where that does. Whatever one statement sees
# of the stock, it sees of the outbox too.
_TOLD_FROM = """
INSERT INTO events_toldstock (stock_id, first, last)
SELECT stock.id, coalesce(waiting.first, stock.sequence + 1),
    coalesce(waiting.first, stock.sequence + 1) - 1
FROM inventory_stock AS stock
LEFT JOIN (
    SELECT stock_id, min(first) AS first
    FROM events_outbox, unnest(stocks, firsts) AS part (stock_id, first)
    WHERE kind = 'stock' GROUP BY stock_id
) AS waiting ON waiting.stock_id = stock.id
WHERE stock.id > %s AND stock.id <= %s AND stock.sequence > 0
ON CONFLICT DO NOTHING
"""


def tell_from_here_on(apps: Any, schema_editor: Any) -> None:
    last = "00000000-0000-0000-0000-000000000000"
    with schema_editor.connection.cursor() as cursor:
        while True:
            after = last
            cursor.execute(_LAST, [after, _BATCH])
            [last] = cursor.fetchone()
            if last is None:
                return
            cursor.execute(_TOLD_FROM, [after, last])


class Migration(migrations.Migration):
    # Batch by batch, each committed.
    atomic = False

    dependencies = [
        ("inventory", "0035_changes_are_told"),
    ]

    operations = [
        migrations.RunPython(tell_from_here_on, migrations.RunPython.noop),
    ]
