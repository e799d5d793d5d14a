import json
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api.clock import at
from events import serializers
from events.errors import EventsForgotten, FeedSetBack
from events.models import Event
from events.services import following, kinds


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentTypeError("a position is a whole number, from 0 up")
    return int(text)


def _types(text: str) -> set[str]:
    types = {each.strip() for each in text.split(",")}
    for each in sorted(types - kinds.TYPES):
        never = "is never told here" if each in kinds.PUBLISHED_ONLY else "is no type of event"
        raise ArgumentTypeError(f"{each!r} {never}; docs/events.md has all there are")
    return types


class Command(BaseCommand):
    help = (
        "Print the feed of events as it comes, a line of JSON for each, as GET /v2/events has it, "
        "until interrupted. While the database is away it waits."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--after",
            type=_position,
            metavar="POSITION",
            help="begin after this one, 0 being before the oldest; without it, with what comes now",
        )
        parser.add_argument(
            "--types", type=_types, metavar="TYPE,…", help="only these, such as order.paid"
        )
        parser.add_argument("--once", action="store_true", help="end at the last one there is")
        parser.add_argument(
            "--readable",
            action="store_true",
            help="position, moment, type, and of each what says most",
        )

    def handle(self, **options: Any) -> None:
        written = _readable if options["readable"] else serializers.event
        told = following.follow(
            options["after"], options["types"], ends=options["once"], is_away=self._say_it_is_away
        )
        try:
            for event in told:
                self.stdout.write(written(event))
                self.stdout.flush()
        except (EventsForgotten, FeedSetBack) as refusal:
            meta = refusal.meta or {}
            known = f"It has {meta['first_position']} to {meta['last_position']}."
            raise CommandError(f"{refusal} {known}") from refusal

    def _say_it_is_away(self) -> None:
        self.stderr.write("The database is away. Waiting for it.")


# What of a payload says most about it, as far as it is there.
_TELLING = (
    *("order_number", "sku", "code", "slug", "file_name", "action", "quantity"),
    *("available", "allocated", "status", "payment", "shipping", "product_id", "id"),
)


def _readable(event: Event) -> str:
    told = json.loads(event.payload)
    thing = told.get("data", told)
    fields = " ".join(f"{name}={thing[name]}" for name in _TELLING if thing.get(name) is not None)
    return f"{event.position:>9}  {at(event.occurred_at)}  {event.type:<25}  {fields}"
