"""Every service that takes a key claims it, or hands it on: no call with one happens twice."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.supervisor import PROJECT

APPS = ("api", "events", "inventory", "orders", "payments", "backoffice")
# What is about keys themselves.
ASIDE = {"api/idempotency.py"}
# Who sends a picture again that is there is told of that one.
LOOKS_BEFORE = {"inventory/services/pictures.py: _kept"}


def services() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Find each function that takes a key which its caller may have."""
    for path in sorted(each for app in APPS for each in Path(PROJECT, app).rglob("*.py")):
        name = str(path.relative_to(PROJECT))
        if name in ASIDE or "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and _takes_a_key(node):
                yield f"{name}: {node.name}", node


def _takes_a_key(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    return any(each.arg == "key" and _of_calls(each.annotation) for each in arguments)


def _of_calls(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation) in {"Key | None", "'Key | None'"}


def _uses(function: ast.FunctionDef) -> Iterator[tuple[int, bool]]:
    """Tell of each call that the key is given to: its line, and whether it is `claim`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(each, ast.Name) and each.id == "key" for each in given):
                yield node.lineno, ast.unparse(node.func) == "claim"


FOUND = dict(services())


@pytest.mark.parametrize("name", FOUND)
def test_f27_whoever_takes_a_key_claims_it_or_hands_it_on(name):
    assert list(_uses(FOUND[name])), "a call that is sent twice would happen twice"


@pytest.mark.parametrize("name", sorted(FOUND.keys() - LOOKS_BEFORE))
def test_f27_a_key_is_claimed_before_anything_is_read_or_locked(name):
    claimed = [line for line, is_claim in _uses(FOUND[name]) if is_claim]
    asked = [
        node.lineno
        for node in ast.walk(FOUND[name])
        if isinstance(node, ast.Call) and ".objects" in ast.unparse(node.func)
    ]

    assert not claimed or not asked or claimed[0] < min(asked)
