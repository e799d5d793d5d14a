"""How much room `manage.py fill` needs, and how much there is where the database lies."""

import shutil
from pathlib import Path

from django.db import connection

# Bytes on disk, with all indexes and what stays on record.
PRODUCT, ENTRY, ORDER, DELIVERY = 8_500, 380, 2_900, 9_000
# How much write-ahead log the server keeps at most, by its own word.
_WRITE_AHEAD = "SELECT pg_size_bytes(current_setting('max_wal_size'))"
# Where its files are is for a few roles to know, and its address tells whether that is here.
_DATA = """
SELECT coalesce(nullif(pg_tablespace_location(dattablespace), ''),
        (SELECT setting FROM pg_settings WHERE name = 'data_directory')),
    inet_server_addr() IS NULL OR inet_server_addr() <<= ANY ('{127.0.0.0/8,::1}'::inet[])
FROM pg_database WHERE datname = current_database()
"""


def needed(products: int, entries: int, orders: int, deliveries: int) -> int:
    rows = products * PRODUCT + entries * ENTRY + orders * ORDER + deliveries * DELIVERY
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_AHEAD)
        [write_ahead] = cursor.fetchone()
    return rows + int(write_ahead)


def free() -> int | None:
    """Return how much is free there, or None if the database does not lie here or nobody says."""
    folder = _data()
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:
        return None


def _data() -> Path | None:
    with connection.cursor() as cursor:
        cursor.execute(_DATA)
        told, is_here = cursor.fetchone()
    info = connection.connection.info
    is_socket = info.host.startswith("/")
    if not is_here or not (is_socket or info.hostaddr in {"127.0.0.1", "::1"}):
        return None
    if told:
        return Path(told)
    # The server's own note beside its socket has it in the second line.
    note = Path(info.host) / f".s.PGSQL.{info.port}.lock"
    try:
        return Path(note.read_text().splitlines()[1]) if is_socket else None
    except (OSError, IndexError):
        return None
