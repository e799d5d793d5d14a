"""The store's currencies."""

import functools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import IntegrityError, connection
from django.db.models import ProtectedError

from api import clock
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import (
    CurrencyInUse,
    CurrencyIsDefault,
    CurrencyNotEnabled,
    CurrencyNotFound,
    CurrencyTaken,
    CurrencyUnknown,
    TooManyCurrencies,
)
from inventory.models import Currency

P = ParamSpec("P")
R = TypeVar("R")

CURRENCIES_MAX = 10


def _known_anew(service: Callable[P, R]) -> Callable[P, R]:
    """Let this process see at once what the service has committed."""

    @functools.wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        done = service(*args, **kwargs)
        forget()
        return done

    return run


@_known_anew
@in_transaction
def create(
    *, currency_id: uuid.UUID | None = None, key: Key | None = None, **fields: Any
) -> Currency:
    """Raises: CurrencyTaken, CurrencyAmbiguous, CurrencyNotEnabled, TooManyCurrencies."""
    currency = Currency(id=currency_id or uuid7(), created_at=clock.now())
    claim(key, currency.pk)
    known = Currency.objects.lock_all()
    if len(known) >= CURRENCIES_MAX:
        raise TooManyCurrencies
    _write(currency, known, fields)
    return currency


@_known_anew
@in_transaction
def change(currency_id: uuid.UUID, *, key: Key | None = None, **fields: Any) -> Currency:
    """Change what is given and leave the rest. Another default takes the place of the one before.

    Raises: CurrencyNotFound, CurrencyTaken, CurrencyAmbiguous, CurrencyNotEnabled;
    CurrencyIsDefault if there would be none; CurrencyInUse if amounts would come to mean others.
    """
    claim(key, currency_id)
    known = Currency.objects.lock_all()
    currency = _of(currency_id, known)
    if currency.default and not (fields.get("default", True) and fields.get("enabled", True)):
        raise CurrencyIsDefault
    means_other = any(
        fields.get(name, getattr(currency, name)) != getattr(currency, name)
        for name in ("code", "decimal_places")
    )
    if means_other and currency.is_in_use():
        raise CurrencyInUse
    _write(currency, known, fields)
    if means_other:
        _require_unreferenced()
    return currency


@_known_anew
@in_transaction
def delete(currency_id: uuid.UUID) -> None:
    """Raises: CurrencyNotFound, CurrencyIsDefault, CurrencyInUse."""
    currency = _of(currency_id, Currency.objects.lock_all())
    if currency.default:
        raise CurrencyIsDefault
    if currency.is_in_use():
        raise CurrencyInUse
    try:
        currency.delete()
    except ProtectedError as error:
        raise CurrencyInUse from error
    _require_unreferenced()


def _require_unreferenced() -> None:
    """Look for whoever has begun to use the currency meanwhile: now, rather than at the commit.

    Raises: CurrencyInUse.
    """
    try:
        connection.check_constraints()
    except IntegrityError as error:
        raise CurrencyInUse from error


def _of(currency_id: uuid.UUID, known: Sequence[Currency]) -> Currency:
    for currency in known:
        if currency.pk == currency_id:
            return currency
    raise CurrencyNotFound


def _write(currency: Currency, known: Sequence[Currency], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        setattr(currency, name, value)
    currency.require_unambiguous()
    if currency.default and not currency.enabled:
        raise CurrencyNotEnabled
    if any(other.code == currency.code and other.pk != currency.pk for other in known):
        raise CurrencyTaken
    currency.updated_at = clock.now()
    if currency.default:
        Currency.objects.exclude(pk=currency.pk).update(default=False)
    currency.save()


# Currency rows change about never, and every answer with money in it needs one: each process looks
# again after some seconds.
class _Currencies(dict[str, Currency]):
    """By code. What was made since is looked up; what is gone is written as most currencies are."""

    def __missing__(self, code: str) -> Currency:
        # Kept by nobody: another thread may be reading this dictionary from end to end.
        return Currency.objects.filter(code=code).first() or Currency(code=code, enabled=False)


_currencies: tuple[float, _Currencies] = (0.0, _Currencies())


def by_code() -> Mapping[str, Currency]:
    """Return the store's currencies by code."""
    global _currencies
    until, known = _currencies
    if until < time.monotonic():
        known = _Currencies(Currency.objects.in_bulk(field_name="code"))
        _currencies = (time.monotonic() + settings.CLIENT_CACHE_SECONDS, known)
    return known


def forget() -> None:
    global _currencies
    _currencies = (0.0, _Currencies())


def named(code: str) -> Currency:
    """Return the enabled currency, or the store's default for "". Raises: CurrencyUnknown."""
    for known in (by_code, _by_code_anew):
        for currency in known().values():
            if currency.enabled and (currency.code == code or (not code and currency.default)):
                return currency
    raise CurrencyUnknown(source="X-MOLTIN-CURRENCY")


def _by_code_anew() -> Mapping[str, Currency]:
    """Look again for what another process may just have made."""
    forget()
    return by_code()
