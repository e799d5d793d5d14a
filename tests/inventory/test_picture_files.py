"""Where the files of pictures are, and when they go."""

import uuid
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage

from api import clock
from api.ids import uuid7_of
from inventory import jobs
from inventory.models import Picture
from inventory.services import images, picture_files
from tests.drawn import drawn, picture

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "media")


def made(hours_ago: int) -> uuid.UUID:
    at = clock.now() - timedelta(hours=hours_ago)
    picture_id = uuid7_of(int(at.timestamp() * 1000), 0, hours_ago)
    picture_files.write(picture_id, images.draw(drawn()).files)
    return picture_id


def test_files_without_a_row_go_after_a_day_and_nothing_else():
    kept, stray, young = picture(), made(25), made(1)
    used = made(26)
    Picture.objects.filter(pk=kept.pk).update(id=used)
    default_storage.save("notes.txt", default_storage.open(f"{young.hex}-96.webp"))

    jobs.purge_picture_files(0)

    there = {name.partition("-")[0] for name in default_storage.listdir("")[1]}
    assert there == {kept.pk.hex, young.hex, used.hex, "notes.txt"}
    assert stray.hex not in there


def test_however_many_files_are_nobodys_they_go_together(monkeypatch):
    kept, *_ = picture(), *(made(hours) for hours in range(25, 30))
    monkeypatch.setattr(picture_files, "_ROWS_A_QUERY", 2)

    assert picture_files.purge() == 5

    assert {name.partition("-")[0] for name in default_storage.listdir("")[1]} == {kept.pk.hex}


def test_without_a_folder_there_is_nothing_to_purge():
    assert picture_files.purge() == 0


def test_a_file_that_cannot_be_deleted_now_waits_for_the_purge(monkeypatch):
    def broken(name: str) -> None:
        raise OSError("bucket away")

    monkeypatch.setattr(default_storage, "delete", broken)

    picture_files.delete([uuid.uuid4()])


@pytest.mark.parametrize("name", ["../settings.py", "a.webp", f"{'0' * 32}-97.webp"])
def test_nothing_else_is_read(name):
    assert picture_files.read(name) is None
