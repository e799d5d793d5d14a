"""`make cluster`: a shop on several machines, of which one part after the other fails.

Every machine is a network namespace of this one. It ends by itself, with status 1 if the books do
not agree or nobody could buy for too long.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import django

from tests.cluster import estate, report
from tests.cluster.trials import TRIALS

if TYPE_CHECKING:
    from tests.torture.store import Store

# Said to the second start, which runs alone in its namespaces.
ALONE = "HOLDFAST_CLUSTER_ALONE"


def main() -> int:
    arguments = arguments_of(sys.argv[1:])
    if lacking := unable(estate.missing(), os.geteuid()):
        _say(lacking)
        return 2
    if ALONE not in os.environ:
        _start_alone()
    _reap_as_init()
    _prepare()
    return _run(arguments)


def arguments_of(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(TRIALS),
        help=f"trials, with commas between them: {', '.join(TRIALS)}",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="Markdown file to write what it came to")
    parser.add_argument("--keep", action="store_true", help="keep all logs and histories")
    arguments = parser.parse_args(given)
    if unknown := set(arguments.only) - TRIALS.keys():
        parser.error(f"there is no trial {', '.join(sorted(unknown))}")
    return arguments


def unable(lacking: list[str], user: int) -> str:
    """Say in one sentence why this machine cannot run it, if it cannot."""
    if lacking:
        return f"make cluster needs more programs: apt-get install {' '.join(lacking)}"
    if user != 0:
        return "make cluster makes network namespaces, for which it must be run as root."
    return ""


def _start_alone() -> None:
    """Start again in namespaces of its own: whatever runs in them ends with their first process."""
    own = ["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
    again = [sys.executable, "-m", "tests.cluster", *sys.argv[1:]]
    os.environ[ALONE] = "1"
    os.execvp("unshare", ["unshare", *own, *again])


def _reap_as_init() -> None:
    """Wait for whoever lost its parent, as the first process has to; the child goes on."""
    child = os.fork()
    if child == 0:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 255)


def _prepare() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # `ip netns` keeps its names there: of this run alone.
    estate.mount_over("/run")


def _run(arguments: argparse.Namespace) -> int:
    site = estate.Estate()
    outcomes: list[report.Outcome] = []
    try:
        _say("PostgreSQL under Patroni ...")
        site.start_database()
        os.environ |= site.environment(site.url("holdfast_owner")) | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "HOLDFAST_DEMO": "1",
            # It takes the demo to set a clock, and the demo is for one machine alone.
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_POOL_SIZE": "0",
        }
        django.setup()
        from tests.cluster import purchases

        _say("The shop ...")
        site.start_shop()
        store = _opened(site)
        for name in arguments.only:
            outcomes.append(purchases.outcome(store, site, name, arguments.seed))
            _say(outcomes[-1].row())
            if arguments.report:
                arguments.report.write_text(report.written(outcomes, site.versions()))
    finally:
        wrong = [one for one in outcomes if one.wrong]
        all_ran = len(outcomes) == len(arguments.only)
        site.end(keeps_log=arguments.keep or bool(wrong) or not all_ran)
    if wrong:
        _say(*[f"{one.name}: {each}" for one in wrong for each in one.wrong], f"See {site.folder}")
    return 1 if wrong else 0


def _opened(site: estate.Estate) -> "Store":
    from tests.torture.store import Store

    store = Store(site)
    site.start_workers()
    return store


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
