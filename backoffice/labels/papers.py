"""The papers that labels are printed on. Where each label lies on its sheet, labels.css says."""

from dataclasses import dataclass

BY = " \N{MULTIPLICATION SIGN} "


@dataclass(frozen=True)
class Paper:
    """Labels of one size, many on a sheet or one by one. Lengths are in millimetres."""

    # Its class in the stylesheet.
    name: str
    title: str
    width: float
    height: float
    # How many are on a sheet.
    labels: int = 1
    # What stays white at the left and the right of a label: more of it where labels reach the
    # sheet's edges, up to which few printers print.
    margin: float = 2

    @property
    def room(self) -> float:
        """Return how wide a code may be."""
        return self.width - 2 * self.margin

    @property
    def square(self) -> float:
        """Return how wide and high a code may be that stands beside the text."""
        return min(self.height - 3, self.room / 2)


def _sheet(
    name: str, of: str, columns: int, rows: int, width: float, height: float, margin: float = 2
) -> Paper:
    title = f"{of}, {columns}{BY}{rows} labels of {width:g}{BY}{height:g} mm"
    return Paper(name, title, width, height, columns * rows, margin)


def _single(width: int, height: int) -> Paper:
    return Paper(f"single-{width}", f"Label printer, {width}{BY}{height} mm", width, height)


PAPERS = {
    paper.name: paper
    for paper in (
        _sheet("a4-24", "A4", 3, 8, 70, 37, margin=5),
        _sheet("a4-21", "A4", 3, 7, 63.5, 38.1),
        _sheet("a4-40", "A4", 4, 10, 52.5, 29.7, margin=5),
        _sheet("a4-65", "A4", 5, 13, 38.1, 21.2),
        # Avery 5160: 2 5/8 by 1 inch.
        _sheet("letter-30", "US Letter", 3, 10, 66.675, 25.4),
        _single(57, 32),
        _single(62, 29),
        _single(50, 25),
    )
}
