"""Products by file, as a person does it: export, edit, upload, look, apply, take back."""

import csv
import io

from playwright.sync_api import expect

from inventory.models import Product
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.browser.test_counts import PHONE
from tests.factories import product
from tests.product_sheets import named, prices_of


def test_somebody_edits_the_exported_list_and_adds_a_product(browse, tmp_path):
    shirt = product(10, sku="0042", name="Shirt", price=1250)
    product(5, sku="MUG", name="Mug", price=900)
    page = browse("stock clerk")

    page.goto("/admin/inventory/product/")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Products as CSV").click()
    rows = list(csv.DictReader(io.StringIO(downloaded.value.path().read_text("utf-8-sig"))))
    for row in rows:
        row["price_usd"] = "125" if row["sku"] == "0042" else row["price_usd"]
    rows.append({"sku": "CAP", "name": "Cap", "price_usd": "19", "categories": "Head > Caps"})
    edited = tmp_path / "edited.csv"
    with edited.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)

    page.goto("/admin/inventory/sheet/add/")
    page.locator("input[type=file]").set_input_files(edited)
    page.get_by_role("button", name="Upload and check").click()

    expect(page.get_by_text("Applying it makes or changes 2 products.")).to_be_visible()
    line = page.get_by_role("row").filter(has_text="Shirt")
    expect(line).to_contain_text("Price in USD: $12.50 → $125.00")
    expect(line).to_contain_text("The price goes from $12.50 to $125.00.")
    expect(page.get_by_role("row").filter(has_text="CAP")).to_contain_text("Makes the category")
    assert obstacles(page) == []
    page.set_viewport_size(PHONE)
    assert not wider_than_the_screen(page)

    # By the keyboard alone from here on.
    page.get_by_role("checkbox", name="I have looked at").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("It made or changed 2 products.")).to_be_visible()
    assert prices_of(shirt) == {"USD": 12500}
    assert named("CAP").categories.get().name == "Caps"

    page.get_by_role("button", name="Revert").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("all taken back")).to_be_visible()
    assert prices_of(shirt) == {"USD": 1250}
    assert not Product.objects.kept().filter(sku="CAP").exists()
