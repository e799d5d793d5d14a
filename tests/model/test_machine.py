"""A bounded run of the machines, the same each time. `python -m tests.model` goes on for long."""

import pytest

from tests.model.machine import Machine
from tests.model.running import run

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]


def test_the_services_do_what_the_model_says():
    run(Machine, examples=12, steps=30, beginning_with=13)
