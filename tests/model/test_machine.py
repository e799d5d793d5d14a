"""A bounded run of the machines, the same each time. `python -m tests.model` goes on for long."""

import pytest

from tests.model.machine import ServicesMachine
from tests.model.over_http import HttpMachine
from tests.model.running import run

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]


def test_the_services_do_what_the_model_says():
    run(ServicesMachine, examples=12, steps=25, beginning_with=13)


def test_callers_whose_answers_get_lost_find_what_the_model_says():
    run(HttpMachine, examples=7, steps=25, beginning_with=13)
