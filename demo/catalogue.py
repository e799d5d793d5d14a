"""What the demo's shop sells: a table of families, each a row of variants.

`left` says how many units of each variant are available when the story ends, so that every state of
stock can be seen: plenty, low, the last one, none. None is a product whose stock is not managed.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.utils.text import slugify

# A product has the same id in every demo, wherever and whenever it is loaded: version 7, as all our
# ids, of a moment before any story begins.
_FIRST_ID = uuid.UUID("01900000-0000-7000-8000-000000000000")
# EAN-13 numbers with this prefix are for use inside a shop.
_BARCODE_PREFIX = "20040"


@dataclass(frozen=True)
class Family:
    name: str
    sku: str
    price: int
    description: str
    # From above, as the tree of categories has it.
    category: tuple[str, ...]
    # Colour -> units left, one for each size.
    left: Mapping[str, tuple[int | None, ...]]
    sizes: tuple[str, ...] = ("",)
    # How often the family is bought, and how long ago the shop began to sell it.
    popularity: int = 1
    since_days_ago: int = 60
    commodity_type: str = "physical"
    status: str = "live"
    # Whether somebody has said what it costs the shop.
    is_costed: bool = True

    @property
    def cost(self) -> int | None:
        return self.price * 2 // 5 if self.is_costed and self.commodity_type == "physical" else None


@dataclass(frozen=True)
class DemoProduct:
    id: uuid.UUID
    sku: str
    name: str
    barcode: str
    # The name of its file in demo/pictures.
    picture: str
    left: int | None
    colour: str
    size: str
    family: Family = field(repr=False)

    @property
    def is_managed(self) -> bool:
        return self.left is not None


FAMILIES = [
    Family(
        "Shirt",
        "SHIRT",
        24_00,
        "A light cotton shirt with short sleeves. Washed once, so it keeps its size.",
        category=("Clothes", "Tops", "Shirts"),
        sizes=("S", "M", "L", "XL"),
        left={"Navy": (24, 38, 31, 17), "White": (42, 56, 3, 26), "Red": (9, 21, 0, 2)},
        popularity=5,
    ),
    Family(
        "Hoodie",
        "HOODIE",
        49_00,
        "Heavy organic cotton, brushed inside, with a pocket that fits two hands.",
        category=("Clothes", "Tops", "Hoodies"),
        sizes=("S", "M", "L"),
        left={"Grey": (12, 0, 18), "Green": (22, 27, 4)},
        popularity=3,
    ),
    Family(
        "Trousers",
        "TROUSERS",
        65_00,
        "Straight trousers of cotton twill, made for ladders and bicycles.",
        category=("Clothes", "Trousers"),
        sizes=("30", "32", "34"),
        left={"Sand": (14, 23, 20)},
        popularity=2,
    ),
    Family(
        "Rain jacket",
        "JACKET",
        119_00,
        "Waterproof, windproof, and folds into its own pocket. In the shop from next month.",
        category=("Clothes", "Jackets"),
        sizes=("M", "L"),
        left={"Yellow": (15, 15)},
        since_days_ago=3,
        status="draft",
    ),
    Family(
        "Cap",
        "CAP",
        19_00,
        "Six panels and a strap that fits every head.",
        category=("Clothes", "Accessories", "Caps"),
        left={"Black": (48,), "Green": (5,)},
        popularity=3,
    ),
    Family(
        "Socks",
        "SOCKS",
        12_00,
        "Ribbed wool socks, by the pair.",
        category=("Clothes", "Accessories", "Socks"),
        sizes=("36-40", "41-45"),
        left={"Red": (33, 60)},
        popularity=4,
    ),
    Family(
        "Mug",
        "MUG",
        11_00,
        "Stoneware, 350 ml. Dishwasher safe.",
        category=("Home", "Kitchen", "Mugs"),
        left={"White": (74,), "Blue": (36,)},
        popularity=6,
    ),
    Family(
        "Bottle",
        "BOTTLE",
        27_00,
        "Steel, 500 ml, keeps tea hot for a day.",
        category=("Home", "Kitchen", "Bottles"),
        left={"Steel": (29,)},
        popularity=5,
        since_days_ago=24,
    ),
    Family(
        "Tote bag",
        "TOTE",
        9_00,
        "A bag of thick canvas that carries ten kilograms.",
        category=("Bags",),
        left={"Natural": (120,), "Navy": (8,)},
        popularity=6,
    ),
    Family(
        "Poster Lighthouse",
        "POSTER-LIGHTHOUSE",
        18_00,
        "50 by 70 cm, four colours on uncoated paper. The printer has none left.",
        category=("Paper", "Posters"),
        left={"": (1,)},
        popularity=3,
        is_costed=False,
    ),
    Family(
        "Poster Harbour",
        "POSTER-HARBOUR",
        18_00,
        "50 by 70 cm, four colours on uncoated paper.",
        category=("Paper", "Posters"),
        left={"": (45,)},
        popularity=3,
        since_days_ago=41,
    ),
    Family(
        "Notebook",
        "NOTEBOOK",
        8_50,
        "96 pages, sewn, lies flat on the table.",
        category=("Paper", "Notebooks"),
        left={"Red": (64,), "Blue": (0,)},
        popularity=5,
    ),
    Family(
        "Stickers",
        "STICKERS",
        4_00,
        "A sheet of eight, for laptops and lunch boxes.",
        category=("Paper", "Stickers"),
        left={"": (210,)},
        popularity=6,
    ),
    Family(
        "Candle",
        "CANDLE",
        14_50,
        "Rapeseed wax in a glass, burns for forty hours.",
        category=("Home", "Candles"),
        left={"": (25,)},
        popularity=3,
    ),
    Family(
        "Gift wrapping",
        "GIFT-WRAPPING",
        3_00,
        "Recycled paper, a ribbon and a card with your words.",
        category=("Services",),
        left={"": (None,)},
        popularity=2,
    ),
    Family(
        "Gift card",
        "GIFT-CARD",
        25_00,
        "Twenty-five dollars for somebody you like. Comes by e-mail.",
        category=("Services",),
        left={"": (None,)},
        popularity=2,
        commodity_type="digital",
    ),
    Family(
        "Sewing pattern",
        "PATTERN",
        7_00,
        "The shirt as a pattern to sew it yourself, all sizes, as a PDF.",
        category=("Paper", "Patterns"),
        left={"": (None,)},
        commodity_type="digital",
        since_days_ago=33,
    ),
]


def _products() -> Iterator[DemoProduct]:
    position = 0
    for family in FAMILIES:
        for colour, lefts in family.left.items():
            for size, left in zip(family.sizes, lefts, strict=True):
                position += 1
                yield DemoProduct(
                    id=uuid.UUID(int=_FIRST_ID.int + position),
                    sku="-".join(part for part in (family.sku, colour.upper(), size) if part),
                    name=", ".join(part for part in (family.name, colour.lower(), size) if part),
                    barcode=_barcode(position) if family.commodity_type == "physical" else "",
                    picture=slugify(f"{family.name} {colour}") + ".png",
                    left=left,
                    colour=colour,
                    size=size,
                    family=family,
                )


def _barcode(position: int) -> str:
    """Make an EAN-13: twelve digits, and one that brings the weighted sum to a multiple of ten."""
    digits = f"{_BARCODE_PREFIX}{position * 37:07}"
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


PRODUCTS = {product.sku: product for product in _products()}
