"""Pictures in a bucket: boto3 speaks to a server on this machine."""

import urllib.request
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from api import clock
from api.ids import uuid7_of
from config import storage
from inventory.errors import PicturesUnavailable
from inventory.models import Picture
from inventory.services import images, picture_files, pictures
from tests.drawn import drawn, picture
from tests.factories import MERCHANT
from tests.fake_s3 import FakeS3, serving

pytestmark = pytest.mark.django_db


@pytest.fixture
def bucket(settings) -> Iterator[FakeS3]:
    with serving() as fake:
        settings.STORAGES = {
            **settings.STORAGES,
            "default": storage.bucket(
                "shop",
                f"{fake.url}/shop",
                prefix="pictures",
                endpoint_url=fake.url,
                region="eu-central-1",
                key_id="key",
                secret="secret",
            ),
        }
        yield fake


def test_a_picture_is_kept_in_the_bucket_and_read_from_it_by_anybody(bucket):
    kept = picture()

    address = picture_files.address(kept.pk, images.LARGE)
    assert address == f"{bucket.url}/shop/pictures/{kept.pk.hex}-1600.webp"
    with urllib.request.urlopen(address) as answer:
        assert len(answer.read()) == kept.size
    headers = [headers for _, headers in bucket.objects.values()]
    assert [each["Content-Type"] for each in headers] == ["image/webp"] * 3
    assert all("immutable" in each["Cache-Control"] for each in headers)
    # Nobody has it fetched through this server.
    assert Client().get(f"/media/{kept.pk.hex}-96.webp").status_code == 404


def test_what_is_deleted_and_what_is_nobody_s_goes_from_the_bucket(bucket):
    kept = picture()
    yesterday = clock.now() - timedelta(hours=25)
    stray = uuid7_of(int(yesterday.timestamp() * 1000), 0, 1)
    picture_files.write(stray, images.draw(drawn()).files)
    assert len(bucket.objects) == 6

    assert picture_files.purge() == 1
    assert len(bucket.objects) == 3
    pictures.delete(kept.pk, actor=MERCHANT)

    assert bucket.objects == {}


def test_a_bucket_that_takes_nothing_is_told_in_words(bucket):
    bucket.is_broken = True

    with pytest.raises(PicturesUnavailable):
        picture()
    assert not Picture.objects.exists()


@pytest.mark.parametrize(
    "url",
    ["pictures.example.com", "ftp://pictures.example.com", "https://", "https://[", "https://a:b"],
)
def test_where_a_bucket_is_read_must_be_an_address(url):
    with pytest.raises(ImproperlyConfigured, match="S3_PUBLIC_URL"):
        storage.bucket("shop", url)


def test_a_bucket_wants_its_packages(monkeypatch):
    monkeypatch.setattr(storage, "find_spec", lambda name: None)

    with pytest.raises(ImproperlyConfigured, match=r"requirements-s3\.lock"):
        storage.bucket("shop", "https://pictures.example.com")


def test_pages_may_load_from_where_the_bucket_is_read_and_from_no_path_of_it():
    assert storage.origin("https://s3.example.com:9000/shop/") == "https://s3.example.com:9000"
