from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from api import work
from api.lanes import LANES

GRACE_SECONDS = 20


class Command(BaseCommand):
    help = "Do jobs until told to stop: of all queues, each in a lane of its own, or of some."

    def add_arguments(self, parser: CommandParser) -> None:
        chosen = parser.add_mutually_exclusive_group()
        for option, text in (("--only", "these queues alone"), ("--without", "all but these")):
            chosen.add_argument(option, nargs="+", choices=LANES, default=[], help=text)
        parser.add_argument(
            "--grace",
            type=float,
            default=GRACE_SECONDS,
            metavar="SECONDS",
            help="how long jobs under way may take once it is told to stop (%(default)s); others "
            "take up what is left",
        )

    def handle(self, *, only: list[str], without: list[str], grace: float, **options: Any) -> None:
        chosen = set(only) or LANES.keys() - set(without)
        work.work({queue: LANES[queue] for queue in LANES if queue in chosen}, grace=grace)
