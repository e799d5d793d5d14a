"""Django looks for the pages of its admin here: to import them is to register them."""

from backoffice import (  # noqa: F401
    api_clients,
    audit,
    carts,
    categories,
    changes,
    gateways,
    people,
    pictures,
    stock_log,
    store,
)
from backoffice.deliveries import admin as deliveries  # noqa: F401
from backoffice.events import deliveries as told  # noqa: F401
from backoffice.events import feed, integrations  # noqa: F401
from backoffice.mails import sent as mails_sent  # noqa: F401
from backoffice.mails import settings as mails  # noqa: F401
from backoffice.orders import admin as orders  # noqa: F401
from backoffice.products import list as products  # noqa: F401
from backoffice.sheets import admin as sheets  # noqa: F401
from backoffice.stocktakes import admin as stocktakes  # noqa: F401
from backoffice.variants import admin as variants  # noqa: F401
