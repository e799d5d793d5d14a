import assert from 'node:assert/strict';
import test from 'node:test';

import {
  ADDRESS, MANUAL, UNKNOWN, merchant, movements, orderOf, paidOrderOf, product, stockOf,
} from './shop.js';

const WRONG_STATE = { title: 'Unprocessable Entity' };

test('an order is read with its items, alone or included', async () => {
  const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 10 })];
  const order = await orderOf([mug, 2], [bowl, 1]);

  const alone = await merchant.gets(200, (sdk) => sdk.Orders.Get(order.id));
  const whole = await merchant.gets(200, (sdk) => sdk.Orders.With('items').Get(order.id));
  const items = await merchant.gets(200, (sdk) => sdk.Orders.Items(order.id));

  assert.deepEqual(alone.data, order);
  assert.equal(alone.included, undefined);
  assert.deepEqual(whole.included.items, items.data);
  assert.deepEqual(
    items.data.map((item) => [item.sku, item.quantity, item.value.amount]),
    [[mug.sku, 2, 2500], [bowl.sku, 1, 1250]],
  );
  await merchant.isRefused(404, (sdk) => sdk.Orders.Get(UNKNOWN), {
    title: 'Not Found',
    detail: 'Order not found',
  });
});

test('a paid order is shipped, once', async () => {
  const mug = await product({ stock: 10 });
  const { order } = await paidOrderOf([mug, 2]);

  const { data } = await merchant.gets(200, (sdk) =>
    sdk.Orders.Update(order.id, { shipping: 'fulfilled' }),
  );

  assert.deepEqual([data.status, data.payment, data.shipping], ['complete', 'paid', 'fulfilled']);
  assert.deepEqual(await stockOf(mug.id), { total: 8, available: 8, allocated: 0 });
  assert.deepEqual(await movements(mug.id), [
    'increment 10',
    'allocate 2',
    'deallocate 2',
    'decrement 2',
  ]);
  for (const change of [{ shipping: 'fulfilled' }, { status: 'cancelled' }]) {
    await merchant.isRefused(422, (sdk) => sdk.Orders.Update(order.id, change), WRONG_STATE);
  }
});

test('an unpaid order is not shipped', async () => {
  const mug = await product({ stock: 10 });
  const order = await orderOf([mug, 2]);

  await merchant.isRefused(
    422,
    (sdk) => sdk.Orders.Update(order.id, { shipping: 'fulfilled' }),
    WRONG_STATE,
  );

  assert.deepEqual(await movements(mug.id), ['increment 10']);
});

test('a paid order is cancelled, once, and gives its units back', async () => {
  const mug = await product({ stock: 10 });
  const { order } = await paidOrderOf([mug, 2]);

  const { data } = await merchant.gets(200, (sdk) =>
    sdk.Orders.Update(order.id, { status: 'cancelled' }),
  );
  await merchant.isRefused(
    422,
    (sdk) => sdk.Orders.Update(order.id, { status: 'cancelled' }),
    WRONG_STATE,
  );

  assert.deepEqual([data.status, data.payment], ['cancelled', 'paid']);
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 10, allocated: 0 });
});

test('an unpaid order is cancelled without any movement, and not paid after', async () => {
  const mug = await product({ stock: 10 });
  const order = await orderOf([mug, 2]);

  await merchant.gets(200, (sdk) => sdk.Orders.Update(order.id, { status: 'cancelled' }));
  await merchant.isRefused(422, (sdk) => sdk.Orders.Payment(order.id, MANUAL), WRONG_STATE);

  assert.deepEqual(await movements(mug.id), ['increment 10']);
});

test('a cancelled order that was paid is refunded', async () => {
  const { ids } = await paidOrderOf([await product({ stock: 10 }), 1]);
  await merchant.sdk.Orders.Update(ids.order, { status: 'cancelled' });

  await merchant.gets(200, (sdk) => sdk.Transactions.Refund(ids));

  const { data } = await merchant.sdk.Orders.Get(ids.order);
  assert.deepEqual([data.status, data.payment], ['cancelled', 'refunded']);
});

test('address, number and reference of an order change until it is shipped', async () => {
  const { order } = await paidOrderOf([await product({ stock: 10 }), 1]);
  const changes = {
    shipping_address: { ...ADDRESS, line_1: '3 Quay', phone_number: '555', instructions: '' },
    order_number: 'SHOP-77',
    external_ref: 'erp-1',
  };

  const { data } = await merchant.gets(200, (sdk) => sdk.Orders.Update(order.id, changes));
  await merchant.sdk.Orders.Update(order.id, { shipping: 'fulfilled' });

  assert.deepEqual({ ...data, ...changes }, data);
  await merchant.isRefused(422, (sdk) => sdk.Orders.Update(order.id, { external_ref: 'erp-2' }), {
    ...WRONG_STATE,
    detail: 'Order cannot be updated in its current state',
  });
});

test('an order cannot be called paid, nor put back', async () => {
  const order = await orderOf([await product({ stock: 10 }), 1]);

  for (const change of [{ status: 'complete' }, { shipping: 'unfulfilled' }]) {
    await merchant.isRefused(422, (sdk) => sdk.Orders.Update(order.id, change));
  }
});
