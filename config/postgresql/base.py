from types import TracebackType
from typing import Any

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
        if isinstance(error, outages.READ_ONLY):
            self.wrapper.leave()
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    @cached_property
    def wrap_database_errors(self) -> _Errors:
        return _Errors(self)

    def leave(self) -> None:
        """Cut the connection to a server that only reads, and all others that may lead to it.

        Another server has taken its place, to which the next ones lead.
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
