// Every call that this shop makes. They are all there is to know; the server does the rest.

import { get, send } from "./api.js";
import { once } from "./keys.js";
import { memory } from "./storage.js";

const PAGE = 48;
const cart = () => `/v2/carts/${memory.cart}`;

/** A page of live products, by name, and how many there are in all. */
export async function products({ search = "", offset = 0 }) {
  const filter = search && `&filter=${encodeURIComponent(`like(name,"*${escaped(search)}*")`)}`;
  const asked = `sort=name&include=main_image&page[limit]=${PAGE}&page[offset]=${offset}${filter}`;
  const { data, meta, included } = await get(`/v2/products?${asked}`);
  const pictures = new Map(included.main_images.map((file) => [file.id, file]));
  const found = data.map((product) => ({ ...product, picture: pictureOf(product, pictures) }));
  return { products: found, total: meta.results.total };
}

/** The address of a picture that is large enough for a card, if there is any. */
function pictureOf({ image_url, relationships }, pictures) {
  const main = pictures.get(relationships.main_image?.data.id);
  return main ? main.meta.smaller.at(-1).href : image_url;
}

/** These products, as they are now. One that is missing is no longer sold. */
export async function productsOf(ids) {
  return ids.length ? (await get(`/v2/products?filter=in(id,${ids})&page[limit]=100`)).data : [];
}

/** What is in the cart, and what it costs now. A cart that nobody has filled is empty. */
export async function cartLines() {
  const { data, meta } = await get(`${cart()}/items`);
  return { lines: data, total: meta.display_price.with_tax };
}

export function addToCart(productId, quantity) {
  return send("POST", `${cart()}/items`, { type: "cart_item", id: productId, quantity });
}

/** 0 takes the line out. */
export function setQuantity(itemId, quantity) {
  return send("PUT", `${cart()}/items/${itemId}`, { quantity });
}

export function emptyCart() {
  return send("DELETE", `${cart()}/items`);
}

/**
 * Make an order of the cart, once, and only if it costs what the shopper was shown.
 * Nothing is reserved yet, and nobody is asked for money.
 */
export async function checkOut({ lines, total }, { customer, address }) {
  const body = { customer, billing_address: address, expected_total: total.amount };
  const path = `${cart()}/checkout`;
  const { data } = await once("checkout", { body, lines }, (key) => send("POST", path, body, key));
  return data;
}

/** What became of this cart's orders, newest first. */
export async function orders() {
  return (await get(`${cart()}/orders`)).data;
}

/** Pay all that is owing. The answer is a transaction; while it is "pending", nobody knows yet. */
export async function pay(order, payment) {
  const body = { gateway: "test", method: "purchase", payment };
  const path = `/v2/orders/${order.id}/payments`;
  const { data } = await once(`pay ${order.id}`, body, (key) => send("POST", path, body, key));
  return data;
}

/** Go on with a payment after the buyer has done what the bank asked for. */
export async function confirm(order, transaction) {
  const path = `/v2/orders/${order.id}/transactions/${transaction.id}/confirm`;
  return (await send("POST", path, {})).data;
}

function escaped(text) {
  return text.replace(/[\\"*]/g, "\\$&");
}
