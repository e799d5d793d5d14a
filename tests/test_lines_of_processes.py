"""Whatever a process of production says, each line is one JSON object, and says whose it is."""

import ast
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


# A worker of the web server that fails before it serves.
FORKS = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from config import server
def fails():
    raise ValueError("in the worker\\nof two lines")
server._Worker(None).start(fails)
_, status = os.wait()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


def test_of_a_web_worker_that_fails_a_line_tells_with_its_traceback():
    told = run("-c", FORKS, **SECRETS)

    assert (told.returncode, told.stdout) == (1, "")
    [line] = lines(told.stderr)
    assert (line["event"], line["level"]) == ("web_worker_failed", "critical")
    assert "ValueError: in the worker\nof two lines" in line["exception"]


@pytest.mark.parametrize(
    ("command", "environment", "status", "said"),
    [
        ("serve", {"LIMIT_SECONDS": "0"}, 2, "Nothing runs with this environment: "),
        ("work", {"SECRET_KEY": ""}, 2, "Nothing runs with this environment: "),
        ("serve", {"TOKEN_KEY": "abc"}, 1, "Holdfast does not serve a shop that is open to str"),
        ("serve", {"WEB_HOST": "192.0.2.1"}, 1, "Port 8000 of 192.0.2.1 cannot be used"),
        ("serve", {"WEB_HOST": "[::1]"}, 1, "Port 8000 of [::1] cannot be used (Name or service"),
    ],
)
def test_why_a_server_or_a_worker_does_not_run_is_a_line_too(command, environment, status, said):
    told = run("manage.py", command, **SECRETS | environment)

    assert (told.returncode, told.stdout) == (status, "")
    [line] = lines(told.stderr)
    assert line["event"] == "does_not_run"
    assert line["why"].startswith(said)
    assert line["process"] == ("web" if command == "serve" else "worker")


def test_a_person_who_calls_a_command_reads_the_sentence_alone():
    told = run("manage.py", "audit_inventory", **SECRETS, LIMIT_SECONDS="0")

    assert told.returncode == 2
    assert told.stderr.startswith("Nothing runs with this environment: ")


# What runs in the demo alone, or for a person who called a command.
FOR_PEOPLE = {"config/supervisor.py", "config/__main__.py"}
# It ends whoever imports it, such as another server; of our own main() makes a line of that.
ENDS = {"config/wsgi.py"}
WRITING = {
    *("print", "sys.stderr.write", "sys.stdout.write"),
    *("traceback.print_exc", "traceback.print_exception"),
}


def writes_past_the_log(call: ast.Call) -> bool:
    """Also by an end with words, which Python writes."""
    does = ast.unparse(call.func)
    has_words = any(isinstance(each, ast.JoinedStr) for each in call.args) or any(
        isinstance(each, ast.Constant) and isinstance(each.value, str) for each in call.args
    )
    return does in WRITING or (does in {"sys.exit", "SystemExit"} and has_words)


def test_nothing_else_writes_past_the_log():
    rooms = ("api", "backoffice", "config", "events", "inventory", "orders", "payments")
    sources = [source for room in rooms for source in (PROJECT / room).rglob("*.py")]

    writing = {
        str(source.relative_to(PROJECT))
        for source in sources
        if "commands" not in source.parts
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and writes_past_the_log(node)
    }

    assert writing == FOR_PEOPLE | ENDS


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
