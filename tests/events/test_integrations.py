"""/v2/integrations: who is told of events, as it is published, and what is ours beside it."""

import base64
import uuid
from datetime import timedelta
from typing import Any

import pytest

from api import clock
from api.errors import Moved
from api.models import Change
from events.errors import TooManyIntegrations
from events.models import Integration, Progress
from events.services import integrations
from tests.events.made import attempt, events, integration, job
from tests.events.told import payload, told_of
from tests.factories import MERCHANT
from tests.http import a_moment, an_id, assert_shape, statements
from tests.lists import asked

pytestmark = pytest.mark.django_db

UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")
BODY: dict[str, Any] = {
    "type": "integration",
    "name": "Shipping",
    "description": "Tells the warehouse",
    "enabled": True,
    "integration_type": "webhook",
    "observes": ["order.paid", "order.cancelled"],
    "configuration": {"url": "https://shop.example.com/told?by=us", "secret_key": "s3cret"},
}


def path(of: Integration) -> str:
    return f"/v2/integrations/{of.pk}"


def errors(answer: Any) -> dict[str, str]:
    return {error["source"]: error["code"] for error in answer.json()["errors"]}


def test_an_integration_is_made_and_shown_in_the_shape_of_the_contract(back_office):
    answer = back_office.post("/v2/integrations", BODY)

    shown = answer.json()["data"]
    assert answer.status_code == 200
    timestamps = {"created_at": a_moment, "updated_at": a_moment}
    assert_shape(
        shown,
        {
            **BODY,
            "id": an_id,
            "observes": [str],
            "links": {"self": str},
            "meta": {"timestamps": timestamps},
        },
    )
    assert shown["observes"] == BODY["observes"]
    assert shown["links"]["self"].endswith(f"/v2/integrations/{shown['id']}")
    secret = shown["meta"].pop("signing_secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    # Told once.
    assert back_office.get(f"/v2/integrations/{shown['id']}").json()["data"] == shown
    assert back_office.get("/v2/integrations").json()["data"] == [shown]


def test_only_a_name_an_address_and_what_it_observes_is_needed(back_office):
    body = {"name": "A", "observes": ["stock.out"], "configuration": {"url": "https://a.example/"}}

    shown = back_office.post("/v2/integrations", body).json()["data"]

    assert (shown["enabled"], shown["description"]) == (False, "")
    assert shown["integration_type"] == "webhook"
    assert shown["configuration"] == {"url": "https://a.example/", "secret_key": ""}


def test_what_it_observes_may_be_called_as_the_published_list_calls_it(back_office):
    body = {name: value for name, value in BODY.items() if name != "observes"}

    by_both = back_office.post(
        "/v2/integrations", {**BODY, "observers": ["order.cancelled", "order.paid"]}
    )
    by_other = back_office.post("/v2/integrations", {**body, "observers": ["order.paid"]})
    differing = back_office.post("/v2/integrations", {**BODY, "observers": ["order.paid"]})

    assert by_both.json()["data"]["observes"] == BODY["observes"]
    assert by_other.json()["data"]["observes"] == ["order.paid"]
    assert (differing.status_code, errors(differing)) == (
        422,
        {"data.observers": "field_differs"},
    )


def test_each_event_is_observed_once_however_often_it_is_named(back_office):
    body = {**BODY, "observes": ["stock.low", "order.paid", "stock.low"]}

    shown = back_office.post("/v2/integrations", body).json()["data"]

    assert shown["observes"] == ["stock.low", "order.paid"]


@pytest.mark.parametrize(
    ("fields", "status", "expected"),
    [
        ({"name": ""}, 422, {"data.name": "field_blank"}),
        ({"name": "x" * 201}, 422, {"data.name": "field_max_length"}),
        ({"description": "x" * 2001}, 422, {"data.description": "field_max_length"}),
        ({"observes": []}, 422, {"data.observes": "field_min_length"}),
        ({"observes": ["order.paid"] * 101}, 422, {"data.observes": "field_max_length"}),
        (
            {"observes": ["order.paid", "order.payed", "customer.created"]},
            422,
            {"data.observes.1": "field_invalid_choice", "data.observes.2": "not_supported"},
        ),
        ({"integration_type": "aws_sqs"}, 422, {"data.integration_type": "not_supported"}),
        ({"integration_type": "stomp"}, 422, {"data.integration_type": "not_supported"}),
        ({"integration_type": "pigeon"}, 422, {"data.integration_type": "field_invalid_choice"}),
        ({"configuration": {}}, 400, {"data.configuration.url": "field_required"}),
        (
            {"configuration": {"url": "https://10.0.0.7/"}, "name": ""},
            422,
            {"data.configuration.url": "field_url", "data.name": "field_blank"},
        ),
        (
            {"configuration": {"url": "https://a.example/", "secret_key": "two\r\nlines"}},
            422,
            {"data.configuration.secret_key": "field_characters"},
        ),
        (
            {"configuration": {"url": "https://a.example/", "region": "eu-west-1"}},
            422,
            {"data.configuration.region": "not_supported"},
        ),
        ({"configuration": "https://a.example/"}, 400, {"data.configuration": "field_invalid"}),
        ({"enabled": "true"}, 400, {"data.enabled": "field_type"}),
        ({"observes": "order.paid"}, 400, {"data.observes": "field_not_a_list"}),
    ],
)
def test_what_breaks_a_rule_is_refused_field_by_field(back_office, fields, status, expected):
    made = integration()

    for answer in (
        back_office.post("/v2/integrations", {**BODY, **fields}),
        back_office.put(path(made), fields) if status == 422 else None,
    ):
        assert answer is None or (answer.status_code, errors(answer)) == (status, expected)
    assert Integration.objects.count() == 1


def test_what_is_left_out_of_a_change_stays(back_office):
    shown = back_office.post("/v2/integrations", BODY).json()["data"]
    where = f"/v2/integrations/{shown['id']}"

    back_office.put(where, {"type": "integration", "configuration": {"secret_key": "other"}})
    changed = back_office.put(where, {"id": shown["id"], "observes": ["stock.low"]}).json()["data"]

    assert changed["configuration"] == {**BODY["configuration"], "secret_key": "other"}
    assert changed["observes"] == ["stock.low"]
    assert changed["name"] == "Shipping"
    assert "signing_secret" not in changed["meta"]
    assert errors(back_office.put(where, {"id": str(UNKNOWN)})) == {"data.id": "bad_request"}


def test_a_change_that_changes_nothing_is_none(back_office):
    shown = back_office.post("/v2/integrations", BODY).json()["data"]
    told = Change.objects.count()

    again = back_office.put(f"/v2/integrations/{shown['id']}", BODY).json()["data"]

    assert again["meta"]["timestamps"] == shown["meta"]["timestamps"]
    assert Change.objects.count() == told


def test_a_secret_is_renewed_and_the_one_before_signs_for_a_day(back_office):
    made = integration()
    before = made.signing_secret

    shown = back_office.post(f"{path(made)}/secret").json()["data"]

    made.refresh_from_db()
    assert shown["meta"]["signing_secret"] == made.signing_secret != before
    assert made.old_signing_secret == before
    assert made.old_signs_until == made.updated_at + timedelta(hours=24)
    assert "signing_secret" not in back_office.get(path(made)).json()["data"]["meta"]


def test_no_answer_that_is_made_again_has_a_secret(back_office):
    first = back_office.post("/v2/integrations", BODY, key="one").json()["data"]
    again = back_office.post("/v2/integrations", BODY, key="one")
    where = f"/v2/integrations/{first['id']}/secret"
    renewed = back_office.post(where, key="two").json()["data"]
    renewed_again = back_office.post(where, key="two")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"]["id"] == first["id"]
    assert renewed_again.headers["Idempotent-Replayed"] == "true"
    for answer in (again, renewed_again):
        assert "signing_secret" not in answer.json()["data"]["meta"]
    row = Integration.objects.get()
    assert row.signing_secret == renewed["meta"]["signing_secret"]
    assert row.old_signing_secret == first["meta"]["signing_secret"]


def test_the_record_tells_what_was_set_and_of_secrets_only_that_they_changed(back_office):
    shown = back_office.post("/v2/integrations", BODY).json()["data"]
    where = f"/v2/integrations/{shown['id']}"
    change = {"observes": ["stock.low"], "configuration": {"secret_key": "n3w"}}
    back_office.put(where, change)
    back_office.post(f"{where}/secret")
    back_office.delete(where)

    told = list(Change.objects.filter(kind="events.integration").order_by("pk"))

    assert [entry.what for entry in told] == ["created", "changed", "secret renewed", "deleted"]
    assert told[1].fields == [
        {"field": "secret_key"},
        {"field": "observes", "before": "order.paid, order.cancelled", "after": "stock.low"},
    ]
    assert [each["field"] for each in told[2].fields] == [
        *("signing_secret", "old_signing_secret", "old_signs_until")
    ]
    written = str([entry.fields for entry in told])
    assert not any(secret in written for secret in ("s3cret", "n3w", "whsec_"))


def test_others_hear_of_it_and_learn_none_of_its_secrets(back_office):
    [made] = told_of(lambda: back_office.post("/v2/integrations", BODY))

    assert made.type == "integration.created"
    told = payload(made)["data"]
    assert (told["name"], told["observes"]) == ("Shipping", BODY["observes"])
    assert told["configuration"] == {"url": BODY["configuration"]["url"]}
    assert "s3cret" not in made.payload
    assert "whsec_" not in made.payload


# How far it has been told.


def test_a_new_one_is_told_of_what_comes(back_office):
    events("order.paid", "order.paid", first=7)

    assert integration().progress.position == 8


def test_one_that_people_disabled_goes_on_from_now():
    made, position = integration(), 5
    events(*["order.paid"] * position)

    integrations.change(made.pk, enabled=False, actor=MERCHANT)
    assert Progress.objects.get().position == 0
    integrations.change(made.pk, enabled=True, actor=MERCHANT)

    assert Progress.objects.get().position == position


def test_one_that_was_disabled_by_itself_goes_on_from_where_it_was():
    made = integration()
    events("order.paid", "order.paid")
    waiting = job(made, next_at=clock.now() + timedelta(hours=20))
    Integration.objects.update(enabled=False)
    now = clock.now()
    Progress.objects.update(given_up_at=now, given_up_why="410", failing_since=now, waits_until=now)

    integrations.change(made.pk, enabled=True, actor=MERCHANT)

    progress = Progress.objects.get()
    assert progress.position == 0
    assert (progress.given_up_at, progress.given_up_why) == (None, "")
    assert (progress.failing_since, progress.waits_until) == (None, None)
    # What failed is tried at once, and not when it would have been.
    waiting.refresh_from_db()
    assert waiting.next_at is not None
    assert (waiting.state, waiting.next_at <= clock.now()) == ("waiting", True)


@pytest.mark.parametrize("enabled", [True, False])
def test_who_delivered_meanwhile_has_lost_its_lease(enabled):
    made = integration(enabled=not enabled)
    Progress.objects.update(leased_by=UNKNOWN, leased_until=clock.now())

    integrations.change(made.pk, enabled=enabled, actor=MERCHANT)

    progress = Progress.objects.get()
    assert (progress.leased_by, progress.leased_until) == (None, None)


@pytest.mark.parametrize("ends", ["disabled", "deleted"])
def test_what_waits_is_given_up_when_it_ends(ends):
    made, other = integration(), integration()
    waiting, others = job(made, next_at=clock.now()), job(other)
    done = job(made, state="delivered", ended_at=clock.now())

    if ends == "disabled":
        integrations.change(made.pk, enabled=False, actor=MERCHANT)
    else:
        integrations.delete(made.pk, actor=MERCHANT)

    for row in (waiting, others, done):
        row.refresh_from_db()
    assert (waiting.state, waiting.next_at, done.state) == ("given up", None, "delivered")
    assert (waiting.ended_at is not None, others.state) == (True, "waiting")


def test_what_failed_is_tried_at_once_where_its_address_was_mended():
    made, later = integration(), clock.now() + timedelta(hours=20)
    waiting = job(made, next_at=later)
    Progress.objects.update(waits_until=later)

    integrations.change(made.pk, name="Depot", actor=MERCHANT)
    assert Progress.objects.get().waits_until == later
    integrations.change(made.pk, url="https://b.example/", actor=MERCHANT)

    waiting.refresh_from_db()
    assert waiting.next_at is not None
    assert waiting.next_at <= clock.now()
    assert Progress.objects.get().waits_until is None


# Deleting.


def test_an_integration_is_deleted_and_what_became_of_its_deliveries_stays(back_office):
    made = integration()
    tried = attempt(job(made, state="delivered", ended_at=clock.now()), 1)

    assert back_office.delete(path(made)).status_code == 204
    assert back_office.delete(path(made)).status_code == 404

    assert not Integration.objects.exists()
    assert not Progress.objects.exists()
    [shown] = back_office.get("/v2/integrations/logs").json()["data"]
    assert shown["id"] == str(tried.pk)


def test_to_delete_one_costs_the_same_whatever_was_delivered():
    def cost(deliveries: int) -> int:
        made = integration()
        for _ in range(deliveries):
            attempt(job(made, state="delivered", ended_at=clock.now()), 1)
        return statements(lambda: integrations.delete(made.pk, actor=MERCHANT))

    assert cost(0) == cost(5)


# Many, and two at once.


def test_a_store_has_at_most_a_hundred(monkeypatch):
    monkeypatch.setattr(integrations, "INTEGRATIONS_MAX", 2)
    integration(), integration()

    with pytest.raises(TooManyIntegrations):
        integration()


def test_who_saw_another_state_changes_nothing():
    made = integration()

    with pytest.raises(Moved):
        integrations.change(made.pk, name="A", seen={"name": "Other"}, actor=MERCHANT)

    integrations.change(made.pk, name="A", seen={"name": "Shipping"}, actor=MERCHANT)


def test_integrations_are_filtered_and_sorted(back_office):
    first, second = integration(name="Beta"), integration(name="Alpha", enabled=False)

    def found(**parameters: Any) -> list[str]:
        shown = asked(back_office, "/v2/integrations", **parameters).json()["data"]
        return [row["id"] for row in shown]

    both = [str(first.pk), str(second.pk)]
    assert found() == both
    assert found(sort="-created_at") == found(sort="name") == both[::-1]
    assert found(filter="eq(enabled,false)") == found(filter="like(name,alph*)") == both[1:]
    assert found(filter="lt(created_at,2026-01-01)") == []


# What became of deliveries.


def test_jobs_and_logs_are_told_newest_first(back_office):
    made, other = integration(), integration()
    events("order.paid", first=9)
    first = job(made, origin="feed", position=9, attempts=2)
    second = job(made, type="stock.low", state="delivered", ended_at=clock.now())
    failed = attempt(
        first, 1, succeeded=False, status_code=None, error_detail="No answer within 10 s"
    )
    refused = attempt(first, 2, succeeded=False, status_code=503, body="busy")
    passed = attempt(second, 1)
    elsewhere = attempt(job(other), 1)

    def ids(where: str, **parameters: Any) -> list[str]:
        return [row["id"] for row in asked(back_office, where, **parameters).json()["data"]]

    logs, jobs = f"{path(made)}/logs", f"{path(made)}/jobs"
    newest_first = [str(row.pk) for row in (passed, refused, failed)]
    assert ids("/v2/integrations/logs") == [str(elsewhere.pk), *newest_first]
    assert ids(logs) == newest_first
    assert ids(logs, filter="eq(succeeded,false)") == newest_first[1:]
    assert ids(jobs) == [str(second.pk), str(first.pk)]
    assert ids(jobs, filter=f"eq(event_id,{first.event_id})") == [str(first.pk)]
    assert ids(f"{jobs}/{first.pk}/logs") == newest_first[1:]

    shown = back_office.get(f"{jobs}/{first.pk}/logs").json()["data"]
    event = {"id": str(first.event_id), "position": 9, "triggered_by": "order.paid"}
    assert_shape(
        shown[0],
        {
            "id": str(refused.pk),
            "type": "integration",
            "succeeded": False,
            "attempt": 2,
            "status_code": 503,
            "body": "busy",
            "error_detail": "",
            "milliseconds": 12,
            "created_at": a_moment,
            "event": event,
            "relationships": {
                "integration": {"data": {"type": "integration", "id": str(made.pk)}},
                "job": {"data": {"type": "integration-job", "id": str(first.pk)}},
            },
        },
    )
    assert "status_code" not in shown[1]
    [told] = back_office.get(f"{jobs}?id={first.pk}").json()["data"]
    assert_shape(
        told,
        {
            "id": str(first.pk),
            "type": "integration-job",
            "state": "waiting",
            "origin": "feed",
            "attempts": 2,
            "event": event,
            "created_at": a_moment,
            "next_at": None,
            "ended_at": None,
        },
    )


def test_logs_are_counted_no_further_than_offsets_go(back_office, monkeypatch):
    monkeypatch.setattr("events.views.OFFSET_MAX", 3)
    made = integration()
    for number in range(1, 6):
        attempt(job(made), number)

    first = back_office.get("/v2/integrations/logs?page[limit]=4").json()
    second = back_office.get(first["links"]["next"]).json()

    assert first["meta"]["results"]["total"] == 3
    assert (len(first["data"]), len(second["data"]), second["links"]["next"]) == (4, 1, None)


def test_what_is_not_there_is_not_found(back_office):
    made, other = integration(), integration()
    elsewhere = job(other)

    for where, code in (
        (f"/v2/integrations/{UNKNOWN}", "integration_not_found"),
        (f"/v2/integrations/{UNKNOWN}/logs", "integration_not_found"),
        (f"/v2/integrations/{UNKNOWN}/jobs", "integration_not_found"),
        (f"/v2/integrations/{UNKNOWN}/jobs/{elsewhere.pk}/logs", "integration_not_found"),
        (f"{path(made)}/jobs/{elsewhere.pk}/logs", "integration_job_not_found"),
    ):
        answer = back_office.get(where)
        assert answer.status_code == 404, where
        assert answer.json()["errors"][0]["code"] == code
    for answer in (
        back_office.put(f"/v2/integrations/{UNKNOWN}", {"name": "A"}),
        back_office.post(f"/v2/integrations/{UNKNOWN}/secret"),
        back_office.delete(f"/v2/integrations/{UNKNOWN}"),
    ):
        assert answer.status_code == 404


def test_shoppers_learn_nothing_of_integrations(storefront):
    made = integration()

    for where in ("", "/logs", f"/{made.pk}", f"/{made.pk}/jobs"):
        assert storefront.get(f"/v2/integrations{where}").status_code == 403
    assert storefront.post("/v2/integrations", BODY).status_code == 403
