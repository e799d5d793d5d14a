"""Pictures, as a person uploads them, puts them in order and looks for them."""

from pathlib import Path

from playwright.sync_api import Page, expect

from inventory.models import Product
from inventory.services import pictures
from tests.browser.accessibility import obstacles
from tests.drawn import drawn, picture
from tests.factories import MERCHANT, product


def names_shown(page: Page) -> list[str]:
    texts = page.locator(".hf-picture .hf-note").all_inner_texts()
    return [text.rpartition("· ")[2].strip() for text in texts]


def showing(*names: str) -> Product:
    shirt = product(5, name="Linen shirt", image_url="https://cdn.example.com/shirt.png")
    shown = [picture(name).pk for name in names]
    pictures.attach(shirt.pk, shown, actor=MERCHANT)
    return shirt


def test_somebody_uploads_pictures_and_one_is_refused_in_words(browse, tmp_path: Path, watch):
    shirt, page = showing(), browse("stock clerk")
    page.goto(f"/admin/inventory/product/{shirt.pk}/pictures/")
    files = {"front.png": drawn(), "back.png": drawn(), "logo.svg": b"<svg/>"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    page.get_by_label("Pictures to upload").set_input_files([tmp_path / name for name in files])
    page.get_by_role("button", name="Upload", exact=True).click()

    expect(page.get_by_text("2 uploaded, 1 refused.")).to_be_visible()
    expect(page.get_by_text("SVG is not taken")).to_be_visible()
    expect(page.get_by_role("img", name="Linen shirt", exact=True)).to_be_visible()
    assert names_shown(page) == ["front.png", "back.png"]
    assert obstacles(page) == []
    # What lies elsewhere is asked for when somebody asks for it, and not before: the watch sees to
    # that, too.
    page.get_by_role("button", name="Show it here").click()
    expect(page.get_by_text("There is no picture at this address")).to_be_visible()
    assert any("cdn.example.com" in each for each in watch.complaints)
    watch.complaints.clear()


def test_dropped_files_are_uploaded_at_once(browse):
    shirt, page = showing(), browse("stock clerk")
    page.goto(f"/admin/inventory/product/{shirt.pk}/pictures/")
    dropped = page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
            return transfer;
        }""",
        list(drawn()),
    )

    page.dispatch_event("#upload", "drop", {"dataTransfer": dropped})

    expect(page.get_by_text("1 uploaded.")).to_be_visible()
    assert names_shown(page) == ["dropped.png"]


def test_pictures_are_put_in_order_by_keyboard_and_by_mouse(browse):
    shirt, page = showing("a.png", "b.png", "c.png"), browse("stock clerk")
    page.goto(f"/admin/inventory/product/{shirt.pk}/pictures/")

    page.get_by_role("button", name="Make c.png the main picture").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".hf-picture").first).to_contain_text("Main picture · c.png")
    page.get_by_role("button", name="Remove a.png").focus()
    page.keyboard.press("Space")
    expect(page.locator(".hf-picture")).to_have_count(2)
    page.locator(".hf-picture").last.drag_to(page.locator(".hf-picture").first)

    expect(page.locator(".hf-picture").first).to_contain_text("Main picture · b.png")
    assert names_shown(page) == ["b.png", "c.png"]
