"""The command `holdfast`, which is also manage.py and `python -m config`."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from environs import EnvError

from config import outages


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except (EnvError, ImproperlyConfigured) as error:
        sys.exit(f"Nothing runs with this environment: {error}")
    except Exception as error:
        if not outages.is_away(error):
            raise
        sys.stderr.write(f"The database cannot be used now: {outages.told_by(error)}\n")
        # Some commands end with 1 where they have found what they look for.
        sys.exit(2)


if __name__ == "__main__":
    main()
