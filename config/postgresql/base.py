from types import TracebackType
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg_pool import PoolTimeout

from config import outages
from config.postgresql import Connection


class _Errors(DatabaseErrorWrapper):
    wrapper: "DatabaseWrapper"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, outages.READ_ONLY) or self._was_cut(error):
            self.wrapper.leave()
        super().__exit__(kind, error, traceback)

    def _was_cut(self, error: BaseException | None) -> bool:
        """Tell whether the server has ended the connection, as a stop or a crash does with all."""
        if not isinstance(error, psycopg.OperationalError) or self.wrapper.connection is None:
            return False
        return self.wrapper.connection.broken or (error.sqlstate or "").startswith("57P")


class DatabaseWrapper(base.DatabaseWrapper):
    @cached_property
    def wrap_database_errors(self) -> _Errors:
        return _Errors(self)

    def leave(self) -> None:
        """Cut the connection to a server that only reads or has gone, and all others like it.

        Another server has taken its place, or the same one begun anew, to which the next ones lead.
        Each of those that wait in the pool would else be somebody's 503, however much later.
        """
        self.connection.close()
        if self.pool:
            self.pool.drain()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except PoolTimeout:
            if Connection.fault is None:
                raise
            raise Connection.fault from None
