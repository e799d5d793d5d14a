import assert from 'node:assert/strict';
import test from 'node:test';

import {
  ADDRESS, CUSTOMER, buyer, cartOf, fresh, merchant, orderOf, paidOrderOf, product,
} from './shop.js';

const ids = ({ data }) => data.map(({ id }) => id);

/** Three products that share a word no other product has. */
async function family() {
  const word = fresh('Teapot');
  const made = [];
  for (const [name, price] of [['small', 1000], ['middle', 2000], ['large', 3000]]) {
    made.push(await product({ name: `${word} ${name}`, price, stock: 2 }));
  }
  return { word, small: made[0], middle: made[1], large: made[2] };
}

test('products are filtered', async () => {
  const { word, small, large } = await family();
  const draft = await product({ name: `${word} draft`, status: 'draft' });
  const filtered = async (filter) =>
    ids(await merchant.gets(200, (sdk) => sdk.Products.Filter(filter).Sort('created_at').All()));

  assert.deepEqual(await filtered({ eq: { sku: small.sku } }), [small.id]);
  assert.deepEqual(await filtered({ like: { name: `${word} l*` } }), [large.id]);
  assert.deepEqual(await filtered({ like: { name: `*${word}*` }, eq: { status: 'draft' } }), [
    draft.id,
  ]);
  assert.deepEqual(await filtered({ in: { id: [small.id, large.id] } }), [small.id, large.id]);
  assert.deepEqual(await filtered({ in: { sku: [large.sku] } }), [large.id]);
});

test('products are sorted', async () => {
  const { word, small, middle, large } = await family();
  const sorted = async (sort) =>
    ids(
      await merchant.gets(200, (sdk) =>
        sdk.Products.Filter({ like: { name: `${word}*` } }).Sort(sort).All(),
      ),
    );

  assert.deepEqual(await sorted('name'), [large.id, middle.id, small.id]);
  assert.deepEqual(await sorted('-created_at'), [large.id, middle.id, small.id]);
  assert.deepEqual(await sorted('created_at'), [small.id, middle.id, large.id]);
});

test('products come in pages that tell where they stand', async () => {
  const { word, small, large } = await family();
  const like = { name: `${word}*` };

  const page = await merchant.gets(200, (sdk) =>
    sdk.Products.Filter({ like }).Sort('created_at').Limit(2).Offset(2).All(),
  );
  const first = await merchant.gets(200, (sdk) =>
    sdk.Products.Filter({ like }).Sort('created_at').Limit(1).All(),
  );

  assert.deepEqual([ids(page), ids(first)], [[large.id], [small.id]]);
  assert.deepEqual(page.meta.results.total, 3);
  assert.deepEqual(
    { ...page.meta.page, limit: 2, offset: 2, current: 2, total: 2 },
    page.meta.page,
  );
  assert.equal(page.links.next, null);
  assert.equal(first.links.prev, null);
  assert.equal(typeof first.links.next, 'string');
});

test('nonsense is refused: fields, operators, sorts, sizes and offsets', async () => {
  const asked = [
    (sdk) => sdk.Products.Filter({ eq: { colour: 'red' } }).All(),
    (sdk) => sdk.Products.Filter({ gt: { name: 'a' } }).All(),
    (sdk) => sdk.Products.Filter({ resembles: { name: 'a' } }).All(),
    (sdk) => sdk.Products.Sort('colour').All(),
    (sdk) => sdk.Orders.Filter({ eq: { colour: 'red' } }).All(),
    (sdk) => sdk.Orders.Limit(101).All(),
    (sdk) => sdk.Orders.Offset(10001).All(),
  ];

  for (const call of asked) await merchant.isRefused(400, call, { title: 'Bad Request' });
});

test('limit 0, which one of the SDKs sends, is the default', async () => {
  const { meta } = await merchant.gets(200, (sdk) => sdk.Products.Limit(0).All());

  assert.equal(meta.page.limit, 25);
});

test('orders are filtered by state, buyer, product, total and time', async () => {
  const mug = await product({ stock: 10, price: 1000 });
  const email = `${fresh('ada')}@example.com`;
  const cart = await cartOf([mug, 1]);
  const { data: open } = await buyer.sdk.Cart(cart).Checkout({ ...CUSTOMER, email }, ADDRESS);
  const { order: paid } = await paidOrderOf([mug, 3]);
  const mine = { product_id: mug.id };
  const filtered = async (filter) =>
    ids(await merchant.gets(200, (sdk) => sdk.Orders.Filter(filter).Sort('created_at').All()));

  assert.deepEqual(await filtered({ eq: mine }), [open.id, paid.id]);
  assert.deepEqual(await filtered({ eq: { ...mine, payment: 'paid' } }), [paid.id]);
  assert.deepEqual(await filtered({ eq: { ...mine, status: 'incomplete' } }), [open.id]);
  assert.deepEqual(await filtered({ eq: { ...mine, shipping: 'fulfilled' } }), []);
  assert.deepEqual(await filtered({ eq: { product_sku: mug.sku, payment: 'unpaid' } }), [open.id]);
  assert.deepEqual(await filtered({ eq: { email } }), [open.id]);
  assert.deepEqual(await filtered({ like: { email: `${email.split('@')[0]}*` } }), [open.id]);
  assert.deepEqual(await filtered({ eq: mine, gt: { with_tax: 1000 } }), [paid.id]);
  const since = { created_at: paid.meta.timestamps.created_at };
  assert.deepEqual(await filtered({ eq: mine, ge: since }), [paid.id]);
  assert.deepEqual(await filtered({ eq: mine, lt: { created_at: '2020-01-01' } }), []);
});

test('orders are sorted, newest first unless asked otherwise', async () => {
  const mug = await product({ stock: 10, price: 1000 });
  const [large, small] = [await orderOf([mug, 3]), await orderOf([mug, 1])];
  const sorted = async (sort) =>
    ids(
      await merchant.gets(200, (sdk) =>
        sdk.Orders.Filter({ eq: { product_id: mug.id } }).Sort(sort).All(),
      ),
    );

  assert.deepEqual(await sorted(undefined), [small.id, large.id]);
  assert.deepEqual(await sorted('created_at'), [large.id, small.id]);
  assert.deepEqual(await sorted('with_tax'), [small.id, large.id]);
  assert.deepEqual(await sorted('-with_tax'), [large.id, small.id]);
});

test('orders come with their items, of all of a page at once', async () => {
  const mug = await product({ stock: 10 });
  const [first, second] = [await orderOf([mug, 1]), await orderOf([mug, 2])];

  const { data, included, meta } = await merchant.gets(200, (sdk) =>
    sdk.Orders.With('items').Filter({ eq: { product_id: mug.id } }).Sort('created_at').All(),
  );

  assert.deepEqual(data.map(({ id }) => id), [first.id, second.id]);
  assert.deepEqual(included.items.map(({ quantity }) => quantity), [1, 2]);
  assert.equal(meta.results.total, 2);
});
