// From a cart to an order.

import { checkOut } from "./calls.js";
import { showCart, shown } from "./cart.js";
import { showProducts } from "./catalogue.js";
import { busyWhile, say } from "./dom.js";
import { memory } from "./storage.js";
import { showOrder } from "./orders.js";
import { explain, explainShortage } from "./messages.js";

const form = document.getElementById("details");
const EXAMPLE = {
  first_name: "Ada",
  last_name: "Buyer",
  email: "ada@example.com",
  line_1: "1 Mill Lane",
  postcode: "10001",
  city: "New York",
  region: "NY",
  country: "US",
};

export function start() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busyWhile(form, placeOrder);
  });
  form.addEventListener("input", ({ target }) => target.setCustomValidity(""));
  form.elements.example.addEventListener("click", fillIn);
}

function fillIn() {
  for (const [name, value] of Object.entries(EXAMPLE)) form.elements[name].value = value;
}

async function placeOrder() {
  try {
    const order = await checkOut(shown, details());
    memory.checkedOut = order.id;
    say(`Order ${order.order_number} is placed. Now it wants to be paid.`);
    await Promise.all([showCart(), showOrder(order.id)]);
  } catch (error) {
    await explainRefusal(error);
  }
}

function details() {
  const { email, ...address } = Object.fromEntries(new FormData(form));
  return { customer: { name: `${address.first_name} ${address.last_name}`, email }, address };
}

async function explainRefusal(error) {
  // The cart is unchanged, but prices or stock may be other ones than those on the page. Only when
  // they are there may one try again, and so only then is said what went wrong.
  await Promise.allSettled([showCart(), showProducts()]);
  if (pointAtFields(error.entries ?? [])) return;
  const short = error.code === "insufficient_stock";
  say(short ? await explainShortage(shown.lines) : explain(error), "bad");
}

/** Show what is wrong beside the field that each entry names. Tells whether there was any. */
function pointAtFields(entries) {
  const wrong = entries.filter((entry) => fieldOf(entry));
  for (const entry of wrong) fieldOf(entry).setCustomValidity(entry.detail);
  if (wrong.length) form.reportValidity();
  return wrong.length > 0;
}

/** `data.billing_address.postcode` is about the field "postcode". */
function fieldOf({ source = "" }) {
  return form.elements.namedItem(source.split(".").at(-1));
}
