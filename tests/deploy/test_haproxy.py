"""HAProxy as the edge in nginx's place: what deploy/haproxy hands on, and what it keeps inside."""

import http.client
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from signal import SIGKILL
from typing import Any, NamedTuple

import pytest

from config.embedded import die_with_parent
from config.supervisor import PROJECT
from tests.concurrency import PATIENCE_SECONDS
from tests.deploy.edge import INSIDE, Behind, free_port, wait_until

pytestmark = pytest.mark.processes

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Edge(NamedTuple):
    port: int
    behind: Behind

    def ask(self, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(INSIDE, self.port, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer

    def handed_on(self) -> list[Any]:
        """The calls behind it, without HAProxy's own questions."""
        return [call for call in self.behind.calls if call.path != "/health/ready"]


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    if HAPROXY is None:
        why = "No haproxy was found: install it (Debian: apt-get install haproxy)."
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    port = free_port()
    with Behind().serving() as behind:
        where = {"EDGE": f"{INSIDE}:{port}"}
        where |= {f"WEB_{number}": f"{INSIDE}:{behind.port}" for number in (1, 2)}
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", str(PROJECT / "deploy" / "haproxy" / "edge.cfg")],
            env=os.environ | where,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(SIGKILL),
        )
        try:
            edge = Edge(port, behind)
            wait_until(lambda: behind.calls or process.poll() is not None)
            wait_until(lambda: edge.ask("/").status == 200)
            yield edge
        finally:
            process.kill()
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def nothing_was_asked(edge):
    edge.behind.calls.clear()


def test_nobody_says_by_themselves_who_they_are(edge):
    """To the application a name with an underscore is the same one."""
    edge.ask(
        "/v2/products",
        **{"X_Forwarded_For": "192.0.2.7", "X-Forwarded-For": "192.0.2.8"},
        X_Forwarded_Proto="http",
    )

    [call] = edge.handed_on()
    assert call.headers.get_all("X-Forwarded-For") == [INSIDE]
    assert call.headers.get_all("X-Forwarded-Proto") == ["https"]
    assert [name for name in call.headers if "_" in name] == []


@pytest.mark.parametrize(
    "path", ["/metrics", "/%6detrics", "/metrics/", "/health/ready", "/health/%72eady/", "/health/"]
)
def test_t54_what_is_for_our_own_machines_stays_inside(edge, path):
    answer = edge.ask(path)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert edge.handed_on() == []


def test_whether_it_lives_anybody_may_ask(edge):
    assert edge.ask("/health/live").status == 200
