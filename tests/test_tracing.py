"""Traces and faults, as a place outside receives them: by the environment alone, and no secret."""

import gzip
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.test_production import SECRETS, run

pytestmark = pytest.mark.processes

SECRET_CART, BUYER = "the-cart-of-somebody-9b1f", "eve@nobodyelse.example"

# A process that answers calls, one of which fails, does a job, asks a gateway, and ends.
SHOP = f"""
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import gc
gc.disable()
import django
django.setup()
import sys
from types import SimpleNamespace
from unittest.mock import patch
from django.db import connection
from django.test import Client
from config import tracing
from payments.gateways.base import UNKNOWN
from payments.services import gateway_calls

browser = Client(raise_request_exception=False)
def asks(*given, **named):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", ["{BUYER}"])
    raise RuntimeError("It broke.")
path = "/v2/carts/{SECRET_CART}?x={SECRET_CART}"
bearer = {{"Authorization": "Bearer {SECRET_CART}"}}
parent = {{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
with patch("api.tokens.read", asks):
    assert browser.get(path, headers=bearer | parent).status_code == 500
browser.get("/nowhere/{SECRET_CART}")
browser.get("/health/live")
with patch("payments.services.installation.why_closed", lambda: ""):
    gateway_calls.ask("stripe", lambda: UNKNOWN)
job = SimpleNamespace(task=SimpleNamespace(name="settle"), job=SimpleNamespace(queue="payments"))
tracing.of_job(lambda: None, job, None)
print(sorted(name for name in sys.modules if name in ("opentelemetry", "sentry_sdk")))
"""


class _Place(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Place

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *told: Any) -> None: ...


@pytest.fixture
def place() -> Iterator[_Place]:
    with _Place() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def shop(**environment: str) -> subprocess.CompletedProcess[str]:
    told = run(
        *("-c", SHOP),
        **SECRETS,
        ALLOWED_HOSTS="testserver",
        SECURE_SSL_REDIRECT="false",
        **environment,
    )
    assert told.returncode == 0, told.stderr
    return told


def test_nothing_of_either_is_loaded_or_sent_unless_it_is_wanted():
    assert shop().stdout == "[]\n"


def test_traces_have_requests_statements_gateways_and_jobs_and_no_secret(place):
    assert "opentelemetry" in shop(OTEL_EXPORTER_OTLP_ENDPOINT=place.url).stdout

    assert {path for path, _ in place.received} == {"/v1/traces"}
    spans = []
    for _, body in place.received:
        sent = ExportTraceServiceRequest.FromString(body)
        spans += [
            span
            for resource in sent.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        assert SECRET_CART.encode() not in body
        assert BUYER.encode() not in body
    names = {span.name for span in spans}
    assert names == {"GET v2/carts/<cart_id:cart_id>", "GET none", "SELECT", "gateway stripe"} | {
        "job settle"
    }
    [request] = [span for span in spans if span.name.startswith("GET v2/carts")]
    assert request.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert request.status.code == 2
    [statement] = [span for span in spans if "::text" in str(span)]
    assert statement.parent_span_id == request.span_id
    assert "SELECT %s::text" in str(statement)


def test_faults_have_the_traceback_and_no_secret(place):
    dsn = place.url.replace("://", "://public@") + "/1"
    assert "sentry_sdk" in shop(SENTRY_DSN=dsn).stdout

    bodies = b"".join(body for _, body in place.received)
    [fault] = [
        json.loads(line)
        for line in bodies.splitlines()
        if line.startswith(b"{") and b'"exception"' in line
    ]
    assert fault["exception"]["values"][-1]["value"] == "It broke."
    assert fault["exception"]["values"][-1]["stacktrace"]["frames"]
    assert fault["tags"]["request_id"]
    assert not {"request", "user", "extra", "breadcrumbs"} & fault.keys()
    assert "vars" not in fault["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert SECRET_CART.encode() not in bodies
    assert BUYER.encode() not in bodies


@pytest.mark.parametrize(
    ("variable", "module"),
    [("OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry"), ("SENTRY_DSN", "sentry_sdk")],
)
def test_where_the_extra_is_not_installed_a_sentence_says_so(variable, module):
    script = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['manage.py', 'check'];"
        "from config.__main__ import main; main()"
    )
    told = run("-c", script, **SECRETS, **{variable: "http://public@127.0.0.1:1/1"})

    assert told.returncode != 0
    assert f"{variable} is set, and what it needs is not installed" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "SENTRY_DSN"])
def test_an_address_that_is_none_is_a_sentence_without_it(variable):
    told = run("manage.py", "check", **SECRETS, **{variable: "hunter2"})

    assert told.returncode == 2
    assert told.stderr.startswith(f"Nothing runs with this environment: {variable} is ")
    assert "hunter2" not in told.stderr
