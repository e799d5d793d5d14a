import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from api import clock, idempotency, incoming
from api.errors import (
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    INVALID,
    NOT_POSSIBLE,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    WRONG_STATE,
    BadRequest,
    Busy,
    FieldError,
    Invalid,
    Refusal,
)
from api.idempotency import (
    ERRORS_LENGTH_MAX,
    KEPT_FOR,
    Answered,
    Key,
    KeyInUse,
    KeyReused,
    claim,
    once,
    purge,
)
from api.ids import uuid7
from api.models import ApiClient, IdempotencyKey
from api.tokens import ADMINISTRATOR, SHOPPER, Caller
from api.transactions import in_transaction
from api.views import deleted
from tests.concurrency import PATIENCE_SECONDS, run_together

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def _request(
    body: Any = None,
    *,
    key: str | None = "key-1",
    client_id: str = "shop",
    shopper: str = "",
    method: str = "POST",
    path: str = "/v2/things",
    currency: str = "",
) -> Request:
    headers = {"Idempotency-Key": key} if key is not None else {}
    if currency:
        headers["X-Moltin-Currency"] = currency
    http = APIRequestFactory().generic(
        method, path, body or '{"data": 1}', "application/json", headers=headers
    )
    request = Request(http, parsers=[JSONParser()])
    caller: Any = Caller(client_id, "Shop", SHOPPER if shopper else ADMINISTRATOR, shopper)
    request.user = caller
    return request


def _call(
    request: Request,
    perform: Callable[[Key | None], Response],
    again: Callable[[str], Response],
) -> Response:
    """Call a view that performs so."""

    class View:
        @once(again=lambda _, resource_id: again(resource_id))
        def post(self, request: Request, key: Key | None) -> Response:
            return perform(key)

    return View().post(request)


