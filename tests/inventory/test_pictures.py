"""Which pictures there are, and which product shows which."""

import threading
import uuid
from functools import partial

import pytest
from django.core.files.storage import default_storage

from api.models import Change
from api.transactions import in_transaction
from inventory.errors import (
    PictureInUse,
    PictureNotFound,
    PicturesMoved,
    PicturesUnavailable,
    ProductNotFound,
    TooManyPictures,
)
from inventory.models import Picture, Product, ProductPicture
from inventory.services import images, picture_files, pictures, products
from tests.concurrency import run_together
from tests.drawn import drawn, picture
from tests.factories import MERCHANT, product

pytestmark = pytest.mark.django_db(transaction=True)


def shown_by(shirt: Product) -> list[uuid.UUID]:
    return pictures.of_products([shirt.pk])[shirt.pk]


def rows(count: int) -> list[Picture]:
    """Make pictures of which nobody reads a file."""
    return Picture.objects.bulk_create(
        Picture(
            name=f"{number}.png",
            sha256=f"{number:064}",
            size=1,
            width=1,
            height=1,
            created_at="2026-01-01T00:00:00Z",
        )
        for number in range(count)
    )


def attach(shirt: Product, *some: Picture) -> None:
    pictures.attach(shirt.pk, [each.pk for each in some], actor=MERCHANT)


def test_a_picture_is_kept_with_its_files_and_who_sent_it():
    kept = picture("C:\\photos\\blue\x07 shirt.PNG")

    assert (kept.name, kept.width, kept.height) == ("blue shirt.PNG", 60, 40)
    assert kept.actor == MERCHANT
    for side in images.SIDES:
        assert picture_files.address(kept.pk, side) == f"/media/{kept.pk.hex}-{side}.webp"
        assert default_storage.exists(f"{kept.pk.hex}-{side}.webp")
    assert kept.size == default_storage.size(f"{kept.pk.hex}-1600.webp")


def test_a_picture_is_kept_under_the_id_that_was_given_and_is_on_record():
    kept = pictures.take("C:\\", drawn(), picture_id=uuid.UUID(int=7), actor=MERCHANT)

    assert (kept.pk, kept.name) == (uuid.UUID(int=7), "picture")
    entry = Change.objects.get(kind="inventory.picture")
    assert (entry.what, entry.thing_id) == ("created", str(kept.pk))


def test_the_same_content_is_the_same_picture():
    content = drawn()

    assert picture("a.png", content) == picture("b.png", content)


def test_two_who_send_the_same_at_once_have_one_picture_and_no_file_too_many(monkeypatch):
    content = drawn()
    monkeypatch.setattr(images, "_turn", threading.BoundedSemaphore(2))
    before = len(default_storage.listdir("")[1])

    kept = run_together(*[lambda: picture("a.png", content)] * 2)

    assert kept[0].pk == kept[1].pk
    assert len(default_storage.listdir("")[1]) == before + 3


