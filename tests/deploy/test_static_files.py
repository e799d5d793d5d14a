"""Static files as `collectstatic` lays them down, served without anything in front."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.templatetags.static import static
from django.test import Client

from backoffice.roles import OWNER
from config import storage
from tests.test_admin_pages import pages, shop, somebody  # noqa: F401

pytestmark = [pytest.mark.processes, pytest.mark.django_db]

HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")
STYLES = "backoffice/admin.css"


@pytest.fixture
def served(settings, collected: Path) -> Path:
    settings.STATIC_ROOT = str(collected)
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage.static_files(str(collected))}
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = False
    return collected


def get(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


def references(text: str) -> set[str]:
    return set(re.findall(r"""["'(](/static/[^"')?#\s]+)""", text))


def test_t54_a_static_file_is_kept_for_good_and_sent_compressed(served):
    answer = get(static(STYLES), accept_encoding="gzip")

    assert HASHED.search(static(STYLES))
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in get(static(STYLES)).headers


def test_what_still_asks_by_the_plain_name_asks_again_soon(served):
    assert get(f"/static/{STYLES}").headers["Cache-Control"] == "max-age=60, public"


def test_every_file_that_a_page_names_is_there_under_a_name_of_its_content(served):
    client = somebody(OWNER)
    addresses = ["/", "/v2/docs", "/admin/login/", *(page.path for page in pages())]

    shown = [client.get(address) for address in addresses]

    named = {
        name
        for answer in shown
        if answer["Content-Type"].startswith("text/html") and not answer.streaming
        for name in references(answer.content.decode())
    }
    assert len(named) > 40
    assert [name for name in sorted(named) if not HASHED.search(name)] == []
    assert [name for name in sorted(named) if not is_there(served, name)] == []


def is_there(folder: Path, address: str) -> bool:
    return (folder / address.removeprefix("/static/")).is_file()


def test_scripts_and_styles_find_each_other_under_such_names_too(served):
    found = {}
    for file in [*served.rglob("*.js"), *served.rglob("*.css")]:
        if file.parent.name in {"shop", "backoffice", "api"} and HASHED.search(file.name):
            for name in re.findall(r"""(?:from |url\()"?(\./[^")]+)""", file.read_text()):
                found[name] = (file.parent / name).is_file()

    assert len(found) > 5
    assert all(HASHED.search(name) for name in found)
    assert all(found.values())


def test_no_script_of_a_library_imports_another_and_its_map_lies_there_unpacked(served):
    """Only through ours is looked for such names, and nobody but a developer reads a map."""
    imported = re.compile(r"""(?:from|import)\s*\(?\s*["']\.{1,2}/""")
    importing = {
        file.parent.name for file in served.rglob("*.js") if imported.search(file.read_text())
    }

    assert importing == {"shop"}
    assert [*served.rglob("*.map")]
    assert [*served.rglob("*.map.gz")] == []


def test_a_page_without_collected_files_is_drawn_all_the_same(settings, tmp_path):
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage.static_files(str(tmp_path))}

    assert get("/admin/login/").status_code == 200
    assert static(STYLES) == f"/static/{STYLES}"
