from collections.abc import Iterator
from contextlib import suppress
from select import select
from typing import Any
from uuid import uuid4

import psycopg
import psycopg_pool
import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404
from procrastinate.exceptions import ConnectorException
from rest_framework import exceptions, serializers

from api.errors import (
    WRONG_STATE,
    Busy,
    FieldError,
    Invalid,
    Kind,
    NotFound,
    Refusal,
    answer,
    answer_exception,
    invalid_fields,
)
from api.fields import Quantity, Text
from api.tokens import BadToken
from inventory.models import Price
from inventory.services import stock
from inventory.services.writing import write
from orders.errors import INSUFFICIENT_STOCK
from payments.models import Gateway
from payments.services import payments
from tests.factories import product, stock_of
from tests.http import administrator


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Find the refusals of every app; those of the tests are not meant."""
    for refusal in kind.__subclasses__():
        if not refusal.__module__.startswith("tests.") and not refusal.__name__.startswith("_"):
            yield refusal
        yield from refusals(refusal)


def test_every_refusal_has_its_kind_and_a_code_of_its_own():
    known = set(refusals())
    codes = [refusal.code for refusal in known]

    assert len(known) > 20
    assert all(isinstance(refusal.kind, Kind) for refusal in known)
    assert len(codes) == len(set(codes))


class _TooLate(Refusal):
    kind = WRONG_STATE
    code = "too_late"


class _Secret(Refusal):
    kind = INSUFFICIENT_STOCK
    code = "secret"
    detail = "Not enough."


def test_a_refusal_is_answered_with_its_status_title_detail_and_code():
    response = answer(_TooLate("It is shipped.", source="data.status", meta={"id": "1"}))

    assert response.status_code == 422
    assert response.data == {
        "errors": [
            {
                "status": 422,
                "title": "Unprocessable Entity",
                "detail": "It is shipped.",
                "source": "data.status",
                "meta": {"id": "1"},
                "code": "too_late",
            }
        ]
    }


def test_what_people_read_may_say_more_than_what_the_api_says():
    refusal = _Secret("Only 3 are available; 5 asked for.")

    assert str(refusal) == "Only 3 are available; 5 asked for."
    assert refusal.entries() == [
        {
            "status": 400,
            "title": "Insufficient stock",
            "detail": "Not enough.",
            "code": "secret",
        }
    ]


def test_what_is_not_found_is_named_as_the_contract_names_it():
    missing = [kind() for kind in refusals() if issubclass(kind, NotFound) and kind.thing]

    assert {refusal.title: refusal.detail for refusal in missing} == {
        f"{thing} not found": f"The requested {thing.lower()} could not be found"
        for thing in (
            *("Product", "Stock transaction", "Currency", "Gateway", "Transaction", "File"),
            *("Category", "Parent", "Integration", "Integration job"),
        )
    }


def test_whoever_is_told_to_try_again_is_told_when():
    response = answer(Busy())

    assert (response.status_code, response["Retry-After"]) == (503, "1")


def test_only_a_bad_token_is_challenged():
    assert answer(BadToken())["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in answer(Busy())


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        (NotFound(), 404, "not_found"),
        (Http404(), 404, "not_found"),
        (exceptions.ParseError(), 400, "malformed"),
        (exceptions.NotAuthenticated(), 401, "bad_token"),
        (exceptions.AuthenticationFailed(), 401, "bad_token"),
        (exceptions.PermissionDenied(), 403, "forbidden"),
        (PermissionDenied(), 403, "forbidden"),
        (exceptions.MethodNotAllowed("PATCH"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("text/csv"), 415, "unsupported_media_type"),
    ],
)
def test_what_the_framework_raises_is_answered_in_our_words(exception, status, code):
    response = answer_exception(exception, {})

    assert response is not None
    assert response.status_code == status
    [entry] = response.data["errors"]
    assert (entry["status"], entry["code"]) == (status, code)


def test_what_nobody_foresaw_is_not_answered_here():
    assert answer_exception(ZeroDivisionError(), {}) is None


@pytest.mark.parametrize(
    "said",
    [
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.CrashShutdown(),
        psycopg.errors.CannotConnectNow(),
        psycopg.errors.ConnectionFailure(),
        psycopg.errors.IdleInTransactionSessionTimeout(),
        psycopg_pool.PoolTimeout(),
    ],
)
@pytest.mark.parametrize("kind", [OperationalError, ConnectorException])
def test_f19_a_lost_database_asks_for_the_same_call_again(kind, said):
    error = kind()
    error.__cause__ = said

    response = answer_exception(error, {})

    assert response is not None
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.data["errors"][0]["code"] == "database_away"


def test_f19_what_a_server_says_of_a_statement_is_no_lost_database():
    error = OperationalError()
    error.__cause__ = psycopg.errors.InFailedSqlTransaction()

    assert answer_exception(error, {}) is None


def test_f19_a_statement_that_took_too_long_is_no_lost_database_and_may_be_asked_again():
    error = OperationalError()
    error.__cause__ = psycopg.errors.QueryCanceled()

    response = answer_exception(error, {})

    assert response is not None
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.data["errors"][0]["code"] == "busy"


@pytest.mark.django_db(transaction=True)
def test_f19_a_call_whose_connection_dies_is_answered_and_happens_at_its_next_try():
    shirt = product(stock=5)
    api = administrator()
    body = {"action": "increment", "quantity": 3}
    path = f"/v2/inventories/{shirt.pk}/transactions"
    with connection.cursor() as cursor, suppress(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    lost = api.post(path, body, key="k")
    # What Django does at the end of a request, unless a test made it.
    connection.close_if_unusable_or_obsolete()
    again = [api.post(path, body, key="k").status_code for _ in range(2)]

    assert (lost.status_code, lost.json()["errors"][0]["code"]) == (503, "database_away")
    assert again == [200, 200]
    assert stock_of(shirt).total == 8


@pytest.mark.django_db(transaction=True)
def test_f19_a_process_that_stood_still_in_a_transaction_asks_for_the_same_call_again(monkeypatch):
    """As one does whose machine is stopped for a while: the server waits for none for ever."""
    shirt = product(stock=5)
    api = administrator()
    body = {"action": "increment", "quantity": 3}
    path = f"/v2/inventories/{shirt.pk}/transactions"

    with monkeypatch.context() as patch:
        patch.setattr(stock, "write", _stand_still_and_write)
        lost = api.post(path, body, key="k")
    connection.close_if_unusable_or_obsolete()
    again = api.post(path, body, key="k")

    assert (lost.status_code, lost.json()["errors"][0]["code"]) == (503, "database_away")
    assert again.status_code == 200
    assert stock_of(shirt).total == 8


def _stand_still_and_write(*args: Any, **options: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 1")
    # Until the server says good-bye.
    select([connection.connection.pgconn.socket], [], [], 10)
    write(*args, **options)


@pytest.mark.parametrize("error", [ProtectedError("In use.", set()), RestrictedError("", set())])
def test_what_may_not_be_deleted_is_a_conflict(error):
    response = answer_exception(error, {})

    assert response is not None
    assert (response.status_code, response["Retry-After"]) == (409, "1")
    [entry] = response.data["errors"]
    assert (entry["title"], entry["detail"]) == ("Conflict", "Write conflict detected")
    assert entry["code"] == "conflict"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("violate", "status"),
    [
        (lambda: Gateway.objects.create(slug="manual", name="Again"), 409),
        (lambda: Price.objects.create(product_id=uuid4(), currency_id="USD", amount=1), 409),
        (lambda: product().prices.update(amount=-1), 500),
        (lambda: product().prices.update(amount=None), 500),
    ],
    ids=["unique", "foreign key", "check", "not null"],
)
def test_a_view_without_a_service_answers_a_violated_key_and_fails_loudly_at_a_check(
    monkeypatch, violate, status
):
    def violating(*args: object, **kwargs: object) -> None:
        violate()

    monkeypatch.setattr(payments, "set_gateway", violating)

    answer = administrator(raises=False).put("/v2/gateways/test", {"enabled": True})

    assert (answer.status_code, answer.json()["errors"][0]["status"]) == (status, status)


class _Line(serializers.Serializer[Any]):
    sku = Text()
    quantity = Quantity()


class _Body(serializers.Serializer[Any]):
    name = Text(max_length=5)
    lines = _Line(many=True)


def _errors(body: object) -> list[FieldError]:
    checked = _Body(data=body)
    assert not checked.is_valid()
    return list(invalid_fields(checked.errors))


def test_every_wrong_field_is_named_by_its_place_in_the_body():
    errors = _errors({"name": "far too long", "lines": [{"sku": "A", "quantity": 1}, {"sku": 1}]})

    assert [(error.source, error.code) for error in errors] == [
        ("data.name", "field_max_length"),
        ("data.lines.1.sku", "field_type"),
        ("data.lines.1.quantity", "field_required"),
    ]
    assert errors[2].detail == "quantity is required"


@pytest.mark.parametrize(
    ("body", "status", "title"),
    [
        ({"name": "far too long", "lines": []}, 422, "Failed Validation"),
        ({"lines": []}, 400, "required"),
        ({"name": None, "lines": []}, 400, "null"),
        ({"name": 1, "lines": []}, 400, "type"),
        ({"name": "A", "lines": {}}, 400, "not_a_list"),
        ([], 400, "invalid"),
    ],
)
def test_a_misshapen_body_is_400_and_a_broken_rule_422(body, status, title):
    response = answer(Invalid(*_errors(body)))

    assert response.status_code == status
    [entry] = response.data["errors"]
    assert (entry["status"], entry["title"]) == (status, title)


def test_all_entries_of_an_answer_have_one_status():
    errors = _errors({"name": "far too long", "lines": [{"sku": 1, "quantity": 0}]})

    response = answer(Invalid(*errors))

    assert response.status_code == 400
    assert [entry["status"] for entry in response.data["errors"]] == [400, 400, 400]


@pytest.mark.django_db
def test_t39_too_many_parameters_are_the_callers_affair_and_no_error_in_the_log(caplog):
    answer = administrator().get(f"/v2/products?{'a&' * 2_000}")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "bad_request")
    assert not caplog.records
