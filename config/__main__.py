"""The command `holdfast`, which is also manage.py and `python -m config`."""

import os
import sys
from typing import NoReturn

import structlog
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, execute_from_command_line
from environs import EnvError

from config import logs, outages


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
        execute_from_command_line(command)
    except (EnvError, ImproperlyConfigured) as error:
        end(f"Nothing runs with this environment: {error}", 1)
    except CommandError as error:
        if not is_logged:
            raise
        end(str(error), error.returncode)
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise
        end(ended.code, 1)
    except Exception as error:
        if not outages.is_away(error):
            raise
        # Some commands end with 1 where they have found what they look for.
        end(f"The database cannot be used now: {outages.told_by(error)}", 2)


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
