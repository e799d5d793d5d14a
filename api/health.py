"""What `/health/ready` tells beside its answer: details of other apps, none of which decides it.

An app registers its own when it is ready. Load balancers ask every second: each costs one look at
a row or two.
"""

from collections.abc import Callable

Detail = Callable[[], object]

_details: dict[str, Detail] = {}


def register(name: str, detail: Detail) -> None:
    """Tell what `detail` returns under this name; nothing, as long as that is None."""
    _details[name] = detail


def details() -> dict[str, object]:
    told = {name: detail() for name, detail in _details.items()}
    return {name: value for name, value in told.items() if value is not None}
