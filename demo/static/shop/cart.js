// What is in the cart. It reserves nothing: whoever pays first has the goods.

import { addToCart, cartLines, emptyCart, setQuantity } from "./calls.js";
import { busyWhile, element, say, showList } from "./dom.js";
import { memory } from "./storage.js";
import { lastOf } from "./latest.js";
import { explain, explainShortage } from "./messages.js";

const list = document.getElementById("lines");
const counts = document.querySelectorAll("[data-cart-count]");
const totals = document.querySelectorAll("[data-cart-total]");
const empty = document.getElementById("cart-empty");
const sum = document.getElementById("cart-sum");
const checkout = document.getElementById("checkout");
const checkedOut = document.getElementById("checked-out");

/** The cart as the shopper sees it: its lines, and their total. */
export let shown = { lines: [], total: null };

export const showCart = lastOf(cartLines, (found) => {
  shown = found;
  render();
});

/** Put one unit into the cart. Tells whether that went well. */
export function addProduct(product) {
  const wanted = [{ product_id: product.id, quantity: 1 }];
  return change(() => addToCart(product.id, 1), wanted, `${product.name} is in your cart.`);
}

/** Its things are bought. */
export async function clearCart() {
  await emptyCart();
  memory.checkedOut = null;
  await showCart();
}

function changeQuantity(line, quantity) {
  const said = quantity ? `${line.name}: ${quantity}.` : `${line.name} is out of your cart.`;
  return change(() => setQuantity(line.id, quantity), [{ ...line, quantity }], said);
}

/** A cart that changes is no longer what an earlier order was made of. */
async function change(act, wanted, said) {
  try {
    await act();
    memory.checkedOut = null;
    say(said);
    return true;
  } catch (error) {
    const short = error.code === "insufficient_stock";
    say(short ? await explainShortage(wanted) : explain(error), "bad");
    return false;
  } finally {
    await showCart();
  }
}

function render() {
  const { lines, total } = shown;
  const units = lines.reduce((count, line) => count + line.quantity, 0);
  showList(list, lines, row);
  counts.forEach((place) => (place.textContent = units));
  totals.forEach((place) => (place.textContent = total.formatted));
  empty.hidden = lines.length > 0;
  sum.hidden = lines.length === 0;
  checkout.hidden = lines.length === 0 || memory.checkedOut !== null;
  checkedOut.hidden = lines.length === 0 || memory.checkedOut === null;
}

function row(line) {
  const { unit, value } = line.meta.display_price.with_tax;
  return element(
    "li",
    { class: "line" },
    element("h3", {}, line.name),
    element("span", { class: "each" }, `${unit.formatted} each`),
    quantityField(line),
    removeButton(line),
    element("span", { class: "value" }, value.formatted),
  );
}

function quantityField(line) {
  const field = element("input", {
    type: "number",
    name: "quantity",
    min: 0,
    step: 1,
    required: "",
    value: line.quantity,
    "aria-label": `Quantity of ${line.name}`,
  });
  field.addEventListener("change", async () => {
    if (!field.reportValidity()) return;
    const changed = await changeQuantity(line, field.valueAsNumber);
    if (!changed) field.value = line.quantity;
  });
  return field;
}

function removeButton(line) {
  const remove = element(
    "button",
    { type: "button", name: "remove", class: "plain", "aria-label": `Remove ${line.name}` },
    "Remove",
  );
  remove.addEventListener("click", () => busyWhile(remove, () => changeQuantity(line, 0)));
  return remove;
}
