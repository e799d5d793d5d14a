"""How pages for people write times and movements: known to every template.

Unfold draws templates while models are being loaded, so this imports none.
"""

from importlib import import_module
from typing import Any

from django import template

from backoffice.dates import day, moment, said
from backoffice.menu import crumbs

register = template.Library()
register.filter(crumbs)
register.filter(day)
register.filter(moment)
register.filter(said)


@register.filter
def movement(entry: Any) -> str:
    drawn: str = import_module("backoffice.movements").shown(entry)
    return drawn


@register.filter
def word(entry: Any) -> str:
    said: str = import_module("backoffice.movements").word(entry)
    return said
