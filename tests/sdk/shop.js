// What the scenarios need to exist, made the way a merchant and a shopper make it.

import { administrator, shopper } from './callers.js';

export const merchant = await administrator();
export const buyer = await shopper();

export const UNKNOWN = '00000000-0000-4000-8000-000000000000';
export const CUSTOMER = { name: 'Ada Buyer', email: 'ada@example.com' };
export const ADDRESS = {
  first_name: 'Ada',
  last_name: 'Buyer',
  company_name: '',
  line_1: '1 Mill Lane',
  line_2: '',
  city: 'Milltown',
  county: '',
  region: 'NY',
  postcode: '10001',
  country: 'US',
};

let made = 0;

/** A word that no product, cart or order of this run has yet. */
export const fresh = (word) => `${word}-${(made += 1)}`;

/** The fields that the source API asks of a new product. */
export function productFields({ price = 1250, ...fields } = {}) {
  const sku = fresh('SKU');
  return {
    name: `Shirt ${sku}`,
    slug: sku.toLowerCase(),
    sku,
    description: 'Made of linen',
    manage_stock: true,
    price: [{ amount: price, currency: 'USD', includes_tax: true }],
    status: 'live',
    commodity_type: 'physical',
    ...fields,
  };
}

export async function product({ stock = 0, ...fields } = {}) {
  const { data } = await merchant.sdk.Products.Create(productFields(fields));
  if (stock) await merchant.sdk.Inventories.Create(data.id, stock);
  return data;
}

export async function stockOf(productId) {
  const { data } = await merchant.sdk.Inventories.Get(productId);
  return { total: data.total, available: data.available, allocated: data.allocated };
}

/** What the log says of a product, oldest first. */
export async function movements(productId) {
  const { data } = await merchant.sdk.Inventories.GetTransactions(productId);
  return data.map((entry) => `${entry.action} ${entry.quantity}`);
}

/** A new cart with these quantities; `lines` are pairs of product and quantity. */
export async function cartOf(...lines) {
  const cart = fresh('cart');
  for (const [line, quantity] of lines) await buyer.sdk.Cart(cart).AddProduct(line.id, quantity);
  return cart;
}

export async function orderOf(...lines) {
  const cart = await cartOf(...lines);
  return (await buyer.sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS)).data;
}

export const MANUAL = { gateway: 'manual', method: 'purchase' };

export async function paidOrderOf(...lines) {
  const order = await orderOf(...lines);
  const { data: transaction } = await merchant.sdk.Orders.Payment(order.id, MANUAL);
  return { order, transaction, ids: { order: order.id, transaction: transaction.id } };
}

export const orderNow = async (id) => (await merchant.sdk.Orders.Get(id)).data;
