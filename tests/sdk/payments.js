import assert from 'node:assert/strict';
import test from 'node:test';

import {
  MANUAL, UNKNOWN, buyer, merchant, movements, orderNow, orderOf, paidOrderOf, product, stockOf,
} from './shop.js';

const AUTHORIZE = { gateway: 'manual', method: 'authorize' };

test('the first payment takes the units, and pays the order', async () => {
  const mug = await product({ stock: 10, price: 1250 });
  const order = await orderOf([mug, 2]);
  const named = { ...MANUAL, paymentmethod_meta: { name: 'Cash', custom_reference: 'till 3' } };

  const { data } = await merchant.gets(200, (sdk) => sdk.Orders.Payment(order.id, named));

  assert.deepEqual(
    [data.type, data.gateway, data.transaction_type, data.status, data.amount, data.currency],
    ['transaction', 'manual', 'purchase', 'complete', 2500, 'USD'],
  );
  assert.deepEqual([data.name, data.custom_reference], ['Cash', 'till 3']);
  assert.deepEqual(data.relationships.order.data, { type: 'order', id: order.id });
  assert.equal(data.meta.display_price.formatted, '$25.00');
  const paid = await orderNow(order.id);
  assert.deepEqual([paid.status, paid.payment], ['complete', 'paid']);
  assert.equal(paid.meta.display_price.balance_owing.amount, 0);
  assert.ok(paid.meta.timestamps.fully_paid_at);
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 8, allocated: 2 });
});

test('a shopper pays an order whose id it knows', async () => {
  const order = await orderOf([await product({ stock: 10 }), 1]);

  const { data } = await buyer.gets(200, (sdk) =>
    sdk.Orders.Payment(order.id, { gateway: 'test', method: 'purchase', payment: 'ok' }),
  );

  assert.deepEqual([data.gateway, data.status], ['test', 'complete']);
});

const BY_CARD = { gateway: 'test', method: 'purchase' };

test('a payment waits for what its buyer has to do, and goes on once that is done', async () => {
  const mug = await product({ stock: 10, price: 1250 });
  const order = await orderOf([mug, 2]);
  const asking = { ...BY_CARD, payment: 'requires_action' };

  const { data: waiting } = await buyer.gets(202, (sdk) => sdk.Orders.Payment(order.id, asking));

  assert.equal(waiting.status, 'pending');
  assert.equal(typeof waiting.client_parameters, 'object');
  assert.ok(waiting.next_actions.every(({ type }) => typeof type === 'string'));
  assert.ok(waiting.next_actions.length > 0);
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 8, allocated: 2 });

  for (const _ of ['once', 'and again']) {
    const { data } = await buyer.gets(200, (sdk) => sdk.Orders.Confirm(order.id, waiting.id, {}));
    assert.deepEqual([data.id, data.status], [waiting.id, 'complete']);
    assert.ok(!('next_actions' in data));
  }
  assert.equal((await orderNow(order.id)).payment, 'paid');
  assert.deepEqual(await movements(mug.id), ['increment 10', 'allocate 2']);
});

test('a buyer who fails what the bank asks for has bought nothing', async () => {
  const mug = await product({ stock: 10 });
  const order = await orderOf([mug, 2]);
  const asking = { ...BY_CARD, payment: 'requires_action_decline' };
  const { data: waiting } = await buyer.gets(202, (sdk) => sdk.Orders.Payment(order.id, asking));

  await buyer.isRefused(402, (sdk) => sdk.Orders.Confirm(order.id, waiting.id, {}), {
    title: 'Payment declined',
    code: 'payment_declined',
  });

  assert.equal((await orderNow(order.id)).payment, 'unpaid');
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 10, allocated: 0 });
});

test('only a payment of the order is confirmed', async () => {
  const [order, other] = [
    await orderOf([await product({ stock: 10 }), 1]),
    await orderOf([await product({ stock: 10 }), 1]),
  ];
  const asking = { ...BY_CARD, payment: 'requires_action' };
  const { data: waiting } = await buyer.gets(202, (sdk) => sdk.Orders.Payment(order.id, asking));

  await buyer.isRefused(404, (sdk) => sdk.Orders.Confirm(other.id, waiting.id, {}));
  await buyer.isRefused(404, (sdk) => sdk.Orders.Confirm(UNKNOWN, waiting.id, {}), {
    title: 'Not Found',
    detail: 'Order not found',
  });
});

