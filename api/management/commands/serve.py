from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import server


class Command(BaseCommand):
    help = "Serve the web: the shop's API and the pages for people. WEB_HOST and so on say where."
    # The server looks itself for what leaves a shop open, and needs no database to start.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reserved", action="store_true", help="the caller holds the port with SO_REUSEPORT"
        )

    def handle(self, *args: Any, reserved: bool, **options: Any) -> None:
        try:
            server.serve(
                settings.WEB_HOST,
                settings.WEB_PORT,
                workers=settings.WEB_WORKERS,
                threads=settings.WEB_THREADS,
                grace=settings.WEB_GRACE_SECONDS,
                reserved=reserved,
            )
        except server.PortTakenError as error:
            raise CommandError(str(error)) from error
