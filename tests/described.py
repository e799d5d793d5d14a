"""Every answer that the tests get from the API, held against its description."""

import copy
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs


def closed(piece: Any) -> Any:
    """Forbid what a description of an answer does not name."""
    if isinstance(piece, list):
        return [closed(nested) for nested in piece]
    if not isinstance(piece, dict):
        return piece
    nested = {name: closed(value) for name, value in piece.items()}
    return {**nested, "additionalProperties": False} if "required" in nested else nested


class Description:
    """The description of a release, as strict as its answers can be read."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.strict = copy.deepcopy(told)
        for operations in self.strict["paths"].values():
            for operation in operations.values():
                operation["responses"] = closed(operation["responses"])
        pieces = self.strict["components"]["schemas"]
        for name, piece in pieces.items():
            if not name.endswith("Request"):
                pieces[name] = closed(piece)
        # The one with fewer variables comes first.
        self.paths = sorted(self.strict["paths"].items(), key=lambda each: each[0].count("{"))
        self.validators: dict[tuple[str, str, str], jsonschema_rs.Validator | None] = {}

    def assert_fits(self, method: str, path: str, answer: Any) -> None:
        """Raises: AssertionError for an answer that the operation is not said to give.

        A server error is said of none, and may come of any.
        """
        operation = self._operation(method.lower(), path.partition("?")[0].rstrip("/"))
        if operation is None or answer.status_code == 500:
            return
        described, status = f"{method} {operation}", str(answer.status_code)
        responses = self.strict["paths"][operation][method.lower()]["responses"]
        assert status in responses, f"{described} is not said to answer {status}: {answer.content}"
        validator = self._validator(operation, method.lower(), status)
        if validator is None:
            assert answer.content == b"", f"{described} is said to answer {status} without a body"
            return
        body = json.loads(answer.content)
        wrong = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(body)]
        assert not wrong, f"{described} answers {status} otherwise than described: {wrong}"
        if answer.status_code >= 400:
            _assert_named(described, body["errors"], responses)

    def _operation(self, method: str, path: str) -> str | None:
        for template, operations in self.paths:
            pattern = re.sub(r"{\w+}", "[^/]+", template)
            if re.fullmatch(pattern, path):
                return template if method in operations else None
        return None

    def _validator(
        self, operation: str, method: str, status: str
    ) -> jsonschema_rs.Validator | None:
        place = (operation, method, status)
        if place not in self.validators:
            self.validators[place] = self._read(*place)
        return self.validators[place]

    def _read(self, operation: str, method: str, status: str) -> jsonschema_rs.Validator | None:
        response = self.strict["paths"][operation][method]["responses"][status]
        if "content" not in response:
            return None
        schema = response["content"]["application/json"]["schema"]
        whole = {**schema, "components": self.strict["components"]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def of_this_release() -> Description:
    # Read here, so that what knows another release's description needs no Django.
    from api.schema import document

    return Description(document())


def strictly_described() -> dict[str, Any]:
    return of_this_release().strict


def assert_described(method: str, path: str, answer: Any) -> None:
    """Raises: AssertionError for an answer that the operation is not said to give."""
    of_this_release().assert_fits(method, path, answer)


def _assert_named(
    described: str, errors: list[dict[str, Any]], responses: Mapping[str, Mapping[str, str]]
) -> None:
    """In a list, refusals of different statuses share one: so a code may stand by another."""
    told = "".join(response["description"] for response in responses.values())
    for entry in errors:
        code = "field_…" if entry["code"].startswith("field_") else entry["code"]
        assert f"`{code}`" in told, f"{described} is not said to refuse by {entry}"