test('an order is not paid twice', async () => {
  const mug = await product({ stock: 10 });
  const { order } = await paidOrderOf([mug, 2]);

  await merchant.isRefused(422, (sdk) => sdk.Orders.Payment(order.id, MANUAL), {
    title: 'Unprocessable Entity',
    code: 'order_not_payable',
  });

  assert.deepEqual(await movements(mug.id), ['increment 10', 'allocate 2']);
});

test('the last units go to whoever pays first', async () => {
  const mug = await product({ stock: 3 });
  const [slow, quick] = [await orderOf([mug, 2]), await orderOf([mug, 2])];

  await merchant.gets(200, (sdk) => sdk.Orders.Payment(quick.id, MANUAL));
  await merchant.isRefused(400, (sdk) => sdk.Orders.Payment(slow.id, MANUAL), {
    title: 'Insufficient stock',
  });

  assert.deepEqual(await stockOf(mug.id), { total: 3, available: 1, allocated: 2 });
  assert.deepEqual((await merchant.sdk.Transactions.All({ order: slow.id })).data, []);
});

test('a declined payment gives the units back and stays on record', async () => {
  const mug = await product({ stock: 3 });
  const order = await orderOf([mug, 2]);

  await buyer.isRefused(
    402,
    (sdk) =>
      sdk.Orders.Payment(order.id, { gateway: 'test', method: 'purchase', payment: 'decline' }),
    { title: 'Payment declined' },
  );

  assert.deepEqual(await stockOf(mug.id), { total: 3, available: 3, allocated: 0 });
  const { data } = await merchant.sdk.Transactions.All({ order: order.id });
  assert.deepEqual(data.map(({ status }) => status), ['failed']);
});

test('an order is paid in parts, and its units are taken once', async () => {
  const mug = await product({ stock: 10, price: 1000 });
  const order = await orderOf([mug, 2]);

  await merchant.gets(200, (sdk) => sdk.Orders.Payment(order.id, { ...MANUAL, amount: 500 }));
  const part = await orderNow(order.id);
  await merchant.isRefused(
    400,
    (sdk) => sdk.Orders.Payment(order.id, { ...MANUAL, amount: 1501 }),
    { title: 'Bad Request' },
  );
  const rest = await merchant.gets(200, (sdk) => sdk.Orders.Payment(order.id, MANUAL));

  assert.deepEqual([part.status, part.payment], ['incomplete', 'partially_paid']);
  assert.equal(part.meta.display_price.balance_owing.amount, 1500);
  assert.equal(rest.data.amount, 1500);
  assert.equal((await orderNow(order.id)).payment, 'paid');
  assert.deepEqual(await movements(mug.id), ['increment 10', 'allocate 2']);
});

test('authorizing takes the units; a call without a body captures the money', async () => {
  const mug = await product({ stock: 10, price: 1000 });
  const order = await orderOf([mug, 2]);

  const { data: authorized } = await merchant.gets(200, (sdk) =>
    sdk.Orders.Payment(order.id, AUTHORIZE),
  );
  const between = await orderNow(order.id);
  const ids = { order: order.id, transaction: authorized.id };
  const { data: captured } = await merchant.gets(200, (sdk) => sdk.Transactions.Capture(ids));

  assert.equal(merchant.exchanges.at(-1).request.body, undefined);
  assert.deepEqual([authorized.transaction_type, authorized.status], ['authorize', 'complete']);
  assert.deepEqual([between.status, between.payment], ['processing', 'authorized']);
  assert.equal(between.meta.display_price.authorized.amount, 2000);
  assert.deepEqual(
    [captured.id, captured.transaction_type, captured.status],
    [authorized.id, 'capture', 'complete'],
  );
  assert.equal((await orderNow(order.id)).payment, 'paid');
  assert.deepEqual(await movements(mug.id), ['increment 10', 'allocate 2']);
  await merchant.isRefused(422, (sdk) => sdk.Transactions.Capture(ids));
});

