from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from api import services
from api.actors import COMMAND_LINE


class Command(BaseCommand):
    help = "Create a program that may call the API, and print its secret, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("client_id", help="what the program calls itself, such as back-office")
        parser.add_argument("--name", default="", help="what people read in the stock log")
        parser.add_argument(
            "--storefront",
            action="store_true",
            help="for browsers: no secret, and shoppers' tokens (implicit grant) only; "
            "without it a server: a secret, and administrators' tokens only",
        )

    def handle(self, *, client_id: str, name: str, storefront: bool, **options: Any) -> None:
        try:
            secret = services.create_client(
                client_id, name or client_id, storefront=storefront, actor=COMMAND_LINE
            )
        except services.ClientIdTaken as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"client_id:     {client_id}")
        if secret:
            self.stdout.write(f"client_secret: {secret}")
            self.stdout.write("The secret is shown this once and stored nowhere.")
