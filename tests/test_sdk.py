"""Both official JavaScript SDKs, unmodified, drive a Holdfast server over HTTP: see tests/sdk."""

import json
import os
import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import pytest

from api import store
from config.supervisor import PROJECT
from tests.factories import api_client

FOLDER = PROJECT / "tests" / "sdk"
API = (PROJECT / "docs" / "api.md").read_text()
SECRET = "back-office-secret"
INSTALL = "npm install --no-package-lock --no-audit --no-fund --ignore-scripts"
# Each SDK, and which of the documented methods it does not have.
SDKS = {
    "@moltin/sdk": {"Cart.AddProducts", "Cart.RemovePromotion"},
    "@elasticpath/js-sdk": set(),
}


@pytest.fixture(scope="session")
def node():
    """Node, with the SDKs beside the program that drives them."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        reason = "the official JavaScript SDKs run on Node (18 or newer, with npm)"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    wanted, stamp = FOLDER / "package.json", FOLDER / "node_modules" / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime:
        run(INSTALL.split(), os.environ)
        stamp.touch()
    return found


def run(command, environment):
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}", pytrace=False)


@pytest.mark.processes
@pytest.mark.parametrize("sdk", SDKS)
def test_the_sdk_drives_the_shop_as_the_documentation_says(sdk, node, live_server, tmp_path):
    methods = tmp_path / "methods.json"
    office, storefront = api_client(SECRET), api_client(secret="")
    store.change(custom_items_by_shoppers=True)

    run(
        [node, "--test", "--test-reporter=spec", "run.js"],
        {
            **os.environ,
            "HOLDFAST_SDK": sdk,
            "HOLDFAST_HOST": urlsplit(live_server.url).netloc,
            "HOLDFAST_CLIENT_ID": office.client_id,
            "HOLDFAST_CLIENT_SECRET": SECRET,
            "HOLDFAST_STOREFRONT_ID": storefront.client_id,
            "HOLDFAST_METHODS": str(methods),
        },
    )

    seen = json.loads(methods.read_text())
    documented = dict(documented_methods())
    named = {name for name in documented if "*" not in name}
    assert named - set(seen["all"]) == SDKS[sdk]
    assert named & set(seen["all"]) - seen["outcomes"].keys() == set()
    assert contradictions(documented, seen["outcomes"]) == []
    assert [name for name in seen["all"] if is_forgotten(documented, name)] == []


def documented_methods():
    """Yield each method of the table, or a pattern of methods, with what is said of it."""
    for names, verdict in re.findall(r"^\| (`.+?`) \| (\w+) \|", API, re.MULTILINE):
        for name in re.findall(r"`([\w.*]+)`", names):
            yield name, verdict


def contradictions(documented, outcomes):
    return [
        (name, verdict(documented, name), seen)
        for name, seen in outcomes.items()
        if ("answered" in seen) != (verdict(documented, name) == "works")
    ]


def verdict(documented, name):
    patterns = (pattern for pattern in documented if fnmatchcase(name, pattern))
    return documented.get(name) or documented.get(next(patterns, ""))


def is_forgotten(documented, name):
    """A method without a word, of an endpoint of which the table speaks."""
    endpoints = {known.split(".")[0] for known in documented}
    return name.split(".")[0] in endpoints and not verdict(documented, name)
