"""What a sheet does to prices in all, for whoever cannot look at each of a thousand lines."""

from typing import Any

from django.db import connection

from inventory.models import Sheet
from inventory.services.product_rows import PRICE


def price_sums(sheet: Sheet) -> list[dict[str, Any]]:
    """Sum up, by currency, the prices that a checked sheet changes: in the smallest unit."""
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, [PRICE, sheet.pk, PRICE])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


_SUMS = """
SELECT currency, count(*) FILTER (WHERE after > before) AS up,
    count(*) FILTER (WHERE after < before) AS down, count(*) FILTER (WHERE before IS NULL) AS new,
    count(*) FILTER (WHERE after IS NULL) AS gone, min(after) AS least, max(after) AS greatest
FROM (
    SELECT replace(told->>'field', %s, '') AS currency, (told->>'before')::bigint AS before,
        (told->>'after')::bigint AS after
    FROM inventory_productline, jsonb_array_elements(fields) AS told
    WHERE sheet_id = %s AND error = '' AND starts_with(told->>'field', %s)
) AS changed
GROUP BY currency ORDER BY currency
"""
