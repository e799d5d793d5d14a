"""How a machine is run: so many examples from a seed, each a shop of its own."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from tests.model.machine import Machine, ServicesMachine
from tests.model.over_http import HttpMachine

MACHINES: dict[str, type[Machine]] = {"services": ServicesMachine, "http": HttpMachine}

SHRINKING = tuple(Phase)
PLAIN = (Phase.explicit, Phase.generate)


def run(
    machine: type[Machine],
    *,
    examples: int,
    steps: int,
    beginning_with: int,
    shrinks: bool = True,
) -> None:
    """Fail with the steps that led to it, made as few as possible where it `shrinks`."""
    how = settings(
        deadline=None,
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=SHRINKING if shrinks else PLAIN,
    )
    seed(beginning_with)(get_state_machine_test(machine, settings=how))()
