// What there is to buy.

import { products } from "./calls.js";
import { addProduct } from "./cart.js";
import { busyWhile, element, showList } from "./dom.js";
import { lastOf } from "./latest.js";

const LOW = 5;
const list = document.getElementById("products");
const more = document.getElementById("more");
const none = document.getElementById("no-products");
const search = document.getElementById("search");

let pages = 1;

export function start() {
  search.addEventListener("input", () => showAgain(1));
  more.addEventListener("click", () => busyWhile(more, () => showAgain(pages + 1)));
  return showProducts();
}

function showAgain(count) {
  pages = count;
  return showProducts();
}

/** Show as many pages as there have been asked for, as they are now. */
export const showProducts = lastOf(read, (found) => {
  showList(list, found.products, card);
  more.hidden = found.products.length >= found.total;
  none.hidden = found.total > 0;
  none.textContent = search.value ? "Nothing is called that." : "There is nothing to buy yet.";
});

async function read() {
  const found = { products: [], total: 0 };
  for (let page = 0; page < pages; page += 1) {
    const next = await products({ search: search.value.trim(), offset: found.products.length });
    found.products.push(...next.products);
    found.total = next.total;
  }
  return found;
}

function card(product) {
  const { text, tone } = availability(product);
  return element(
    "li",
    { class: "product" },
    picture(product),
    element("h3", {}, product.name),
    element("p", { class: "price" }, product.meta.display_price?.with_tax.formatted ?? ""),
    element("p", { class: `stock ${tone}` }, text),
    addButton(product),
  );
}

function picture({ picture: address, name }) {
  // The name stands below it, so there is nothing to say twice.
  return address
    ? element("img", { class: "picture", src: address, alt: "", loading: "lazy" })
    : element("span", { class: "picture", "aria-hidden": "true" }, name.slice(0, 1));
}

/** A store may keep its levels to itself; then all there is to say is yes or no. */
function availability({ manage_stock, meta: { stock } }) {
  if (stock.availability === "out-stock") return { text: "Sold out", tone: "out" };
  if (manage_stock && stock.level <= LOW) return { text: `Only ${stock.level} left`, tone: "low" };
  return { text: "In stock", tone: "in" };
}

function addButton(product) {
  if (product.meta.stock.availability === "out-stock" || !product.meta.display_price) return null;
  const add = element(
    "button",
    { type: "button", name: "add", "aria-label": `Add ${product.name} to the cart` },
    "Add to cart",
  );
  add.addEventListener("click", () => busyWhile(add, () => addOne(product)));
  return add;
}

async function addOne(product) {
  // Whoever finds it gone sees what is left of it.
  if (!(await addProduct(product))) await showProducts();
}
