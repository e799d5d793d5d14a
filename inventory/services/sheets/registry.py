"""All kinds of sheets, in the order in which a file is taken for one of them."""

from inventory.models import Sheet
from inventory.services.sheets import counts, products
from inventory.services.sheets.kinds import Kinds

KINDS: Kinds = {
    Sheet.Kind.COUNTS: counts.COUNTS,
    Sheet.Kind.CHANGES: counts.CHANGES,
    Sheet.Kind.PRODUCTS: products.KIND,
}
