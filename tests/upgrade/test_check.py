"""The parts of `make upgrade-check`: what it takes for a fault, and where it begins."""

import subprocess
from http.client import HTTPMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import described
from tests.upgrade import __main__ as check
from tests.upgrade import load as of_load
from tests.upgrade import release
from tests.upgrade.load import Answer, Load

PATH = "/v2/orders/01900000-0000-7000-8000-000000000021"


@pytest.fixture
def load() -> Load:
    return Load()


def of(name: str) -> Any:
    return SimpleNamespace(name=name, description=described.of_this_release())


def answer(status: int, text: str) -> Answer:
    return Answer(of("old"), status, text, HTTPMessage())


def test_t49_a_server_error_is_a_fault_whatever_it_says():
    assert of_load.faults(answer(500, "{}"), "GET", PATH) == ["500"]
    assert of_load.faults(answer(503, "{}"), "GET", "/admin/") == ["503"]


def test_t49_so_is_an_answer_that_its_release_does_not_describe():
    refused = {"status": "404", "title": "Order not found", "code": "order_not_found"}
    told = described.of_this_release().strict["paths"]["/v2/orders/{order_id}"]["get"]
    assert "404" in told["responses"]

    [undescribed] = of_load.faults(answer(200, '{"data": {"id": "no order"}}'), "GET", PATH)
    assert "otherwise than described" in undescribed
    [another] = of_load.faults(answer(418, f'{{"errors": [{refused}]}}'), "GET", PATH)
    assert "is not said to answer 418" in another
    assert of_load.faults(answer(200, "<html>"), "GET", "/admin/") == []


def test_a_call_goes_to_releases_that_are_open_alone(load):
    old, new = of("old"), of("new")
    load.admit(old, new)
    with load._somewhere() as chosen:
        assert chosen in (old, new)
    load.admit(new)
    for _ in range(20):
        with load._somewhere() as chosen:
            assert chosen is new


def test_nobody_is_stopped_while_somebody_still_calls(load, monkeypatch):
    monkeypatch.setattr(of_load, "TIMEOUT_SECONDS", 0.05)
    left: list[bool] = []
    old, new = of("old"), of("new")
    load.admit(old)
    monkeypatch.setattr(
        load._change, "wait_for", lambda is_left, seconds: left.append(bool(is_left()))
    )
    with load._somewhere():
        load.admit(new)
    load.admit(new)

    assert left == [False, True]


def test_one_fault_is_told_once_however_often_it_is_met(load):
    assert of_load._template(f"{PATH}?include=items") == "/v2/orders/…"
    assert of_load._template("/v2/carts/cart-0123abc/items") == "/v2/carts/…/items"


def test_without_a_tag_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(release, "last_tag", lambda: None)
    monkeypatch.setattr("sys.argv", ["upgrade"])

    assert check.main() == 2
    assert "no tag" in capsys.readouterr().out


def test_it_begins_at_the_last_tag_of_a_release(tmp_path: Path):
    def git(*command: str) -> None:
        person = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *person, *command], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "--message", "One")
    assert release.last_tag(tmp_path) is None
    git("tag", "v0.2.0")
    git("tag", "nightly")
    git("commit", "--allow-empty", "--message", "Two")

    assert release.last_tag(tmp_path) == "v0.2.0"
