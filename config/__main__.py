"""The command `holdfast`, which is also manage.py and `python -m config`."""

import gc
import os
import sys
from typing import NoReturn

import structlog
from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, CommandError, ManagementUtility
from environs import EnvError
from psycopg import errors

from config import logs, outages

# What a command ends with that could not do its work: some end with 1 where they have found what
# they look for. The others are what a shell says of a program that a signal has ended.
NOT_DONE = 2
INTERRUPTED, NOBODY_READS = 130, 141


class Program(ManagementUtility):
    """Loads all there is, and then runs a command.

    What is loaded stays. To look through it for garbage, again and again while it grows, takes a
    third of a start; and later it would only make each look longer.
    """

    def execute(self) -> None:
        gc.disable()
        try:
            super().execute()
        finally:
            gc.enable()

    def fetch_command(self, subcommand: str) -> BaseCommand:
        gc.freeze()
        gc.enable()
        return super().fetch_command(subcommand)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Of a server or a worker no line is for a person who waits for it: not the last one either, and
    # not the one that says why there are no settings that could say how lines are to be written.
    is_logged = logs.KIND != "command" and not _is_demo()
    end, command = (_end_in_the_log if is_logged else _end), list(sys.argv)
    if is_logged:
        logs.configure(logs.configuration("WARNING", requests=False, readable=False))
        # By which Django lets an error through, where else it would write it by itself.
        command.insert(2, "--traceback")
    try:
        try:
            Program(command).execute()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # As at the end of `| head`. Python would complain again about what is left to be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOBODY_READS)
    except (EnvError, ImproperlyConfigured) as error:
        end(f"Nothing runs with this environment: {error}", NOT_DONE)
    except CommandError as error:
        if not is_logged:
            raise
        end(str(error), error.returncode)
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise
        end(ended.code, 1)
    except Exception as error:
        if not (told := _told(error)):
            raise
        end(told, NOT_DONE)


def _told(error: Exception) -> str:
    """Say what is wrong with the database as such; nothing of what is wrong with a statement."""
    if outages.is_away(error):
        return f"The database cannot be used now: {outages.told_by(error)}"
    what = str(error).partition("\n")[0]
    if isinstance(error.__cause__, errors.UndefinedTable | errors.UndefinedColumn):
        return f"The database is not of this release: {what}. `migrate` brings it there."
    if isinstance(error.__cause__, errors.InsufficientPrivilege):
        return (
            f"The role of DATABASE_URL may not do this: {what}. `check --deploy` says what a role "
            "that serves lacks; some commands are for the owner of the tables."
        )
    return ""


def _is_demo() -> bool:
    return os.environ.get("HOLDFAST_DEMO", "").lower() in {"1", "true", "t", "yes", "y", "on"}


def _end(why: str, status: int) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.exit(status)


def _end_in_the_log(why: str, status: int) -> NoReturn:
    structlog.get_logger(__name__).critical("does_not_run", why=why)
    sys.exit(status)


if __name__ == "__main__":
    main()
