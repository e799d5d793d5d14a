"""What gateways can be filtered and sorted by."""

from api.filtering import EQ, IN, Flag, ListFilters, Text


class GatewayFilters(ListFilters):
    """A gateway has no id but its slug."""

    takes = {
        "id": Text("slug", EQ, IN),
        "slug": Text("slug", EQ, IN),
        "enabled": Flag("enabled", EQ),
    }
    sorts = {"slug": ["slug"], "name": ["name"]}
