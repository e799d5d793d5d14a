"""What the documents say is tried: the tour runs, and what they name exists."""

import ast
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import get_commands

from api.actors import SYSTEM
from config import supervisor
from demo import logins
from demo.catalogue import PRODUCTS
from inventory.services import products
from inventory.services.products import Money

ROOT = supervisor.PROJECT
ROOMS = "api|backoffice|config|demo|events|inventory|orders|payments"
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEXT_STEP = "-- next step --"


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title}"
    return found[1]


# The tour.


@pytest.fixture
def demo_shop(live_server):
    """The demo's logins and the one product of the tour, as tests of the demo find it there."""
    poster = PRODUCTS["POSTER-LIGHTHOUSE"]
    assert poster.left == 1
    products.create(
        product_id=poster.id,
        name=poster.name,
        sku=poster.sku,
        prices=[Money("USD", poster.family.price)],
        manage_stock=True,
        initial_stock=poster.left,
        actor=SYSTEM,
    )
    logins.create()
    return urlsplit(live_server.url).netloc


@pytest.fixture
def only_curl_and_python(tmp_path):
    """A PATH with nothing else on it. Where there is no curl, a stand-in has to do."""
    python = tmp_path / "python3"
    python.symlink_to(sys.executable)
    curl = tmp_path / "curl"
    if installed := shutil.which("curl"):
        curl.symlink_to(installed)
    else:
        curl.write_text(f"#!{python}\n{(ROOT / 'tests' / 'curl.py').read_text()}")
        curl.chmod(0o755)
    return str(tmp_path)


@pytest.mark.processes
def test_the_tour_prints_what_the_readme_says_also_the_second_time(demo_shop, only_curl_and_python):
    steps = list(tour()) * 2

    printed = walk([commands for commands, _ in steps], demo_shop, only_curl_and_python)

    assert len(steps) >= 8
    assert printed == [said for _, said in steps]


def tour() -> Iterator[tuple[str, str]]:
    """Yield each step: its commands, and what they are said to print."""
    commands = ""
    for language, block in BLOCK.findall(section(README, "A five-minute tour")):
        if language == "text":
            yield commands, block
            commands = ""
        else:
            assert language == "sh"
            commands += block
    assert not commands, "the tour ends with commands that are not said to print anything"