test('money goes back in parts, and never more than came', async () => {
  const mug = await product({ stock: 10, price: 1000 });
  const { ids } = await paidOrderOf([mug, 2]);

  const part = await merchant.gets(200, (sdk) => sdk.Transactions.Refund(ids, { amount: 600 }));
  const between = await orderNow(ids.order);
  await merchant.isRefused(422, (sdk) => sdk.Transactions.Refund(ids, { amount: 1401 }), {
    detail: 'Transaction cannot be refunded in its current state',
  });
  const rest = await merchant.gets(200, (sdk) => sdk.Transactions.Refund(ids, { amount: 1400 }));

  assert.deepEqual([part.data.transaction_type, part.data.refunded_amount], ['refund', 600]);
  assert.equal(part.data.meta.display_refunded_amount.total.formatted, '$6.00');
  assert.equal(between.payment, 'paid');
  assert.equal(rest.data.refunded_amount, 2000);
  assert.equal((await orderNow(ids.order)).payment, 'refunded');
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 8, allocated: 2 });
});

test('a refund without an amount marks all of it as refunded', async () => {
  const { ids } = await paidOrderOf([await product({ stock: 10, price: 1000 }), 1]);

  const { data } = await merchant.gets(200, (sdk) => sdk.Transactions.Refund(ids));

  assert.equal(data.refunded_amount, 1000);
  assert.equal((await orderNow(ids.order)).payment, 'refunded');
  await merchant.isRefused(422, (sdk) => sdk.Transactions.Refund(ids));
});

test('a manual transaction cannot be cancelled', async () => {
  const order = await orderOf([await product({ stock: 10 }), 1]);
  const { data } = await merchant.sdk.Orders.Payment(order.id, AUTHORIZE);
  const ids = { order: order.id, transaction: data.id };

  await merchant.isRefused(422, (sdk) => sdk.Transactions.Cancel(ids), {
    title: 'Unsupported gateway operation',
    detail: 'Cancellation is not supported for Manual payment gateway',
  });
});

test('cancelling an authorization, where the gateway can, gives the units back', async () => {
  const mug = await product({ stock: 10 });
  const order = await orderOf([mug, 1]);
  const { data } = await merchant.sdk.Orders.Payment(order.id, {
    gateway: 'test',
    method: 'authorize',
    payment: 'ok',
  });

  const { data: cancelled } = await merchant.gets(200, (sdk) =>
    sdk.Transactions.Cancel({ order: order.id, transaction: data.id }, { reason: 'changed mind' }),
  );

  assert.equal(cancelled.status, 'cancelled');
  assert.deepEqual(await stockOf(mug.id), { total: 10, available: 10, allocated: 0 });
});

test('transactions are listed and read, by either name', async () => {
  const { transaction, ids } = await paidOrderOf([await product({ stock: 10 }), 1]);

  const all = await merchant.gets(200, (sdk) => sdk.Transactions.All({ order: ids.order }));
  const listed = await merchant.gets(200, (sdk) => sdk.Orders.Transactions(ids.order));
  const one = await merchant.gets(200, (sdk) => sdk.Transactions.Get(ids));

  assert.deepEqual(all.data, [transaction]);
  assert.deepEqual(listed.data, all.data);
  assert.deepEqual(one.data, transaction);
  await merchant.isRefused(404, (sdk) =>
    sdk.Transactions.Get({ order: ids.order, transaction: UNKNOWN }),
  );
});

test('malformed payments and unknown gateways are refused before any stock moves', async () => {
  const mug = await product({ stock: 10 });
  const order = await orderOf([mug, 1]);
  const wrong = [
    [400, { gateway: 'manual' }],
    [422, { gateway: 'manual', method: 'barter' }],
    [422, { ...MANUAL, amount: 'all' }],
    [400, { ...MANUAL, amount: 0 }],
    [400, { ...MANUAL, amount: -1 }],
    [422, { gateway: 'nobody', method: 'purchase' }],
  ];

  for (const [status, payment] of wrong) {
    await merchant.isRefused(status, (sdk) => sdk.Orders.Payment(order.id, payment));
  }
  await merchant.isRefused(404, (sdk) => sdk.Orders.Payment(UNKNOWN, MANUAL));

  assert.deepEqual(await movements(mug.id), ['increment 10']);
});
