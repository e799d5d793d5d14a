"""Writes to a primary that has been replaced, which must not say that anything is written."""

import os
import subprocess

from tests.cluster.estate import Estate, psql_command
from tests.cluster.machines import Machine

BEFORE = "written before"


class Pens:
    """Each asks for one mark: one on a connection from before, the others on new ones."""

    def __init__(self, site: Estate, machine: Machine, *, inside: bool) -> None:
        """`inside`: on the machine itself, which nobody else can reach any more."""
        self.site = site
        self.enter = machine.enter if inside else []
        host = "127.0.0.1" if inside else machine.address
        password = site.passwords["holdfast_owner"]
        self.url = f"postgresql://holdfast_owner:{password}@{host}/shop?connect_timeout=3"
        self.asked: dict[str, subprocess.Popen[str]] = {}
        self.old = self._psql()
        assert self.old.stdin is not None
        assert self.old.stdout is not None
        # As long as it leads, it does write.
        self.old.stdin.write(f"INSERT INTO cluster_mark VALUES ('{BEFORE}');\n\\echo {BEFORE}\n")
        self.old.stdin.flush()
        assert self.old.stdout.readline() == f"{BEFORE}\n"

    def _psql(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.enter, *psql_command(self.url)],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def write_on(self, mark: str) -> None:
        """Ask for a mark on the connection from before."""
        self._ask(self.old, mark)

    def write(self, mark: str) -> None:
        self._ask(self._psql(), mark)

    def _ask(self, psql: subprocess.Popen[str], mark: str) -> None:
        assert psql.stdin is not None
        self.asked[mark] = psql
        psql.stdin.write(f"INSERT INTO cluster_mark VALUES ('{mark}');\n")
        psql.stdin.close()

    def end(self, seen: list[str], wrong: list[str]) -> None:
        """Compare what was said to be written with what is there."""
        acknowledged, waiting = [], 0
        for mark, psql in self.asked.items():
            if psql.poll() is None:
                waiting += 1
                psql.kill()
            if psql.wait() == 0:
                acknowledged.append(mark)
        listed = self.site.ask(self.site.primary, "SELECT mark FROM cluster_mark")
        there = set(listed.splitlines())
        wrong += [
            f"the old primary confirmed what is not there: {mark}"
            for mark in [BEFORE, *acknowledged]
            if mark not in there
        ]
        seen.append(
            f"of {len(self.asked)} writes to the old primary it confirmed "
            f"{len(acknowledged)} and left {waiting} without an answer"
        )
        self.site.ask(self.site.primary, "TRUNCATE cluster_mark")
