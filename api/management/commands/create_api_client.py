from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import CharField

from api import services
from api.actors import COMMAND_LINE
from api.models import ApiClient


def _for(column: str) -> Callable[[str], str]:
    """Read what fits into a client's column, without the spaces that a token call passes over."""

    field = ApiClient._meta.get_field(column)
    assert isinstance(field, CharField)

    def read(text: str) -> str:
        try:
            return str(field.clean(text.strip(), None))
        except ValidationError as error:
            raise ArgumentTypeError(" ".join(error.messages)) from error

    return read


class Command(BaseCommand):
    help = "Create a program that may call the API, and print its secret, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "client_id",
            type=_for("client_id"),
            help="what the program calls itself, such as back-office",
        )
        parser.add_argument("--name", type=_for("name"), help="what people read in the stock log")
        parser.add_argument(
            "--storefront",
            action="store_true",
            help="for browsers: no secret, and shoppers' tokens (implicit grant) only; "
            "without it a server: a secret, and administrators' tokens only",
        )

    def handle(self, *, client_id: str, name: str | None, storefront: bool, **options: Any) -> None:
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
