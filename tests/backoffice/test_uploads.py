"""Who may send files, and how much anybody may send."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from backoffice.uploads import STRANGERS_BYTES_MAX
from inventory.models import Sheet
from inventory.services.sheets.tables import BYTES_MAX

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
COUNTS = "/admin/inventory/sheet/add/"
# More than Django keeps in memory.
LARGE = 3 * 2**20


@pytest.fixture
def spool(settings, tmp_path) -> Path:
    """Where files would be written that are larger than what is kept in memory."""
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    return tmp_path  # type: ignore[no-any-return]


def browser(*permissions: str) -> Client:
    user = User.objects.create(username="maria", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


def send_file(client: Client, path: str, size: int, **fields: str) -> Any:
    file = SimpleUploadedFile("counts.csv", b"sku,count\n".ljust(size, b"\n"), "text/csv")
    return client.post(path, {**fields, "file": file})


@pytest.fixture(autouse=True)
def nothing_is_written(spool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []
    make = tempfile.NamedTemporaryFile

    def noted(*args: Any, **options: Any) -> Any:
        file = make(*args, **options)
        written.append(file.name)
        return file

    monkeypatch.setattr("django.core.files.uploadedfile.tempfile.NamedTemporaryFile", noted)
    return written


@pytest.mark.parametrize(("size", "status"), [(100, 403), (LARGE, 413)])
def test_t39_a_stranger_s_file_is_refused_before_it_is_written(nothing_is_written, size, status):
    for path in (LOGIN, COUNTS):
        answer = send_file(Client(), path, size, username="maria", password="x")
        assert answer.status_code in {status, 302}
        assert path == COUNTS or answer.status_code == status

    assert nothing_is_written == []


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/health/live", "/health/ready", "/v2/docs", "/v2/openapi.json"]
)
def test_t39_nor_is_one_written_that_is_sent_to_any_other_page(nothing_is_written, path):
    browser = Client(enforce_csrf_checks=True)
    browser.cookies["csrftoken"] = "x" * 32

    for size in (100, LARGE):
        assert 400 <= send_file(browser, path, size).status_code < 500
    assert nothing_is_written == []


def test_t39_so_is_the_file_of_who_may_not_count(nothing_is_written):
    viewer = browser("view_sheet", "view_stock")

    assert send_file(viewer, COUNTS, 100).status_code == 403
    assert send_file(viewer, COUNTS, LARGE).status_code == 413
    assert (nothing_is_written, Sheet.objects.count()) == ([], 0)


def test_t39_and_any_file_that_no_page_asks_for(nothing_is_written):
    clerk = browser("change_stock", "add_product", "change_product")

    for path in ("/admin/inventory/product/add/", "/admin/password_change/", LOGIN):
        assert send_file(clerk, path, 100).status_code == 403
        assert send_file(clerk, path, LARGE).status_code == 413
    assert nothing_is_written == []


def test_who_may_count_sends_a_large_file(nothing_is_written):
    clerk = browser("change_stock", "view_sheet")

    assert send_file(clerk, COUNTS, LARGE).status_code in {200, 302}
    assert len(nothing_is_written) == 1
    assert send_file(clerk, COUNTS, BYTES_MAX + 2**17).status_code == 413
    assert len(nothing_is_written) == 1


@pytest.mark.parametrize("over", [0, 1])
def test_t39_a_stranger_s_form_is_short(over):
    form = b"username=maria&password=".ljust(STRANGERS_BYTES_MAX + over, b"x")

    answer = Client().post(LOGIN, form, content_type="application/x-www-form-urlencoded")

    assert answer.status_code == (413 if over else 200)


def test_t39_a_webhook_is_no_longer_than_any_body(settings, caplog):
    body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)

    answer = Client().post("/webhooks/test", body, content_type="application/json")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "body_too_large")
    # Anybody may send one, and a traceback is longer than the headers that call for it.
    assert caplog.records == []
