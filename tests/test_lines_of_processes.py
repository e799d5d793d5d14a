"""Whatever a process of production says, each line is one JSON object, and says whose it is."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from config.logs import process_kind
from config.supervisor import PROJECT
from config.version import version
from tests.test_production import SECRETS, run

pytestmark = pytest.mark.processes

# What goes wrong in a process, in all ways in which Python would say so by itself.
SAYS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
import asyncio, logging, threading, warnings
warnings.warn("old")
logging.getLogger("of.a.library").warning("two\\nlines")
logging.getLogger("of.a.library").warning("%d", "no number")
logging.getLogger("of.a.library").warning("an object", extra={"with": object()})
logging.getLogger("django.request").error("café \\u2028 %s", b"\\xff")
def fails():
    raise ValueError("in a thread\\nof two lines")
thread = threading.Thread(target=fails)
thread.start()
thread.join()
class Unraisable:
    def __del__(self):
        raise ValueError("in a finalizer")
Unraisable()
async def forgets():
    asyncio.get_running_loop().call_soon(fails)
    await asyncio.sleep(0.01)
asyncio.run(forgets())
raise ValueError("at the end")
"""


def lines(told: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in told.splitlines()]
    for line in found:
        assert {"timestamp", "level", "event", "logger", "process", "pid", "version"} <= line.keys()
        assert line["version"] == version()
    return found


def test_t54_whatever_is_said_and_by_whom_is_one_object_a_line():
    told = run("-W", "always", "-c", SAYS, **SECRETS)
    found = lines(told.stderr)

    assert (told.returncode, told.stdout) == (1, "")
    said = json.dumps(found)
    for words in (
        "old",
        "two\\nlines",
        "line_not_written",
        "an object",
        "in a thread",
        "in a finalizer",
    ):
        assert json.dumps(words)[1:-1].replace("\\\\n", "\\n") in said, words
    assert found[-1]["event"] == "uncaught_exception"
    assert "ValueError: at the end" in found[-1]["exception"]
    assert [line["level"] for line in found].count("critical") == 2


def test_in_the_demo_people_read_it_as_python_shows_it():
    told = run("-c", SAYS, HOLDFAST_DEMO="1")

    assert "ValueError: at the end\n" in told.stderr
    assert "event='two\\nlines'" in told.stderr


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["/venv/bin/holdfast", "serve"], "web"),
        (["manage.py", "serve"], "web"),
        (["/venv/bin/holdfast", "work", "--only", "payments"], "worker"),
        (["manage.py", "procrastinate", "worker"], "worker"),
        (["/code/config/__main__.py", "audit_inventory"], "command"),
        (["manage.py"], "command"),
        ([], "command"),
    ],
)
def test_a_process_is_known_by_its_command(command, kind):
    assert process_kind(command) == kind


def test_t54_a_worker_of_production_says_it_so_too_with_all_that_its_library_says():
    nowhere = "postgresql://shop@127.0.0.1:1/shop"
    environment = os.environ | SECRETS | {"DATABASE_URL": nowhere, "LOG_LEVEL": "DEBUG"}
    environment.pop("HOLDFAST_DEMO")
    with subprocess.Popen(
        [sys.executable, "manage.py", "work"],
        cwd=PROJECT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stderr is not None
        told = ""
        for line in worker.stderr:
            told += line
            if "worker_waits_for_database" in line:
                break
        worker.terminate()
        found = lines(told + worker.stderr.read())

    assert worker.returncode == 0
    assert {line["process"] for line in found} == {"worker"}
    assert {"api.work", "procrastinate.periodic"} <= {line["logger"] for line in found}
