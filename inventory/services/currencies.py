"""The store's currencies."""

import functools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import iso4217
from django.conf import settings
from django.db import IntegrityError, connection
from django.db.models import ProtectedError

from api import changes, clock, store
from api.actors import Actor
from api.errors import Moved
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
# Of a code that is not in ISO 4217, or that has no digits there, such as gold.
USUAL_DIGITS = 2


def _refreshing_cache(service: Callable[P, R]) -> Callable[P, R]:
    """Make this process see at once what the service has committed."""

    @functools.wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        result = service(*args, **kwargs)
        forget()
        return result

    return run


@_refreshing_cache
@in_transaction
def create(
    *, actor: Actor, currency_id: uuid.UUID | None = None, key: Key | None = None, **fields: Any
) -> Currency:
    """Make a currency. Without `decimal_places` it has the digits that it has in the world.

    Raises: CurrencyTaken, CurrencyAmbiguous, CurrencyNotEnabled, TooManyCurrencies.
    """
    currency = Currency(id=currency_id or uuid7(), created_at=clock.now())
    claim(key, currency.pk)
    currencies = Currency.objects.lock_all()
    if len(currencies) >= CURRENCIES_MAX:
        raise TooManyCurrencies
    _write(currency, currencies, _with_digits(fields), actor)
    changes.created(actor, currency)
    return currency


@_refreshing_cache
@in_transaction
def change(
    currency_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **fields: Any,
) -> Currency:
    """Change the given fields and leave the rest. A new default replaces the one before.

    Another code brings its own digits along, where no `decimal_places` are given. `seen` is what
    stood in some of the fields.

    Raises: CurrencyNotFound, CurrencyTaken, CurrencyAmbiguous, CurrencyNotEnabled; Moved;
    CurrencyIsDefault if no default would be left; CurrencyInUse if the change would give existing
    amounts another meaning.
    """
    claim(key, currency_id)
    currencies = Currency.objects.lock_all()
    currency = _of(currency_id, currencies)
    if currency.default and not (fields.get("default", True) and fields.get("enabled", True)):
        raise CurrencyIsDefault
    fields = _with_digits(fields, unless=currency.code)
    means_other = any(
        fields.get(name, getattr(currency, name)) != getattr(currency, name)
        for name in ("code", "decimal_places")
    )
    if means_other and currency.is_in_use():
        raise CurrencyInUse
    with changes.recorded(actor, currency, seen=seen):
        _write(currency, currencies, fields, actor)
    if means_other:
        _require_unreferenced()
    return currency


def change_store(
    default: str,
    instead_of: str,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Make a currency the default instead of another, and change settings of the store with it.

    Raises: CurrencyNotEnabled; Moved, also where another one has become the default.
    """
    _change_store(default, instead_of, actor, seen, fields)
    store.forget()


@_refreshing_cache
@in_transaction
def _change_store(
    default: str,
    instead_of: str,
    actor: Actor,
    seen: Mapping[str, Any] | None,
    fields: Mapping[str, Any],
) -> None:
    currencies = Currency.objects.lock_all()
    if [each.code for each in currencies if each.default] != [instead_of]:
        raise Moved
    # One that was deleted meanwhile can be chosen no more than one that is disabled.
    chosen = [each for each in currencies if each.code == default]
    if not chosen:
        raise CurrencyNotEnabled
    with changes.recorded(actor, chosen[0]):
        _write(chosen[0], currencies, {"default": True}, actor)
    if fields:
        store.set_fields(actor, fields, seen)


@_refreshing_cache
@in_transaction
def delete(currency_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> None:
    """Raises: CurrencyNotFound, CurrencyIsDefault, CurrencyInUse."""
    claim(key, currency_id)
    currency = _of(currency_id, Currency.objects.lock_all())
    if currency.default:
        raise CurrencyIsDefault
    if currency.is_in_use():
        raise CurrencyInUse
    changes.deleted(actor, currency)
    try:
        currency.delete()
    except ProtectedError as error:
        raise CurrencyInUse from error
    _require_unreferenced()


def _with_digits(fields: Mapping[str, Any], *, unless: str = "") -> dict[str, Any]:
    """Say how many digits a newly named code has, where nobody did."""
    code = fields.get("code", unless)
    if code == unless or fields.get("decimal_places") is not None:
        return dict(fields)
    return {**fields, "decimal_places": own_digits(code)}


def own_digits(code: str) -> int:
    """Return how many decimal places a currency has in the world."""
    try:
        exponent = iso4217.Currency(code).exponent
    except ValueError:
        return USUAL_DIGITS
    return USUAL_DIGITS if exponent is None else exponent


def _require_unreferenced() -> None:
    """Check that nothing has begun to use the currency meanwhile: now, not at the commit.

    Raises: CurrencyInUse.
    """
    try:
        connection.check_constraints()
    except IntegrityError as error:
        raise CurrencyInUse from error


def _of(currency_id: uuid.UUID, currencies: Sequence[Currency]) -> Currency:
    for currency in currencies:
        if currency.pk == currency_id:
            return currency
    raise CurrencyNotFound


def _write(
    currency: Currency, currencies: Sequence[Currency], fields: Mapping[str, Any], actor: Actor
) -> None:
    for name, value in fields.items():
        setattr(currency, name, value)
    currency.require_unambiguous()
    if currency.default and not currency.enabled:
        raise CurrencyNotEnabled
    if any(other.code == currency.code and other.pk != currency.pk for other in currencies):
        raise CurrencyTaken
    currency.updated_at = clock.now()
    for other in currencies:
        if currency.default and other.default and other.pk != currency.pk:
            with changes.recorded(actor, other):
                other.default = False
                other.save(update_fields=["default"])
    currency.save()


# Currency rows rarely change, and every answer with money in it needs one: each process reads them
# again after some seconds.
class _Currencies(dict[str, Currency]):
    """Currencies by code. New ones are looked up; a deleted one is formatted as most are."""

    def __missing__(self, code: str) -> Currency:
        # Not added to the dictionary: another thread may be iterating over it.
        return Currency.objects.filter(code=code).first() or Currency(code=code, enabled=False)


_currencies: tuple[float, _Currencies] = (0.0, _Currencies())


def by_code() -> Mapping[str, Currency]:
    """Return the store's currencies by code."""
    global _currencies
    until, currencies = _currencies
    if until < time.monotonic():
        currencies = _Currencies(Currency.objects.in_bulk(field_name="code"))
        _currencies = (time.monotonic() + settings.CLIENT_CACHE_SECONDS, currencies)
    return currencies


def forget() -> None:
    global _currencies
    _currencies = (0.0, _Currencies())


def named(code: str) -> Currency:
    """Return the enabled currency, or the store's default for "". Raises: CurrencyUnknown."""
    for read in (by_code, _by_code_anew):
        for currency in read().values():
            if currency.enabled and (currency.code == code or (not code and currency.default)):
                return currency
    raise CurrencyUnknown(source="X-MOLTIN-CURRENCY")


def _by_code_anew() -> Mapping[str, Currency]:
    """Read the currencies again, for one that another process may just have made."""
    forget()
    return by_code()
