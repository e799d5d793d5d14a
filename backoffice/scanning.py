"""Scan after scan into one field: what a keyboard scanner types, and what is said to each scan.

The field's page is sent as a whole, or by scanning.js piece by piece, which asks for the answer
alone. Either way each scan is one form that happens once: see backoffice.forms.OnceForm.
"""

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from api.errors import Busy, Refusal
from api.fields import UNITS_MAX
from api.idempotency import KeyInUse
from backoffice.actions import words
from backoffice.base import is_number
from backoffice.forms import OnceForm, WholeNumberField
from inventory.errors import ManyUnits
from inventory.services import codes

CODE_LENGTH_MAX = 200
# That of an EAN-8. Shorter codes cannot be told from quantities.
BARCODE_LENGTH_MIN = 8
# Typed before the scan: 12*4006381333931.
_SO_MANY = re.compile(r"(?P<quantity>[0-9]{1,10})\s*\*\s*(?P<code>.+)")


class QuantityField(WholeNumberField):
    """A number of units, and not a product's code, which a scanner types wherever the cursor is."""

    def clean(self, value: Any) -> int | None:
        written = str(value or "").strip()[:CODE_LENGTH_MAX]
        if len(written) >= BARCODE_LENGTH_MIN and codes.product_scanned(written):
            raise ValidationError(f"{written} is the code of a product, and no quantity.")
        quantity: int | None = super().clean(value)
        return quantity


class ScanForm(OnceForm):
    """A code, and how many units of it: one, unless a number was typed."""

    beside = ("action",)

    code = forms.CharField(
        label="SKU or barcode",
        max_length=CODE_LENGTH_MAX,
        widget=UnfoldAdminTextInputWidget(
            {"autocomplete": "off", "autofocus": True, "autocapitalize": "off", "spellcheck": False}
        ),
        error_messages={"required": "Scan or type the code of a product."},
    )
    quantity = QuantityField(
        label="Units",
        required=False,
        initial=1,
        min_value=1,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget({"min": 1, "autocomplete": "off"}),
    )
    # Said of a quantity that looked like a mistake.
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        code = cleaned.get("code", "")
        so_many = _SO_MANY.fullmatch(code)
        if so_many and not codes.product_scanned(code):
            cleaned["code"] = so_many["code"]
            self._take(cleaned, int(so_many["quantity"]))
        elif "quantity" not in self.errors:
            cleaned["quantity"] = cleaned.get("quantity") or 1
        return cleaned

    def _take(self, cleaned: dict[str, Any], quantity: int) -> None:
        if 1 <= quantity <= UNITS_MAX:
            cleaned["quantity"] = quantity
        else:
            self.add_error("code", f"{quantity} is no quantity: at least 1, at most {UNITS_MAX}.")

    @property
    def refusals(self) -> list[str]:
        """Say all that is wrong with it, in one place."""
        return [str(error) for errors in self.errors.values() for error in errors]


@dataclass(frozen=True)
class Told:
    """What is said to a scan: large, in colour, and aloud to who listens to the page."""

    heading: str
    note: str = ""
    # Such as "7 of 12".
    figure: str = ""
    words: str = ""
    # What is to be looked at, though it was counted: it came and nobody expected it.
    is_odd: bool = False
    is_refused: bool = False
    # A form that repeats the scan and confirms it, or takes it back: its hidden fields and button.
    hidden: tuple[tuple[str, str], ...] = ()
    button: str = ""


def wants_answer_alone(request: HttpRequest) -> bool:
    """Tell whether scanning.js sent it, which draws the answer into the page that is there."""
    return request.headers.get("X-Scan") == "1"


def require_answer(request: HttpRequest, refusal: Refusal) -> None:
    """Let scanning.js send a scan again that was not looked at: nobody is to scan it once more.

    Raises: the refusal.
    """
    if wants_answer_alone(request) and isinstance(refusal, Busy | KeyInUse):
        raise refusal


def add_refusal(request: HttpRequest, form: ScanForm, refusal: Refusal) -> str:
    """Say on the form why a scan was refused; return the button that counts it all the same, or "".

    Raises: the refusal, where scanning.js is to send the scan again.
    """
    require_answer(request, refusal)
    form.add_error(None, words(refusal))
    if isinstance(refusal, ManyUnits):
        return f"Yes, count {form.cleaned_data['quantity']:,} units"
    return ""


def scan_to_take_back(request: HttpRequest) -> tuple[int, int]:
    """Return the key of a scan's line, and of how many units it was.

    Raises: SuspiciousOperation.
    """
    line, units = (request.POST.get(name, "") for name in ("line", "units"))
    if not is_number(line) or not is_number(units) or not int(units):
        raise SuspiciousOperation("no such scan")
    return int(line), int(units)


def not_taken_back(request: HttpRequest, refusal: Refusal) -> Told:
    """Raises: the refusal, where scanning.js is to send it again."""
    require_answer(request, refusal)
    return Told("Not taken back", words=words(refusal), is_refused=True)


def refused(form: ScanForm, *, confirm: str = "") -> Told:
    """Say why a scan was not counted; `confirm` is a button that counts it all the same."""
    code = form.data.get("code", "").strip()[:100]
    hidden = (
        ("action", "scan"),
        ("code", code),
        ("quantity", str(form.cleaned_data.get("quantity", 1))),
        ("confirmed", "on"),
        ("once", form.once_more()),
    )
    return Told(
        heading="Not counted",
        note=code,
        words=" ".join(form.refusals),
        is_refused=True,
        hidden=hidden if confirm else (),
        button=confirm,
    )