def test_a_full_disk_is_told_in_words_and_leaves_no_row(monkeypatch):
    def full(*args: object, **options: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(default_storage, "save", full)

    with pytest.raises(PicturesUnavailable):
        picture()
    assert not Picture.objects.exists()


def test_pictures_are_shown_in_the_order_in_which_they_came_and_rearranged():
    shirt, (a, b, c) = product(), rows(3)
    other = product()
    attach(other, b)

    attach(shirt, a, b)
    attach(shirt, b, c)
    assert shown_by(shirt) == [a.pk, b.pk, c.pk]
    pictures.arrange(shirt.pk, [c.pk, a.pk], seen=[a.pk, b.pk, c.pk], actor=MERCHANT)

    assert (shown_by(shirt), shown_by(other)) == ([c.pk, a.pk], [b.pk])
    assert pictures.main_of([shirt.pk]) == {shirt.pk: c.pk}
    newest = Change.objects.filter(kind="inventory.product").latest("pk")
    assert newest.fields == [
        {"field": "pictures", "before": "0.png, 1.png, 2.png", "after": "2.png, 0.png"}
    ]


def test_a_product_that_shows_other_pictures_was_changed_then():
    shirt = product()
    front, back = rows(2)

    def changed_at() -> str:
        return str(Product.objects.get(pk=shirt.pk).updated_at)

    moments = [changed_at()]
    attach(shirt, front, back)
    moments.append(changed_at())
    seen = shown_by(shirt)
    pictures.arrange(shirt.pk, seen[::-1], seen=seen, actor=MERCHANT)
    moments.append(changed_at())
    assert sorted({*moments}) == moments

    attach(shirt, back)
    assert changed_at() == moments[-1]


def test_what_changed_since_somebody_looked_is_not_rearranged():
    shirt, (a, b) = product(), rows(2)
    attach(shirt, a, b)

    for seen, order in (([a.pk], [a.pk]), ([b.pk, a.pk], []), ([a.pk, b.pk], [uuid.uuid4()])):
        with pytest.raises(PicturesMoved):
            pictures.arrange(shirt.pk, order, seen=seen, actor=MERCHANT)

    assert shown_by(shirt) == [a.pk, b.pk]


def test_many_products_show_pictures_at_once(django_assert_num_queries):
    shirt, mug, (a, b) = product(), product(), rows(2)
    attach(shirt, a)

    with django_assert_num_queries(7):
        in_transaction(pictures.show)({shirt: [b.pk, a.pk], mug: [a.pk]}, MERCHANT)

    assert (shown_by(shirt), shown_by(mug)) == ([b.pk, a.pk], [a.pk])


def test_a_product_has_at_most_twenty_pictures():
    shirt, some = product(), rows(21)
    attach(shirt, *some[:20])

    with pytest.raises(TooManyPictures):
        attach(shirt, some[20])


def test_what_is_not_there_is_refused():
    shirt = product()

    with pytest.raises(PictureNotFound):
        pictures.attach(shirt.pk, [uuid.uuid4()], actor=MERCHANT)
    with pytest.raises(ProductNotFound):
        pictures.attach(uuid.uuid4(), [], actor=MERCHANT)
    with pytest.raises(PictureNotFound):
        pictures.delete(uuid.uuid4(), actor=MERCHANT)


def test_a_picture_goes_with_its_files_once_no_product_shows_it():
    shirt, kept = product(), picture()
    attach(shirt, kept)

    with pytest.raises(PictureInUse):
        pictures.delete(kept.pk, actor=MERCHANT)
    pictures.arrange(shirt.pk, [], seen=[kept.pk], actor=MERCHANT)
    pictures.delete(kept.pk, actor=MERCHANT)

    assert not default_storage.exists(f"{kept.pk.hex}-96.webp")
    assert Change.objects.filter(kind="inventory.picture", what="deleted").exists()


def test_an_archived_product_keeps_its_pictures():
    shirt, (a,) = product(), rows(1)
    attach(shirt, a)
    products.archive(shirt.pk, actor=MERCHANT)

    assert not pictures.unused().exists()


def test_unused_pictures_go_together_and_newer_ones_stay(monkeypatch):
    shirt, (a, b, c, d) = product(), rows(4)
    attach(shirt, b)
    monkeypatch.setattr(pictures, "_DELETED_AT_ONCE", 1)
    asked: list[uuid.UUID] = []
    monkeypatch.setattr(picture_files, "delete", asked.extend)

    assert pictures.delete_unused(c.pk, actor=MERCHANT) == 2
    assert set(Picture.objects.values_list("pk", flat=True)) == {b.pk, d.pk}
    gone = Change.objects.filter(kind="inventory.picture", what="deleted")
    assert {*gone.values_list("thing_id", flat=True)} == {str(a.pk), str(c.pk)}
    # The files of the others wait for the purge, and nobody for them.
    assert asked == [a.pk]


def test_pictures_are_found_by_name_in_any_case_and_the_newest_of_several():
    a, b = rows(2)
    Picture.objects.update(name="Shirt.JPG")

    assert pictures.named(["shirt.jpg", "none.jpg"]) == {"shirt.jpg": max(a.pk, b.pk)}


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("", True),
        ("https://cdn.example.com/a.png", True),
        ("HTTPS://cdn.example.com/a.png", True),
        ("/static/a.png", True),
        ("http://cdn.example.com/a.png", False),
        ("//cdn.example.com/a.png", False),
        ("/\\cdn.example.com/a.png", False),
        ("javascript:alert(1)", False),
        ("data:image/png;base64,AAAA", False),
        ("a.png", False),
        ("https://cdn.example.com:8443/a.png?size=2#top", True),
        ("https://cdn.example.com", True),
        ("https://", False),
        ("https:///a.png", False),
        ("https://?a.png", False),
        ("https://cdn.example.com/a b.png", False),
        ("https://shop:secret@cdn.example.com/a.png", False),
        ("https://cdn.example.com\\@evil.example/a.png", False),
    ],
)
def test_a_picture_from_elsewhere_comes_over_https(address, is_good):
    assert (pictures.fault_of_address(address) == "") is is_good


# Races.


def attached_at_once(shirt: Product, some: list[Picture]) -> list[object]:
    return run_together(*[partial(attach, shirt, each) for each in some])


def test_two_who_attach_at_once_do_not_pass_the_limit():
    shirt, some = product(), rows(21)
    attach(shirt, *some[:19])

    outcomes = attached_at_once(shirt, some[19:])

    assert sorted(map(type, outcomes), key=str) == [type(None), TooManyPictures]
    assert len(shown_by(shirt)) == 20


def test_control_without_the_lock_on_the_product_one_of_two_meets_an_error(monkeypatch):
    monkeypatch.setattr(pictures, "_lock", lambda pk: Product.objects.get(pk=pk))
    shirt, some = product(), rows(12)

    outcomes = attached_at_once(shirt, some)

    assert any(isinstance(outcome, Exception) for outcome in outcomes) or len(shown_by(shirt)) < 12


def test_a_picture_that_is_deleted_while_a_product_takes_it_is_there_or_refused():
    shirt, some = product(), rows(6)

    for each in some:
        taken, deleted = run_together(
            partial(attach, shirt, each),
            partial(pictures.delete, each.pk, actor=MERCHANT),
        )
        assert {type(taken), type(deleted)} in (
            {type(None), PictureInUse},
            {PictureNotFound, type(None)},
        )
    assert ProductPicture.objects.count() == Picture.objects.count()
