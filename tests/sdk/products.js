import assert from 'node:assert/strict';
import test from 'node:test';

import { UNKNOWN, buyer, merchant, product, productFields } from './shop.js';

test('a product is made, read, changed and deleted', async () => {
  const fields = productFields({ price: 1999 });

  const { data: created } = await merchant.gets(201, (sdk) => sdk.Products.Create(fields));
  const { data: read } = await merchant.gets(200, (sdk) => sdk.Products.Get(created.id));
  const { data: changed } = await merchant.gets(200, (sdk) =>
    sdk.Products.Update(created.id, { name: 'Renamed', status: 'draft' }),
  );
  const deleted = await merchant.gets(204, (sdk) => sdk.Products.Delete(created.id));

  assert.deepEqual(read, created);
  assert.deepEqual({ ...created, ...fields, type: 'product' }, created);
  assert.deepEqual(created.meta.display_price.with_tax, {
    amount: 1999,
    currency: 'USD',
    formatted: '$19.99',
  });
  assert.deepEqual(created.meta.stock, { level: 0, availability: 'out-stock' });
  assert.deepEqual(
    [changed.name, changed.status, changed.sku],
    ['Renamed', 'draft', fields.sku],
  );
  assert.equal(deleted, '{}');
  await merchant.isRefused(404, (sdk) => sdk.Products.Get(created.id));
});

test('a product may come with its stock', async () => {
  const { data } = await merchant.gets(201, (sdk) =>
    sdk.Products.Create(productFields({ stock: 12 })),
  );

  assert.deepEqual(data.meta.stock, { level: 12, availability: 'in-stock' });
});

test('the shop window tells at once what is left', async () => {
  const { id } = await product({ stock: 3 });

  await merchant.sdk.Inventories.AllocateStock(id, 3);

  const { data } = await buyer.gets(200, (sdk) => sdk.Products.Get(id));
  assert.deepEqual(data.meta.stock, { level: 0, availability: 'out-stock' });
});

test('a shopper sees live products only', async () => {
  const live = await product();
  const draft = await product({ status: 'draft' });

  const { data } = await buyer.gets(200, (sdk) => sdk.Products.Limit(100).All());

  const ids = data.map((shown) => shown.id);
  assert.ok(ids.includes(live.id) && !ids.includes(draft.id));
  await buyer.isRefused(404, (sdk) => sdk.Products.Get(draft.id));
});

test('a sku that is taken, a missing field and an unknown product are refused', async () => {
  const { sku } = await product();

  await merchant.isRefused(409, (sdk) => sdk.Products.Create(productFields({ sku })));
  const missing = await merchant.isRefused(400, (sdk) => sdk.Products.Create({ sku: 'LONELY' }));
  await merchant.isRefused(404, (sdk) => sdk.Products.Update(UNKNOWN, { name: 'Nobody' }));

  assert.equal(missing.title, 'required');
});
