"""How a command ends that could not do its work: by a sentence, and a status of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DataError, ProgrammingError
from psycopg import errors

from config import __main__ as command
from config.supervisor import PROJECT


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[[BaseException], Any]:
    """Tell how a command ends in which something is raised."""

    def end(error: BaseException) -> Any:
        def fail(program: command.Program) -> None:
            raise error

        monkeypatch.setattr(command.Program, "execute", fail)
        with pytest.raises(SystemExit) as end:
            command.main()
        return end.value.code, capsys.readouterr().err

    return end


def of_database(error: errors.Error) -> ProgrammingError:
    made = ProgrammingError(str(error))
    made.__cause__ = error
    return made


def test_ctrl_c_ends_it_as_a_shell_expects(ended):
    assert ended(KeyboardInterrupt()) == (130, "")


@pytest.mark.django_db
def test_t46_a_database_of_another_release_is_a_sentence(ended):
    for statement in ("SELECT FROM nothing_such", "SELECT nothing_such FROM orders_order"):
        with pytest.raises(ProgrammingError) as failed, transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(statement)

        status, told = ended(failed.value)

        assert status == 2
        assert told.startswith("The database is not of this release: ")
        assert told.endswith(" does not exist. `migrate` brings it there.\n")
        assert told.count("\n") == 1


def test_t52_so_is_a_role_without_the_right(ended):
    refused = errors.InsufficientPrivilege("permission denied for table orders_order")

    status, told = ended(of_database(refused))

    assert status == 2
    assert told.startswith("The role of DATABASE_URL may not do this: permission denied for table")


def test_what_is_wrong_with_us_is_no_sentence(monkeypatch):
    def fail(program: command.Program) -> None:
        raise DataError("value too long")

    monkeypatch.setattr(command.Program, "execute", fail)

    with pytest.raises(DataError):
        command.main()


# As the command `check`, one that tells how it finds the garbage collector.
TELLS_OF_GARBAGE = """
import gc, sys
from django.core import management
from config.__main__ import Program

class Tells(management.BaseCommand):
    def handle(self, **options):
        print(gc.isenabled(), gc.get_freeze_count() > 100_000)

management.load_command_class = lambda app, name: Tells()
Program(["manage.py", "check", "--skip-checks"]).execute()
"""


@pytest.mark.processes
def test_a_command_runs_with_what_was_loaded_apart_from_what_may_be_garbage():
    told = subprocess.run(
        [sys.executable, "-c", TELLS_OF_GARBAGE],
        cwd=PROJECT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout == "True True\n"


@pytest.mark.processes
def test_whoever_reads_no_further_ends_it_without_a_word():
    piped = subprocess.Popen(
        [sys.executable, "manage.py", "diffsettings"],
        cwd=PROJECT,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert piped.stdout is not None
    assert piped.stderr is not None
    piped.stdout.close()

    assert (piped.stderr.read(), piped.wait()) == (b"", 141)
