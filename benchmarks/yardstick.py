"""PostgreSQL's own limit: pgbench calling one function that locks, checks, updates and logs."""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

SECONDS = 6
CLIENTS = 8

_TABLES = """
DROP TABLE IF EXISTS yard_stock, yard_log;
CREATE TABLE yard_stock (
    id integer PRIMARY KEY, available integer NOT NULL CHECK (available >= 0),
    allocated integer NOT NULL CHECK (allocated >= 0)
) WITH (fillfactor = 50);
CREATE TABLE yard_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stock_id integer NOT NULL,
    quantity integer NOT NULL, available integer NOT NULL, allocated integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON yard_log (stock_id, id);
INSERT INTO yard_stock SELECT n, 1000000000, 0 FROM generate_series(1, {products}) AS n;
CREATE OR REPLACE FUNCTION yard_allocate(ids integer[], quantity integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    enough integer;
BEGIN
    SELECT count(*) FILTER (WHERE available >= quantity) INTO enough FROM (
        SELECT available FROM yard_stock WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE
    ) AS locked;
    IF enough < cardinality(ids) THEN
        RETURN 0;
    END IF;
    WITH moved AS (
        UPDATE yard_stock SET available = available - quantity, allocated = allocated + quantity
        WHERE id = ANY (ids) RETURNING id, available, allocated
    )
    INSERT INTO yard_log (stock_id, quantity, available, allocated)
    SELECT id, quantity, available, allocated FROM moved;
    RETURN enough;
END $$;
"""
_ONE_LINE = "\\set id random(1, {products})\nSELECT yard_allocate(ARRAY[:id::int], 1);\n"
_TWENTY_LINES = (
    "\\set id random(1, {products} - 19)\n"
    "SELECT yard_allocate(ARRAY(SELECT generate_series(:id::int, :id::int + 19)), 1);\n"
)
SCRIPTS = {1: _ONE_LINE, 20: _TWENTY_LINES}


@dataclass(frozen=True)
class Limit:
    per_second: float
    cpu_us: float


def prepare(url: str, products: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES.replace("{products}", str(products)))


def measure(
    url: str, pgbench: Path, folder: Path, products: int, lines: int, cpu: Callable[[], float]
) -> Limit:
    """Run pgbench for some seconds; `cpu` tells the database's CPU, and pgbench's own is added."""
    script = folder / f"yardstick-{lines}.sql"
    script.write_text(SCRIPTS[lines].replace("{products}", str(products)))
    before, own_before = cpu(), _children_cpu()
    command = [str(pgbench), "-n", "-M", "prepared", "-f", str(script), "-T", str(SECONDS)]
    done = subprocess.run(
        [*command, "-c", str(CLIENTS), "-j", "2", url],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    spent = cpu() - before + _children_cpu() - own_before
    found = re.search(r"transactions actually processed: (\d+)", done)
    assert found, done
    count = int(found[1])
    return Limit(count / SECONDS, spent / count * 1e6)


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system
