import assert from 'node:assert/strict';
import test from 'node:test';

import {
  ADDRESS, CUSTOMER, UNKNOWN, buyer, cartOf, fresh, merchant, movements, product, stockOf,
} from './shop.js';

const SHORT = { title: 'Insufficient stock', code: 'insufficient_stock' };

test('checkout makes an unpaid order, reserves nothing and leaves the cart', async () => {
  const mug = await product({ stock: 10, price: 1250 });
  const cart = await cartOf([mug, 2]);
  const [line] = (await buyer.sdk.Cart(cart).Items()).data;

  const { data: order, included } = await buyer.gets(201, (sdk) =>
    sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS),
  );

  assert.deepEqual(
    [order.type, order.status, order.payment, order.shipping],
    ['order', 'incomplete', 'unpaid', 'unfulfilled'],
  );
  assert.deepEqual(order.customer, CUSTOMER);
  assert.deepEqual(order.billing_address, ADDRESS);
  assert.deepEqual(order.shipping_address, { ...ADDRESS, phone_number: '', instructions: '' });
  const { with_tax: withTax, balance_owing: owing, paid } = order.meta.display_price;
  assert.deepEqual(withTax, { amount: 2500, currency: 'USD', formatted: '$25.00' });
  assert.deepEqual([owing.amount, paid.amount], [2500, 0]);
  const [item] = included.items;
  assert.deepEqual(order.relationships.items.data, [{ type: 'item', id: item.id }]);
  assert.deepEqual([item.type, item.product_id, item.quantity], ['order_item', mug.id, 2]);
  assert.deepEqual(item.relationships.cart_item.data, { type: 'cart_item', id: line.id });
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 10, allocated: 0 });
  assert.equal((await buyer.sdk.Cart(cart).Items()).data.length, 1);
});

test('the goods may go elsewhere than the bill', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);
  const elsewhere = { ...ADDRESS, line_1: '2 Harbour Street', instructions: 'Ring twice' };

  const { data } = await buyer.gets(201, (sdk) =>
    sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS, elsewhere),
  );

  assert.equal(data.billing_address.line_1, '1 Mill Lane');
  assert.equal(data.shipping_address.line_1, '2 Harbour Street');
  assert.equal(data.shipping_address.instructions, 'Ring twice');
});

test('what no longer is there for the whole cart is refused', async () => {
  const mug = await product({ stock: 100 });
  const cart = await cartOf([mug, 60], [mug, 50]);

  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS), SHORT);

  assert.deepEqual(await movements(mug.id), ['increment 100']);
});

test('an empty cart cannot be checked out', async () => {
  await buyer.isRefused(400, (sdk) => sdk.Cart(fresh('cart')).Checkout(CUSTOMER, ADDRESS), {
    code: 'cart_empty',
  });
});

test('an address or e-mail that is none is refused, with the field named', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);
  const { postcode, ...nowhere } = ADDRESS;

  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).Checkout(CUSTOMER, nowhere), {
    title: 'required',
    source: 'data.billing_address.postcode',
  });
  const anonymous = { name: 'Ada', email: 'nobody' };
  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).Checkout(anonymous, ADDRESS), {
    title: 'format',
    source: 'data.customer.email',
  });
});

// The SDK makes {id} of a string, and there are no customer records here.
test('a customer by id is refused rather than ignored', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);

  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).Checkout(UNKNOWN, ADDRESS), {
    title: 'required',
    source: 'data.customer.name',
  });
});

// There are no accounts: the contact is the customer.
test('the contact of an account checks out as a guest does', async () => {
  const cart = await cartOf([await product({ stock: 10 }), 1]);

  const { data } = await buyer.gets(201, (sdk) =>
    sdk.Cart(cart).CheckoutWithAccountManagementToken(CUSTOMER, ADDRESS, ADDRESS, 'a token'),
  );

  assert.deepEqual(data.customer, CUSTOMER);
});

test('a cart in another currency than the header is refused', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);

  await merchant.isRefused(400, (sdk) =>
    sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS, ADDRESS, { 'X-MOLTIN-CURRENCY': 'EUR' }),
  );
});
