"""What becomes of a sku or a barcode on a label: which code, how large, and why no other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from backoffice.labels.papers import Paper
from backoffice.labels.symbols import Symbol, code_128, ean, is_code_128, is_ean, qr

# What somebody may ask for.
SKU, BARCODE, QR_CODE = "sku", "barcode", "qr"

# How wide the narrowest bar is, in millimetres: the first of these at which the code fits. Scanners
# read the last ones still, of what a good printer prints; they are whole dots of most.
BAR_MM = (0.375, 0.33, 0.264, 0.25, 0.19)
# EAN is not to be made smaller than to 80 %.
EAN_BAR_MM = BAR_MM[:3]
QR_DOT_MM_MAX = 0.6
# With more of them its dots get too small for the lowest of the labels.
QR_BYTES_MAX = 200


@dataclass(frozen=True)
class Kind:
    title: str
    draw: Callable[[str], Symbol]


CODE_128 = Kind("Code 128", code_128)
EAN = Kind("EAN", ean)
QR = Kind("QR code", qr)


@dataclass(frozen=True)
class Code:
    """What is drawn of which text, and why that was not what somebody asked for."""

    text: str
    paper: Paper
    # None: there is no code that fits.
    kind: Kind | None
    why: str = ""

    @cached_property
    def symbol(self) -> Symbol:
        assert self.kind
        return self.kind.draw(self.text)

    @property
    def is_square(self) -> bool:
        return self.kind == QR

    @property
    def width_mm(self) -> float:
        modules = self.symbol.width
        if self.is_square:
            return min(self.paper.square, modules * QR_DOT_MM_MAX)
        widths = EAN_BAR_MM if self.kind == EAN else BAR_MM
        return modules * next(bar for bar in widths if modules * bar <= self.paper.room)


def code_for(wanted: str, sku: str, barcode: str, paper: Paper) -> Code:
    """Choose the code that comes nearest to the wanted one and can be scanned from this paper."""
    text, why = sku, []
    if wanted == BARCODE:
        if is_ean(barcode):
            return Code(barcode, paper, EAN)
        if barcode:
            text = barcode
        else:
            why.append("It has no barcode: its SKU is printed.")
    if wanted != QR_CODE:
        if not is_code_128(text):
            why.append("Code 128 has no such letters: a QR code is printed.")
        elif code_128(text).width * BAR_MM[-1] > paper.room:
            why.append("Too long for Code 128 on this paper: a QR code is printed.")
        else:
            return Code(text, paper, CODE_128, " ".join(why))
    if len(text.encode()) > QR_BYTES_MAX:
        return Code(text, paper, None, "Too long for any code on this paper: printed without one.")
    return Code(text, paper, QR, " ".join(why))
