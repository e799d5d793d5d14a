"""Where a shop's traces and faults go, if its operators have a place for them.

Both are extras, and nothing of them is imported unless the environment names an address. What
leaves this machine is what stands here and no more: the template of an address, statements without
their values, the names of jobs and gateways, and faults with their tracebacks.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from config.logs import KIND, VERSION, without_details

STATEMENT_LENGTH_MAX = 2_000

# opentelemetry.trace and our tracer, once traces are wanted.
_trace: Any = None
_tracer: Any = None


def start() -> None:
    """Raises: ImproperlyConfigured, if something is wanted that is not installed."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        _start_tracing(settings.OTEL_EXPORTER_OTLP_ENDPOINT)
    if settings.SENTRY_DSN:
        _start_sentry(settings.SENTRY_DSN)


def _not_installed(variable: str, extra: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{variable} is set, and what it needs is not installed: install requirements-{extra}.lock "
        "beside requirements.lock, or take the variable away."
    )


# Traces.


def _start_tracing(endpoint: str) -> None:
    global _trace, _tracer
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise _not_installed("OTEL_EXPORTER_OTLP_ENDPOINT", "otel") from error
    if not endpoint.startswith(("http://", "https://")):
        raise ImproperlyConfigured(
            "OTEL_EXPORTER_OTLP_ENDPOINT is an address, such as http://127.0.0.1:4318."
        )
    about = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or "holdfast",
        "service.version": VERSION,
        "holdfast.process": KIND,
    }
    provider = TracerProvider(resource=Resource.create(about))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _trace, _tracer = trace, provider.get_tracer("holdfast", VERSION)


class Request:
    """The trace of one request, which goes on where the caller's does."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        from opentelemetry import context
        from opentelemetry.trace.propagation import tracecontext

        carrier = {"traceparent": headers.get("traceparent", "")}
        parent = tracecontext.TraceContextTextMapPropagator().extract(carrier)
        self._context = context
        self._span = _tracer.start_span(
            "request", context=parent, kind=_trace.SpanKind.SERVER, record_exception=False
        )
        self._token = context.attach(_trace.set_span_in_context(self._span))
        _watch_statements()

    def end(self, method: str, route: str, status: int, about: Mapping[str, Any]) -> None:
        self._context.detach(self._token)
        self._span.update_name(f"{method} {route}")
        told = {"http.request.method": method, "http.route": route, **about}
        self._span.set_attributes({**told, "http.response.status_code": status})
        if status >= 500:
            self._span.set_status(_trace.StatusCode.ERROR)
        self._span.end()


def request(headers: Mapping[str, str]) -> Request | None:
    return Request(headers) if _tracer else None


@contextmanager
def span(name: str, **about: str) -> Iterator[None]:
    """Show what happens inside the block as a part of the trace."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(
        name, attributes=about, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield
        except BaseException as error:
            # What it says may name a buyer.
            opened.set_status(_trace.StatusCode.ERROR, type(error).__name__)
            raise


def of_job(call_next: Callable[[], Any], context: Any, worker: Any) -> Any:
    """Show a job as a trace of its own."""
    if _tracer is None:
        return call_next()
    _watch_statements()
    with span(f"job {context.task.name}", queue=context.job.queue):
        return call_next()


def _watch_statements() -> None:
    if _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


def _statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    if not _trace.get_current_span().is_recording():
        return execute(sql, params, many, context)
    text = str(sql).strip()
    verb = text.partition(" ")[0][:20].upper()
    with span(verb, **{"db.system.name": "postgresql", "db.query.text": _cut(text)}):
        return execute(sql, params, many, context)


def _cut(text: str) -> str:
    return text[:STATEMENT_LENGTH_MAX]


# Faults.


def _start_sentry(dsn: str) -> None:
    try:
        import sentry_sdk
    except ImportError as error:
        raise _not_installed("SENTRY_DSN", "sentry") from error
    try:
        sentry_sdk.utils.Dsn(dsn)
    except ValueError:
        # Without its words, for a part of it is a secret.
        raise ImproperlyConfigured(
            "SENTRY_DSN is written as Sentry shows it, https://key@host/number."
        ) from None
    sentry_sdk.init(
        dsn=dsn,
        release=f"holdfast@{VERSION}",
        # What is logged as an error goes there, and what nobody caught. The others would look into
        # requests, jobs and statements, and send what they find.
        auto_enabling_integrations=False,
        send_default_pii=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        before_send=told_of_fault,
    )


# What of a fault is sent at all.
_SENT = (
    "event_id",
    "timestamp",
    "level",
    "logger",
    "logentry",
    "exception",
    "platform",
    "release",
    "environment",
    "server_name",
    "sdk",
    "type",
)


def told_of_fault(event: Any, hint: Any) -> Any:
    """Leave of a fault what names nobody: our own line with its fields, and the traceback."""
    told = {name: event[name] for name in _SENT if name in event}
    _, error, _ = hint.get("exc_info") or (None, None, None)
    for each in told.get("exception", {}).get("values", ()):
        each["value"] = without_details(str(each.get("value")), error)
    line = getattr(hint.get("log_record"), "msg", None)
    tags = {"process": KIND, **structlog.contextvars.get_contextvars()}
    if isinstance(line, dict):
        told["logentry"] = {"message": str(line.get("event"))}
        tags |= line
    tags.pop("exc_info", None)
    told["tags"] = {name: str(value)[:200] for name, value in tags.items()}
    return told
