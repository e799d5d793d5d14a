// What became of the orders of this browser's cart, and paying them.

import { confirm, orders, pay } from "./calls.js";
import { clearCart, showCart } from "./cart.js";
import { showProducts } from "./catalogue.js";
import { busyWhile, element, say, showList } from "./dom.js";
import { memory } from "./storage.js";
import { lastOf } from "./latest.js";
import { explain, explainShortage } from "./messages.js";

const POLL_SECONDS = 3;
// What the `test` gateway can be told to do.
const WAYS = {
  ok: "A card that works",
  decline: "A card that is declined",
  requires_action: "A bank that asks you to confirm",
  requires_action_decline: "A bank that asks you to confirm, then declines",
  slow: "A bank that answers late",
  slow_decline: "A bank that answers late, and declines",
  unknown: "A bank that does not answer",
};
const STATES = {
  unpaid: { tone: "", label: "Not paid", text: "Nothing is reserved until you pay." },
  declined: {
    tone: "bad",
    label: "Declined",
    text: "Your bank declined. Nothing was charged; you can try another way.",
  },
  short: { tone: "bad", label: "Not paid" },
  confirm: {
    tone: "waiting",
    label: "Waiting for you",
    text: "Your bank asks you to confirm this payment. The goods are yours until then.",
  },
  pending: {
    tone: "waiting",
    label: "Waiting for the bank",
    text: "The bank has not answered yet. Nobody else gets the goods; there is nothing to do.",
  },
  paid: { tone: "good", label: "Paid", text: "Thank you! We are packing it." },
  shipped: { tone: "good", label: "On its way", text: "Thank you! It has left our shelves." },
  refunded: { tone: "", label: "Refunded", text: "Your money is on its way back to you." },
  cancelled: { tone: "", label: "Cancelled", text: "This order was cancelled." },
};

const section = document.getElementById("orders");
const list = document.getElementById("order-list");
// What only this visit knows of an order: why it could not be paid.
const remarks = new Map();

let before = new Map();
let timer;
// The order that the shopper is led to as soon as it is on the page.
let leadTo = null;

/** Show the orders as they are now, and look again as long as a payment is on its way. */
export async function showOrders() {
  clearTimeout(timer);
  const wasLast = await look();
  const waiting = [...before.values()].some(isOpen);
  if (waiting && wasLast) timer = setTimeout(showOrders, POLL_SECONDS * 1000);
}

const look = lastOf(
  async () => (await orders()).map(described),
  async (found) => {
    section.hidden = found.length === 0;
    showList(list, found, card);
    lead();
    await notice(found);
  },
);

/** Show the orders, and lead the shopper to one of them. */
export function showOrder(id) {
  leadTo = id;
  return showOrders();
}

function lead() {
  const place = document.getElementById(`order-${leadTo}`);
  if (!place) return;
  place.focus();
  leadTo = null;
}

function described(order) {
  return { ...order, state: stateOf(order), remark: remarks.get(order.id) };
}

function stateOf({ id, status, payment, shipping, transactions }) {
  if (status === "cancelled") return "cancelled";
  if (shipping === "fulfilled") return "shipped";
  if (payment === "refunded") return "refunded";
  if (payment === "paid") return "paid";
  const last = transactions.at(-1);
  if (last?.status === "pending") return whatHappened(last);
  if (remarks.has(id)) return "short";
  return ["failed", "cancelled"].includes(last?.status) ? "declined" : "unpaid";
}

function isOpen(state) {
  return state === "pending" || state === "confirm";
}

/** Do what follows from a payment that was settled since the last look. */
async function notice(found) {
  const settled = found.filter(({ id, state }) => isOpen(before.get(id)) && !isOpen(state));
  before = new Map(found.map(({ id, state }) => [id, state]));
  for (const { order_number, state } of settled) {
    say(`Order ${order_number}: ${STATES[state].text}`, STATES[state].tone);
  }
  if (settled.length) await showProducts();
  const bought = found.find(({ id }) => id === memory.checkedOut);
  if (bought) await letGoOfCart(bought);
}

/** The cart's things are bought, or not: once its order is paid, the cart is empty. */
async function letGoOfCart({ state }) {
  if (state === "paid" || state === "shipped") {
    await clearCart();
  } else if (state === "cancelled") {
    memory.checkedOut = null;
    await showCart();
  }
}

function card(order) {
  const { tone, label, text } = STATES[order.state];
  return element(
    "li",
    { class: "order", id: `order-${order.id}`, tabindex: -1 },
    element(
      "header",
      {},
      element("h3", {}, `Order ${order.order_number}`),
      element("span", { class: `badge ${tone}` }, label),
    ),
    element("ul", { class: "items" }, order.items.map(item)),
    element("p", { class: "what" }, order.remark ?? text),
    controls(order),
  );
}

function item({ name, quantity, meta }) {
  return element(
    "li",
    {},
    element("span", {}, `${quantity} × ${name}`),
    element("span", { class: "value" }, meta.display_price.with_tax.value.formatted),
  );
}

function controls(order) {
  if (order.state === "confirm") return [confirmButton(order), anotherWay(order)];
  return ["unpaid", "declined", "short"].includes(order.state) ? payForm(order) : null;
}

function payForm(order) {
  const owing = order.meta.display_price.balance_owing.formatted;
  const form = element(
    "form",
    { class: "pay" },
    element(
      "fieldset",
      {},
      element("legend", {}, "Test payment: what is to happen?"),
      Object.entries(WAYS).map(([way, label]) => choice(way, label)),
    ),
    element("button", { name: "pay" }, `Pay ${owing}`),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busyWhile(form, () => payWith(order, form.elements.way.value));
  });
  return form;
}

function choice(way, label) {
  const radio = element("input", { type: "radio", name: "way", value: way });
  radio.checked = way === "ok";
  return element("label", {}, radio, label);
}

function confirmButton(order) {
  const button = element("button", { type: "button", name: "confirm" }, "Confirm the payment");
  const ask = () => settle(order, () => confirm(order, order.transactions.at(-1)));
  button.addEventListener("click", () => busyWhile(button, ask));
  return button;
}

/** The payment that waits for its buyer is given up for a new one. */
function anotherWay(order) {
  return element(
    "details",
    { class: "another" },
    element("summary", {}, "Pay in another way"),
    payForm(order),
  );
}

function payWith(order, way) {
  remarks.delete(order.id);
  say("We are asking the bank …", "waiting");
  return settle(order, () => pay(order, way));
}

/** Pay, or go on with it, and tell how it ended or that nobody knows yet. */
async function settle(order, act) {
  try {
    const { text, tone } = STATES[whatHappened(await act())];
    say(text, tone);
  } catch (error) {
    say(await reason(order, error), "bad");
  }
  await Promise.all([showProducts(), showOrder(order.id)]);
}

function whatHappened({ status, next_actions }) {
  if (status === "complete") return "paid";
  return next_actions?.length ? "confirm" : "pending";
}

async function reason(order, error) {
  if (error.code !== "insufficient_stock") return explain(error);
  const remark = `${await explainShortage(order.items)} Nothing was charged.`;
  remarks.set(order.id, `${remark} Change your cart and check out again, or pay later.`);
  return remark;
}
