"""Django's PostgreSQL, for a database that may be away, or whose place another one may take."""

from typing import Any, ClassVar, Self

import psycopg


class Connection(psycopg.Connection[Any]):
    """Remembers why none could be had: the pool says only for how long it has tried."""

    fault: ClassVar[psycopg.OperationalError | None] = None

    @classmethod
    def connect(cls, *arguments: Any, **options: Any) -> Self:
        try:
            connection = super().connect(*arguments, **options)
        except psycopg.OperationalError as error:
            Connection.fault = error
            raise
        Connection.fault = None
        return connection