class _Things:
    """A service, and the view of it, that makes a thing at each call: an API client's row."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def call(self, request: Request) -> Response:
        return _call(request, self.perform, self.again)

    def perform(self, key: Key | None) -> Response:
        self.make(key)
        return Response({"data": {"name": self.made[-1]}}, status=201)

    @in_transaction
    def make(self, key: Key | None) -> None:
        name = f"thing {len(self.made) + 1}"
        claim(key, name)
        ApiClient.objects.create(client_id=str(uuid7()), name=name, created_at=clock.now())
        self.made.append(name)

    def again(self, resource_id: str) -> Response:
        return Response({"data": {"name": resource_id}}, status=201)


@pytest.fixture
def things() -> _Things:
    return _Things()


class Refused(Refusal):
    kind = WRONG_STATE
    code = "refused"
    detail = "Not today."


def _replayed(response: Response) -> bool:
    return bool(response.headers.get("Idempotent-Replayed") == "true")


# Once.


def test_f27_the_same_request_again_is_answered_as_before_and_does_nothing(things):
    first = things.call(_request())
    second = things.call(_request())

    assert things.made == ["thing 1"]
    assert (first.status_code, first.data) == (201, {"data": {"name": "thing 1"}})
    assert (second.status_code, second.data) == (first.status_code, first.data)
    assert (_replayed(first), _replayed(second)) == (False, True)


def test_without_a_key_every_request_counts(things):
    for _ in range(2):
        things.call(_request(key=None))

    assert things.made == ["thing 1", "thing 2"]
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize(
    "other",
    [
        {"key": "key-2"},
        {"client_id": "another shop"},
        {"method": "PUT"},
        {"path": "/v2/others"},
        {"path": "/v2/things?include=items"},
        {"currency": "EUR"},
        {"shopper": "ada"},
    ],
    ids=str,
)
def test_a_key_counts_for_one_holder_and_one_call_however_like_another(things, other):
    things.call(_request())
    response = things.call(_request(**other))

    assert not _replayed(response)
    assert things.made == ["thing 1", "thing 2"]
    assert _replayed(things.call(_request(**other)))


def test_t31_a_key_of_one_shopper_is_none_of_another_one_s(things):
    shoppers = ["ada", "ben", "ada", "ben"]

    responses = [things.call(_request(shopper=shopper)) for shopper in shoppers]

    assert [response.data["data"]["name"] for response in responses] == [
        "thing 1",
        "thing 2",
        "thing 1",
        "thing 2",
    ]
    assert [_replayed(response) for response in responses] == [False, False, True, True]


BODY = '{"data": {"name": "Mug", "price": 1, "is": [true, null]}}'


@pytest.mark.parametrize(
    "same",
    [
        '{ "data":\n{"name":"Mug","price":1,"is":[true,null]}}\n',
        '{"data": {"is": [true, null], "price": 1, "name": "Mug"}}',
        '{"data": {"n\\u0061me": "\\u004dug", "price": 1, "is": [true, null]}}',
        '{"data": {"name": "Mug", "price": 1.0, "is": [true, null]}}',
        '{"data": {"name": "Mug", "price": 1e0, "is": [true, null]}}',
        '{"data": {"name": "Mug", "price": 2, "price": 1, "is": [true, null]}}',
    ],
)
def test_t31_bodies_are_compared_by_what_they_say(things, same):
    things.call(_request(BODY))

    assert _replayed(things.call(_request(same)))


@pytest.mark.parametrize(
    "other",
    [
        '{"data": {"name": "Mug", "price": 1, "is": [null, true]}}',
        '{"data": {"name": "Mug", "price": 1, "is": [1, null]}}',
        '{"data": {"name": "Mug", "price": "1", "is": [true, null]}}',
        '{"data": {"name": "Mug", "price": 1.5, "is": [true, null]}}',
        '{"data": {"name": "mug", "price": 1, "is": [true, null]}}',
        '{"data": {"name": "Mug", "price": 1, "is": [true, null], "more": null}}',
        '{"data": {"name": "Mug", "price": 1e999, "is": [true, null]}}',
        BODY[:-1],
        "[" * 100_000,
        "9" * 5_000,
        "\xff",
        " ",
    ],
)
def test_t31_bodies_that_say_something_else_are_others(things, other):
    things.call(_request(BODY))

    with pytest.raises(KeyReused):
        things.call(_request(other))


def test_t38_of_a_body_that_is_too_much_nothing_is_made_for_its_key(things, monkeypatch):
    too_much = f'{{"data": {"[" * 33 + "]" * 33}}}'
    monkeypatch.setattr(json, "loads", pytest.fail)

    things.call(_request(too_much))

    with pytest.raises(KeyReused):
        things.call(_request(too_much + " "))


def test_f27_a_key_is_refused_for_another_body(things):
    things.call(_request('{"data": 1}'))

    with pytest.raises(KeyReused):
        things.call(_request('{"data": 2}'))

    assert things.made == ["thing 1"]
    assert things.call(_request('{"data": 1}')).data == {"data": {"name": "thing 1"}}


def test_an_answer_without_a_body_is_remembered_too(things):
    def perform(key: Key | None) -> Response:
        things.make(key)
        return Response(status=204)

    first, second = [_call(_request(), perform, deleted) for _ in range(2)]

    assert (first.status_code, first.data) == (second.status_code, second.data) == (204, None)
    assert _replayed(second)


@pytest.mark.parametrize("key", ["k" * 256, "k\xe9", "k\x7f", ""])
def test_f27_a_key_that_cannot_be_one_is_refused_and_never_taken_for_none(things, key):
    with pytest.raises(BadRequest):
        things.call(_request(key=key))

    assert things.call(_request(key="k" * 255)).status_code == 201


# While the first still runs.


def test_f27_a_request_whose_first_still_runs_is_refused_at_once(things):
    is_running, may_end = threading.Event(), threading.Event()

    @in_transaction
    def slow(key: Key | None) -> None:
        claim(key, "slow")
        is_running.set()
        assert may_end.wait(PATIENCE_SECONDS)

    def perform_slowly(key: Key | None) -> Response:
        slow(key)
        return Response({"data": "slow"})

    def first() -> Any:
        return _call(_request(), perform_slowly, things.again).data

    def second() -> Any:
        assert is_running.wait(PATIENCE_SECONDS)
        try:
            return things.call(_request())
        finally:
            may_end.set()

    first_outcome, second_outcome = run_together(first, second)

    assert first_outcome == {"data": "slow"}
    assert isinstance(second_outcome, KeyInUse)
    assert second_outcome.retry_after_seconds == 1
    assert things.made == []
    assert _replayed(things.call(_request()))


def test_f27_of_many_equal_requests_one_happens(things):
    outcomes = run_together(*[lambda: things.call(_request()).data] * 16)

    answers = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert len(answers) + sum(isinstance(outcome, KeyInUse) for outcome in outcomes) == 16
    assert {answer["data"]["name"] for answer in answers} == {"thing 1"}
    assert ApiClient.objects.count() == 1


def test_f27_control_without_the_key_every_one_of_them_happens(things):
    run_together(*[lambda: things.call(_request(key=None))] * 4)

    assert ApiClient.objects.count() == 4


# Refusals.


def _refuse(refusal: Refusal, after: Callable[[Key | None], object]) -> Callable[..., Response]:
    def perform(key: Key | None) -> Response:
        @in_transaction
        def work() -> None:
            after(key)
            raise refusal

        work()
        raise AssertionError("unreachable")

    return perform


def _claim(key: Key | None) -> None:
    claim(key, "thing")


def test_f27_a_refusal_is_remembered(things):
    first = _call(_request(), _refuse(Refused(), after=_claim), things.again)
    second = things.call(_request())

    assert first.status_code == second.status_code == 422
    assert first.data == second.data
    assert second.data["errors"][0]["code"] == "refused"
    assert (_replayed(first), _replayed(second)) == (False, True)
    assert things.made == []


class _Malformed(Refusal):
    kind = BAD_REQUEST
    code = "malformed_thing"


class _Broke(Refusal):
    kind = INVALID
    code = "broke_a_rule"


class _NotYours(Refusal):
    kind = FORBIDDEN
    code = "not_yours"


INVALID_FIELD = Invalid(FieldError("data.name", "length", "Too long.", "field_length"))


@pytest.mark.parametrize("after", [_claim, lambda key: None], ids=["claimed", "at sight"])
@pytest.mark.parametrize(
    "refusal", [_Malformed("No."), _Broke("No."), _NotYours("No."), INVALID_FIELD], ids=type
)
def test_t30_a_refusal_of_the_request_s_form_leaves_its_key_to_the_corrected_one(
    things, refusal, after
):
    with pytest.raises(type(refusal)):
        _call(_request('{"data": "wrong"}'), _refuse(refusal, after=after), things.again)
    assert not IdempotencyKey.objects.exists()

    corrected = things.call(_request('{"data": "right"}'))

    assert (corrected.status_code, _replayed(corrected)) == (201, False)


def test_t30_what_the_shop_s_state_refuses_stays_refused_under_its_key(things):
    class TooLate(Refusal):
        kind = NOT_POSSIBLE
        code = "too_late"
        detail = "No."

    first = _call(_request(), _refuse(TooLate(), after=_claim), things.again)
    second = things.call(_request())

    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert second.data["errors"][0]["title"] == "Bad Request"
    assert _replayed(second)
    with pytest.raises(KeyReused):
        things.call(_request('{"data": 2}'))


def test_a_refusal_before_the_key_was_claimed_is_remembered(things):
    _call(_request(), _refuse(Refused(), after=lambda key: None), things.again)

    assert things.call(_request()).status_code == 422


class _UnderWay(Refusal):
    kind = CONFLICT
    code = "under_way"
    retry_after_seconds = 2


@pytest.mark.parametrize("passing", [Busy(), _UnderWay()])
def test_f27_a_refusal_that_says_when_to_try_again_is_not_remembered(things, passing):
    with pytest.raises(type(passing)):
        _call(_request(), _refuse(passing, after=_claim), things.again)

    second = things.call(_request())
    assert (second.status_code, _replayed(second)) == (201, False)


class _SlowDown(Refusal):
    kind = TOO_MANY_REQUESTS
    code = "slow_down"


class _Broken(Refusal):
    kind = SERVER_ERROR
    code = "broken"


@pytest.mark.parametrize("passing", [_SlowDown(), _Broken()])
def test_f27_neither_429_nor_an_answer_of_500_is_remembered(things, passing):
    with pytest.raises(type(passing)):
        _call(_request(), _refuse(passing, after=_claim), things.again)

    second = things.call(_request())
    assert (second.status_code, _replayed(second)) == (201, False)


def test_f27_an_error_of_the_server_is_not_remembered(things):
    def perform(key: Key | None) -> Response:
        _refuse(Refused(), after=lambda key: 1 / 0)(key)
        raise AssertionError("unreachable")

    with pytest.raises(ZeroDivisionError):
        _call(_request(), perform, things.again)

    assert not _replayed(things.call(_request()))
    assert things.made == ["thing 1"]


def test_a_payment_under_way_is_looked_at_anew_and_not_remembered_as_pending(things):
    def perform(key: Key | None) -> Response:
        things.make(key)
        return Response({"data": "pending"}, status=202)

    _call(_request(), perform, things.again)
    second = _call(_request(), perform, things.again)

    assert things.made == ["thing 1"]
    assert (second.status_code, second.data) == (201, {"data": {"name": "thing 1"}})
    assert _replayed(second)


# What is kept.


def test_t39_of_an_answer_nothing_is_kept_but_what_it_was_about(things):
    def perform(key: Key | None) -> Response:
        things.make(key)
        return Response({"data": "x" * 1_300_000}, status=201)

    _call(_request(), perform, things.again)

    record = IdempotencyKey.objects.get()
    assert (record.resource_id, record.status, record.body) == ("thing 1", None, "")


def test_what_was_done_costs_no_statement_beside_its_claim(things, django_assert_num_queries):
    with django_assert_num_queries(4):  # BEGIN, claim, thing, COMMIT
        things.call(_request())


def test_an_answer_that_says_what_was_left_out_says_so_again(things):
    def perform(key: Key | None) -> Response:
        things.make(key)
        return Response({"data": {"name": "thing 1"}, "errors": [{"code": "left_out"}]}, status=201)

    first, second = [_call(_request(), perform, things.again) for _ in range(2)]

    assert first.data == second.data
    assert _replayed(second)


def test_of_very_many_errors_the_first_ones_are_kept(things):
    class Many(Refusal):
        kind = WRONG_STATE
        code = "many"

        def entries(self) -> Any:
            return [{**super(Many, self).entries()[0], "source": f"data.{n}"} for n in range(5_000)]

    first = _call(_request(), _refuse(Many("No."), after=_claim), things.again)
    second = things.call(_request())

    assert len(IdempotencyKey.objects.get().body) <= ERRORS_LENGTH_MAX
    assert second.status_code == first.status_code
    kept = second.data["errors"]
    assert kept == first.data["errors"][: len(kept)]
    assert len(kept) > 50


def test_a_path_may_be_longer_than_what_a_row_tells_of_it(things):
    paths = [f"/v2/{'x' * 2_000}{end}" for end in "abab"]

    replayed = [_replayed(things.call(_request(path=path))) for path in paths]

    assert replayed == [False, False, True, True]


def test_what_is_refused_by_now_is_answered_as_before_if_it_was_done_before(things):
    """Such as a custom item, where the store has ceased to take them."""
    things.call(_request())

    again = _call(_request(), _refuse(_Malformed("No."), after=lambda key: None), things.again)

    assert (again.status_code, again.data) == (201, {"data": {"name": "thing 1"}})
    assert _replayed(again)


# A lost answer.


def test_f19_an_answer_that_was_lost_is_made_again_from_the_resource(things):
    def crash_after_the_commit(key: Key | None) -> Response:
        things.make(key)
        raise OperationalError("the server went away")

    with pytest.raises(OperationalError):
        _call(_request(), crash_after_the_commit, things.again)
    response = things.call(_request())

    assert things.made == ["thing 1"]
    assert (response.status_code, response.data["data"]["name"]) == (201, "thing 1")
    assert _replayed(response)


def test_a_lost_answer_that_has_become_a_refusal_is_that_refusal(things):
    def refuse(resource_id: str) -> Response:
        raise Refused

    with transaction.atomic():
        claim(Key.of(_request()), "thing")
    response = _call(_request(), things.perform, refuse)

    assert (response.status_code, _replayed(response)) == (422, True)


def test_a_lost_answer_that_is_still_being_made_is_in_use(things):
    def still_running(resource_id: str) -> Response:
        raise KeyInUse

    with transaction.atomic():
        claim(Key.of(_request()), "thing")

    with pytest.raises(KeyInUse):
        _call(_request(), things.perform, still_running)


def test_work_that_was_rolled_back_gives_its_key_back(things):
    with transaction.atomic():
        claim(Key.of(_request()), "thing")
        transaction.set_rollback(True)

    assert not _replayed(things.call(_request()))


# Two calls with one key.


def test_a_refusal_never_overwrites_what_a_later_call_achieved(things):
    """The first is refused; before that is stored, the second succeeds, and counts for both."""

    def refused_late(key: Key | None) -> Response:
        things.call(_request())
        raise Refused

    first = _call(_request(), refused_late, things.again)
    third = things.call(_request())

    assert things.made == ["thing 1"]
    for answer in (first, third):
        assert (answer.status_code, answer.data) == (201, {"data": {"name": "thing 1"}})


@pytest.mark.parametrize("refusal", [Refused(), _Malformed("No.")], ids=type)
def test_whoever_reuses_a_key_is_told_so_even_if_the_new_request_is_refused_at_sight(
    things, refusal
):
    things.call(_request('{"data": 1}'))

    with pytest.raises(KeyReused):
        _call(_request('{"data": 2}'), _refuse(refusal, after=lambda key: None), things.again)

    assert things.call(_request('{"data": 1}')).data == {"data": {"name": "thing 1"}}


def test_a_late_answer_is_not_stored_under_a_key_that_has_become_another_call_s(things):
    tomorrow = clock.now() + KEPT_FOR + timedelta(seconds=1)

    def answered_after_a_day(key: Key | None) -> Response:
        things.make(key)
        with clock.replaced(lambda: tomorrow):
            things.call(_request())
        return Response({"data": "late"})

    _call(_request(), answered_after_a_day, things.again)
    with clock.replaced(lambda: tomorrow):
        third = things.call(_request())

    assert things.made == ["thing 1", "thing 2"]
    assert third.data == {"data": {"name": "thing 2"}}


# A day later.


def test_a_key_is_kept_for_a_day_and_then_new(things):
    with clock.replaced(lambda: NOON):
        things.call(_request())
    with clock.replaced(lambda: NOON + KEPT_FOR):
        within_the_day = things.call(_request())
    with clock.replaced(lambda: NOON + KEPT_FOR + timedelta(seconds=1)):
        after_it = things.call(_request('{"data": "something else"}'))
        after_it_again = things.call(_request('{"data": "something else"}'))

    assert [_replayed(answer) for answer in (within_the_day, after_it, after_it_again)] == [
        True,
        False,
        True,
    ]
    assert things.made == ["thing 1", "thing 2"]


def test_a_refusal_is_remembered_under_a_key_of_yesterday_too(things):
    with clock.replaced(lambda: NOON):
        things.call(_request())
    with clock.replaced(lambda: NOON + timedelta(days=2)):
        _call(_request("{}"), _refuse(Refused(), after=_claim), things.again)
        second = things.call(_request("{}"))

    assert (second.status_code, _replayed(second)) == (422, True)
    assert things.made == ["thing 1"]


def test_t38_nothing_is_made_of_very_many_values_to_tell_bodies_apart(monkeypatch):
    read: list[int] = []
    monkeypatch.setattr(json, "loads", lambda body, **options: read.append(len(body)))
    many = b"[" + b"{}," * incoming.JSON_VALUES_MAX + b"{}]"

    assert idempotency._fingerprint(many) != idempotency._fingerprint(many + b" ")
    assert read == []


def test_purging_deletes_the_keys_whose_day_is_over(things):
    with clock.replaced(lambda: NOON):
        things.call(_request(key="old"))
    with clock.replaced(lambda: NOON + timedelta(hours=1)):
        things.call(_request(key="young"))

    with clock.replaced(lambda: NOON + KEPT_FOR + timedelta(minutes=1)):
        assert purge() == 1

    assert [record.key for record in IdempotencyKey.objects.all()] == ["young"]


# Claiming.


def test_a_key_is_claimed_only_inside_a_transaction():
    with pytest.raises(AssertionError):
        claim(Key.of(_request()), "thing")


def test_what_is_known_of_a_key_is_told_to_whoever_claims_it_again(things):
    things.call(_request())

    with pytest.raises(Answered) as answered, transaction.atomic():
        claim(Key.of(_request()), "another thing")

    record = answered.value.record
    assert (record.resource_id, record.status, record.path) == ("thing 1", None, "/v2/things")
    assert str(record) == "POST /v2/things key-1"


def test_claiming_a_key_is_one_statement(django_assert_num_queries):
    with transaction.atomic(), django_assert_num_queries(1):
        claim(Key.of(_request()), "thing")

    assert connection.in_atomic_block is False