def walk(steps: list[str], host: str, path: str) -> list[str]:
    """Run the steps in one shell, as somebody does who pastes them; return what each printed."""
    script = "set -euo pipefail\n" + f"echo '{NEXT_STEP}'\n".join(steps)
    bash = shutil.which("bash")
    assert bash
    walked = subprocess.run(
        [bash, "--norc", "-c", script],
        env={"HOST": host, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert walked.returncode == 0, walked.stdout + walked.stderr
    return walked.stdout.split(f"{NEXT_STEP}\n")


def test_the_readme_quotes_what_make_run_prints():
    quoted = [block for language, block in BLOCK.findall(section(README, "Two commands"))]

    welcome = supervisor.WELCOME.format(host=supervisor.HOST, port=8000) + supervisor.LOGINS

    assert quoted == [f"{welcome.lstrip()}\nCtrl-C stops everything.\n"]


# What the documents name.


def test_every_folder_of_the_readme_is_there():
    (drawing,) = [block for _, block in BLOCK.findall(section(README, "What is where"))]

    folders = re.findall(r"^(\w+)/ ", drawing, re.MULTILINE)

    assert {*ROOMS.split("|"), "templates", "tests", "benchmarks", "docs"} <= set(folders)
    assert [name for name in folders if not (ROOT / name).is_dir()] == []


def test_every_step_of_a_purchase_is_where_it_is_said_to_be():
    names = set(re.findall(rf"`((?:{ROOMS})(?:\.\w+)+)`", ARCHITECTURE))

    assert len(names) > 40
    assert [name for name in sorted(names) if not is_there(name)] == []


def is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_file_that_a_document_names_is_there(document):
    named = re.findall(rf"`((?:{ROOMS}|tests|docs)/[\w/.-]+)`", document.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_environment_variable_is_documented_with_its_default():
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.+) \|$",
        section(OPERATIONS, "Environment"),
        re.MULTILINE,
    )
    documented = {name: default for name, default, _ in rows}
    read = environment_variables()

    assert documented.keys() == read.keys()
    for name, default in read.items():
        if default is not None:
            assert (f"`{default}`" if default else "none") in documented[name], name


def environment_variables() -> dict[str, str | None]:
    """What config/settings.py reads, with its default where that is written as a constant."""
    tree = ast.parse((ROOT / "config" / "settings.py").read_text())
    found: dict[str, str | None] = {}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.args[0] if call.args else None
        reads = re.fullmatch(r"env\.\w+|_secret|_list|_origins", ast.unparse(call.func))
        if reads and isinstance(name, ast.Constant):
            found[str(name.value)] = default_of(call)
    return found


def default_of(call: ast.Call) -> str | None:
    for keyword in call.keywords:
        if keyword.arg == "default" and isinstance(keyword.value, ast.Constant):
            # That nothing is set is said in words.
            if keyword.value.value in (None, ""):
                return None
            return json.dumps(keyword.value.value).strip('"')
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_somewhere(document):
    links = re.findall(r"\]\(([^)]+)\)", document.read_text())

    relative = [link.partition("#")[0] for link in links if not link.startswith("http")]

    assert [link for link in relative if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_into_a_document_leads_to_a_heading(document):
    links = re.findall(r"\]\(([^)#]*)#([^)]+)\)", re.sub(r"\s+", " ", document.read_text()))

    into = [(link, anchor) for link, anchor in links if not link.startswith("http")]

    assert [
        f"{link}#{anchor}"
        for link, anchor in into
        if anchor not in anchors(document.parent / link if link else document)
    ] == []


def anchors(document: Path) -> set[str]:
    """What a heading is called in addresses: small, without its signs."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_command_is_one(document):
    text = document.read_text()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    made = re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.MULTILINE)
    managed = re.findall(r"manage\.py ([a-z_]+)", text)

    assert set(made) <= set(targets)
    assert set(managed) <= get_commands().keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_prose_is_wrapped_at_100_columns(document):
    assert [line for line in prose(document.read_text()) if len(line) > 100] == []


def prose(text: str) -> Iterator[str]:
    """Yield the lines that can be wrapped, without what in them cannot be: code and addresses."""
    without_blocks = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in without_blocks.splitlines():
        if not line.startswith(("|", "    ", "![")):
            yield re.sub(r"`[^`]*`|(?<=\])\([^)]*\)", "", line)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.stem)
def test_every_decision_is_short_and_says_when_why_and_what_follows(decision):
    text = decision.read_text()
    lines = text.splitlines()

    assert len(lines) >= 5
    assert len(text.split()) <= 325
    assert lines[0].startswith("# ")
    assert lines[2] == decision.name[:10]
    for part in ("**Context.**", "**Rule.**", "**Consequence.**"):
        assert sum(line.startswith(part) for line in lines) == 1


def test_t43_nothing_is_installed_without_its_hash():
    named = [ROOT / "Makefile", ROOT / "deploy" / "Dockerfile"]
    sources = [*named, *ROOT.glob(".ci/*"), *ROOT.glob(".github/**/*.yml"), *DOCUMENTS]
    text = "\n".join(source.read_text() for source in sources).replace("\\\n", "")

    commands = re.findall(r"\bpip (?:install|sync) .*?(?=$|;|&&|\|\|)", text, re.MULTILINE)

    assert len(commands) == 10
    without = [command for command in commands if "--require-hashes" not in command]
    # But for our own wheel, with nothing that it would bring along.
    of_ours = re.compile(r".* --no-deps .*(/wheel/\*|holdfast-\$release-py3-none-any)\.whl\s*")
    assert [command for command in without if not of_ours.fullmatch(command)] == []
    assert len(without) == 3
