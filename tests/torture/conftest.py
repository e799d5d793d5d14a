from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from config.embedded import _as_host
from tests.torture.site import Site
from tests.torture.store import Store


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "running_site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
def running_site(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[Site]:
    """Processes on the tests' own database; started once, for that takes a while."""
    site = Site(database_url())
    try:
        yield site
    finally:
        site.end(keeps_log=bool(request.session.testsfailed))


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    running_site.control("reset")
    yield running_site
    running_site.withdraw_orders()


@pytest.fixture
def store(site: Site, books_agree: None) -> Store:
    return Store(site)


def database_url() -> str:
    """Write where the tests' database is the way other processes are told it."""
    named = {key: str(value) for key, value in connection.settings_dict.items()}
    host = named["HOST"]
    where = _as_host(Path(host)) if host.startswith("/") else host
    login = f"{named['USER']}:{named['PASSWORD']}" if named["PASSWORD"] else named["USER"]
    port = f":{named['PORT']}" if named["PORT"] else ""
    return f"postgresql://{login}@{where}{port}/{named['NAME']}"
