"""Bodies of which nothing is passed over in silence."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from api.errors import FieldError, NotSupported, UnknownField

# So many unknown names are told of a body that is refused, and so much of each.
_NAMES_TOLD = 20
_LENGTH_TOLD = 100


class PublishedBody(serializers.Serializer[Any]):
    """An object of which no published name is passed over: it is acted on, kept, or refused.

    Names that no version of the contract knows are ignored. So is a published one whose value is
    null, false or empty, since nothing is asked for with it.
    """

    # Names of the published contract that nothing here acts on, unless there is a field for one.
    not_supported: ClassVar[frozenset[str]] = frozenset()
    # Published names that have one value here: whoever says another one is refused, too.
    fixed: ClassVar[Mapping[str, Any]] = {}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        refused = self._refused(data) if isinstance(data, Mapping) else {}
        try:
            fields: dict[str, Any] = super().to_internal_value(data)
        except serializers.ValidationError as error:
            wrong: Any = error.detail
            raise serializers.ValidationError({**wrong, **refused}) from error
        if refused:
            raise serializers.ValidationError(refused)
        return fields

    def _refused(self, data: Mapping[str, Any]) -> dict[str, list[ErrorDetail]]:
        beside = (data.keys() & self.not_supported) - self.fields.keys()
        asked_for = {name for name in beside if data[name] or type(data[name]) is int}
        asked_for |= {
            name for name, only in self.fixed.items() if data.get(name) not in (None, only)
        }
        return {
            **{name: [_told(NotSupported)] for name in sorted(asked_for)},
            **{name: [ErrorDetail("", "required")] for name in self.missing(data)},
        }

    def missing(self, data: Mapping[str, Any]) -> set[str]:
        """Name fields that are required by what else there is; the others say so themselves."""
        return set()


class WholeBody(PublishedBody):
    """An object that is refused if any name in it means nothing here, known or not."""

    def _refused(self, data: Mapping[str, Any]) -> dict[str, list[ErrorDetail]]:
        beside = data.keys() - self.fields.keys()
        known = beside & self.not_supported
        return {
            **{name: [_told(UnknownField)] for name in _to_tell(beside - known)},
            **{name: [_told(NotSupported)] for name in sorted(known)},
        }


def _told(refusal: type[NotSupported] | type[UnknownField]) -> ErrorDetail:
    return ErrorDetail(refusal.detail, refusal.code)


def _to_tell(names: Iterable[str]) -> list[str]:
    """Return names as a refusal may repeat them: not all, not at any length, and in UTF-8."""
    told = sorted(names)[:_NAMES_TOLD]
    return [name[:_LENGTH_TOLD].encode(errors="replace").decode() for name in told]


def unknown(names: Iterable[str]) -> list[FieldError]:
    """Return an error for each name that means nothing where it stands."""
    code, detail = UnknownField.code, UnknownField.detail
    return [FieldError(name, code, detail, code) for name in _to_tell(names)]
