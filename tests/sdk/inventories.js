import assert from 'node:assert/strict';
import test from 'node:test';

import { UNKNOWN, merchant, movements, product, stockOf } from './shop.js';

const TOO_LOW = {
  title: 'Cannot complete request',
  detail: 'Your request could not be completed due to insufficient stock levels',
};

test('stock is made once, and read', async () => {
  const { id } = await product();

  const { data } = await merchant.gets(201, (sdk) => sdk.Inventories.Create(id, 30));
  const read = await merchant.gets(200, (sdk) => sdk.Inventories.Get(id));

  assert.deepEqual({ ...data, id, type: 'stock', total: 30, available: 30, allocated: 0 }, data);
  assert.deepEqual(read.data, data);
  await merchant.isRefused(400, (sdk) => sdk.Inventories.Create(id, 5), {
    title: 'Validation Error',
  });
});

test('every movement answers its entry in the log and shows in the stock', async () => {
  const { id } = await product({ stock: 10 });
  const moves = [
    ['increment', (sdk) => sdk.Inventories.IncrementStock(id, 5), [15, 15, 0]],
    ['decrement', (sdk) => sdk.Inventories.DecrementStock(id, 3), [12, 12, 0]],
    ['allocate', (sdk) => sdk.Inventories.AllocateStock(id, 4), [12, 8, 4]],
    ['deallocate', (sdk) => sdk.Inventories.DeallocateStock(id, 1), [12, 9, 3]],
  ];

  for (const [action, call, [total, available, allocated]] of moves) {
    const { data } = await merchant.gets(200, call);
    assert.equal(data.type, 'stock-transaction');
    assert.equal(data.action, action);
    assert.equal(data.product_id, id);
    assert.ok(!Number.isNaN(Date.parse(data.timestamps.created_at)));
    assert.deepEqual(await stockOf(id), { total, available, allocated });
  }

  assert.deepEqual(await movements(id), [
    'increment 10',
    'increment 5',
    'decrement 3',
    'allocate 4',
    'deallocate 1',
  ]);
});

test('a movement that does not fit is refused, and moves nothing', async () => {
  const { id } = await product({ stock: 10 });

  await merchant.isRefused(422, (sdk) => sdk.Inventories.DecrementStock(id, 11), TOO_LOW);
  await merchant.isRefused(422, (sdk) => sdk.Inventories.AllocateStock(id, 11), TOO_LOW);
  await merchant.isRefused(422, (sdk) => sdk.Inventories.DeallocateStock(id, 1), TOO_LOW);

  assert.deepEqual(await stockOf(id), { total: 10, available: 10, allocated: 0 });
});

test('quantities that are none are refused', async () => {
  const { id } = await product({ stock: 10 });

  for (const [quantity, status] of [[0, 422], [-1, 422], [1.5, 400], ['two', 400]]) {
    await merchant.isRefused(status, (sdk) => sdk.Inventories.IncrementStock(id, quantity));
  }
});

test('one entry of the log is read by its id', async () => {
  const { id } = await product({ stock: 10 });
  const { data: entry } = await merchant.sdk.Inventories.IncrementStock(id, 7);

  const { data } = await merchant.gets(200, (sdk) =>
    sdk.Inventories.GetTransaction(id, entry.id),
  );

  assert.deepEqual(data, entry);
  await merchant.isRefused(404, (sdk) => sdk.Inventories.GetTransaction(id, UNKNOWN));
});

test('the stock of several products is told at once, of those that exist', async () => {
  const [mug, bowl] = [await product({ stock: 1 }), await product({ stock: 2 })];

  const { data } = await merchant.gets(200, (sdk) =>
    sdk.Inventories.GetMultipleStock([mug.id, UNKNOWN, bowl.id]),
  );

  const levels = Object.fromEntries(data.map((stock) => [stock.id, stock.available]));
  assert.deepEqual(levels, { [mug.id]: 1, [bowl.id]: 2 });
});

test('a product whose inventory is deleted is managed no longer', async () => {
  const { id } = await product({ stock: 10 });

  const body = await merchant.gets(204, (sdk) => sdk.Inventories.Delete(id));

  assert.equal(body, '{}');
  await merchant.isRefused(404, (sdk) => sdk.Inventories.Get(id), { title: 'Not Found' });
  const { data } = await merchant.sdk.Products.Get(id);
  assert.equal(data.manage_stock, false);
});

test('while units are allocated, neither inventory nor product can be deleted', async () => {
  const { id } = await product({ stock: 10 });
  await merchant.sdk.Inventories.AllocateStock(id, 1);

  await merchant.isRefused(422, (sdk) => sdk.Inventories.Delete(id));
  await merchant.isRefused(422, (sdk) => sdk.Products.Delete(id));

  assert.deepEqual(await stockOf(id), { total: 10, available: 9, allocated: 1 });
});

test('all inventories come in pages', async () => {
  await product({ stock: 1 });
  await product({ stock: 2 });

  const first = await merchant.gets(200, (sdk) => sdk.Inventories.Limit(1).All());
  const second = await merchant.gets(200, (sdk) => sdk.Inventories.Limit(1).Offset(1).All());

  assert.equal(first.data.length, 1);
  assert.notEqual(first.data[0].id, second.data[0].id);
  assert.deepEqual(
    [first.meta.page.limit, first.meta.page.offset, first.meta.page.current],
    [1, 0, 1],
  );
  assert.deepEqual([second.meta.page.offset, second.meta.page.current], [1, 2]);
  assert.equal(first.meta.page.total, first.meta.results.total);
  assert.ok(first.meta.results.total >= 2);
});
