"""A pytest plugin: tests use the database that DATABASE_URL names, which somebody has migrated."""

import pytest


class _DatabaseAsItIs:
    @pytest.fixture(scope="session")
    @classmethod
    def django_db_setup(cls) -> None:
        """Instead of pytest-django's, which makes a database of its own."""


def pytest_configure(config: pytest.Config) -> None:
    # Of two plugins with a fixture of one name, the later one's counts.
    config.pluginmanager.register(_DatabaseAsItIs(), "database_as_it_is")
