"""The dashboard, the alarms and the document name numbers that a shop tells, and all of them."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from django.test import Client

from config.supervisor import PROJECT
from payments.gateways.base import UNKNOWN
from payments.services import audit
from tests.factories import product, shipped_order, unpaid_order

DASHBOARD = json.loads((PROJECT / "deploy/grafana/holdfast.json").read_text())
ALARMS = PROJECT / "deploy/prometheus/holdfast-alerts.yml"
WATCHED = (PROJECT / "docs/operations.md").read_text().partition("## What to watch")[2]
NUMBERS, _, DOCUMENTED_ALARMS = WATCHED.partition("\n## ")[0].partition("Alarms worth having:")
# Of what a histogram and a counter tell, beside their name.
_PARTS = re.compile(r"_(bucket|count|sum)$")


def named(text: str) -> set[str]:
    return {_PARTS.sub("", name) for name in re.findall(r"\bholdfast_[a-z_]+", text)}


def queries(panels: list[dict[str, Any]]) -> list[str]:
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.fixture
def told(db, back_office, gateway) -> str:
    """What a shop tells in which everything has happened."""
    shipped_order({product(stock=1): 1})
    order = unpaid_order({product(stock=1): 1})
    gateway.on_charge = lambda payment: UNKNOWN
    assert back_office.pay(str(order.pk), gateway="fake").status_code == 202
    audit.compare()
    return Client().get("/metrics").text


def test_every_number_of_dashboard_alarms_and_document_is_told(told):
    tells = set(re.findall(r"^# TYPE (holdfast_\w+)", told, re.MULTILINE))

    assert named(NUMBERS) == tells
    for expression in queries(DASHBOARD["panels"]):
        assert named(expression), expression
        assert named(expression) <= tells, expression
    assert named(ALARMS.read_text()) <= tells


def test_what_is_told_is_on_the_dashboard():
    shown = named(json.dumps(DASHBOARD))

    assert named(NUMBERS) <= shown | {"holdfast_build_info"}


def test_there_is_an_alarm_for_each_row_of_the_document():
    _, *rules = ALARMS.read_text().split("- alert: ")
    watched = named(" ".join(rule.partition("labels:")[0] for rule in rules))

    assert named(DOCUMENTED_ALARMS) <= watched
    assert len({rule.split()[0] for rule in rules}) == len(rules)
    for rule in rules:
        assert re.search(r"labels: {severity: (critical|warning)}\n", rule)
        assert re.search(r"annotations:\n +summary: ", rule)


def test_every_panel_has_a_place_of_its_own():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


@pytest.mark.processes
@pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is not installed")
def test_prometheus_reads_the_alarms_and_every_query(tmp_path):
    checked = subprocess.run(
        ["promtool", "check", "rules", str(ALARMS)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

    asked = [re.sub(r"\$\w+", "5m", each) for each in queries(DASHBOARD["panels"])]
    rules = [{"record": f"query_{n}", "expr": expr} for n, expr in enumerate(asked)]
    shown = tmp_path / "dashboard.yml"
    shown.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", str(shown)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
