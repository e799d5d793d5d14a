// What the maintained SDK, @epcc-sdk/sdks-shopper, can do here. It knows shoppers only, so the
// product that it buys is named by tests/test_sdk.py; and what only administrators may is called by
// the client that all of its own operations call with.

import assert from 'node:assert/strict';
import test from 'node:test';

import * as sdk from '@epcc-sdk/sdks-shopper';

const { HOLDFAST_HOST, HOLDFAST_STOREFRONT_ID, HOLDFAST_PRODUCT } = process.env;
const ADDRESS = {
  first_name: 'Ada',
  last_name: 'Buyer',
  line_1: '1 Mill Lane',
  postcode: '10001',
  country: 'US',
  region: 'NY',
};

// The browser's store, in which the SDK keeps token and cart.
const stored = new Map();
globalThis.localStorage = {
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, text) => stored.set(key, text),
  removeItem: (key) => stored.delete(key),
};
globalThis.window = { localStorage, addEventListener() {}, removeEventListener() {} };

const { auth } = sdk.configureClient(
  { baseUrl: `http://${HOLDFAST_HOST}` },
  { clientId: HOLDFAST_STOREFRONT_ID },
);

/** The body of an answer with this status. */
async function got(status, call) {
  const { data, error, response } = await call;
  assert.equal(response.status, status, JSON.stringify(error));
  return data;
}

async function isRefused(status, code, call) {
  const { error, response } = await call;
  assert.equal(response.status, status, JSON.stringify(error));
  assert.equal(error.errors[0].status, status);
  assert.equal(error.errors[0].code, code);
}

const line = (quantity) => ({ type: 'cart_item', id: HOLDFAST_PRODUCT, quantity });
const add = (cartID, data) => sdk.manageCarts({ path: { cartID }, body: { data } });

async function order(cartID) {
  await got(201, add(cartID, line(1)));
  const data = {
    customer: { name: 'Ada Buyer', email: 'ada@example.com' },
    billing_address: ADDRESS,
    shipping_address: ADDRESS,
  };
  return (await got(201, sdk.checkoutApi({ path: { cartID }, body: { data } }))).data;
}

const pay = (orderID, payment) =>
  sdk.paymentSetup({
    path: { orderID },
    body: { data: { gateway: 'test', method: 'purchase', payment } },
  });

test('a token is asked for by itself, kept, and replaced when it is good no longer', async () => {
  const { data } = await got(200, sdk.getAllCurrencies());

  assert.equal(data.some(({ code }) => code === 'USD'), true);
  const first = auth.getSnapshot();
  await got(200, sdk.getAllCurrencies());
  assert.equal(auth.getSnapshot(), first);

  const spoiled = { access_token: 'spoiled', expires: 9e12 };
  const storage = { get: () => JSON.stringify(spoiled), set: (text) => (storage.kept = text) };
  const [baseUrl, clientId] = [`http://${HOLDFAST_HOST}`, HOLDFAST_STOREFRONT_ID];
  const { client } = sdk.createShopperClient({ baseUrl }, { clientId, storage });
  await got(200, sdk.getAllCurrencies({ client }));
  assert.notEqual(JSON.parse(storage.kept).access_token, 'spoiled');
});

test('a cart is made once, and its id kept', async () => {
  const id = await sdk.initializeCart();

  assert.equal(await sdk.initializeCart(), id);
  assert.equal(sdk.getCartId(), id);
});

test('a cart comes with all that is asked for, which the SDK says parameter by parameter', async () => {
  await got(201, add('full', line(2)));

  const { data, included } = await got(
    200,
    sdk.getACart({ path: { cartID: 'full' }, query: { include: ['items', 'promotions'] } }),
  );

  assert.equal(data.id, 'full');
  assert.deepEqual(included.items.map(({ quantity }) => quantity), [2]);
  assert.deepEqual(included.promotions, []);
});

test('items are listed, changed and removed', async () => {
  const path = { cartID: 'changing' };
  const { data } = await got(201, add('changing', [line(1)]));
  const cartitemID = data[0].id;
  const item = { ...path, cartitemID };

  const body = { data: { type: 'cart_item', id: cartitemID, quantity: 3 } };
  await got(200, sdk.updateACartItem({ path: item, body }));
  const more = { data: [{ type: 'cart_item', id: cartitemID, quantity: 2 }] };
  await got(200, sdk.bulkUpdateItemsInCart({ path, body: more }));
  const { data: items, meta } = await got(200, sdk.getCartItems({ path }));
  assert.equal(items[0].quantity, 2);
  assert.equal(meta.display_price.with_tax.amount, 2500);

  await got(200, sdk.deleteACartItem({ path: item }));
  await got(204, sdk.deleteAllCartItems({ path }));
  await got(200, sdk.updateACart({ path, body: { data: { name: 'Presents' } } }));
  assert.equal((await got(200, sdk.getACart({ path }))).data.name, 'Presents');
  await got(204, sdk.deleteACart({ path }));
});

test('an order is made and paid', async () => {
  const { id } = await order('buying');

  const { data } = await got(200, pay(id, 'ok'));

  assert.deepEqual([data.status, data.transaction_type], ['complete', 'purchase']);
});

test('a payment that waits for its buyer is confirmed', async () => {
  const { id } = await order('confirming');
  const { data: waiting } = await got(202, pay(id, 'requires_action'));

  const path = { orderID: id, transactionID: waiting.id };
  const { data } = await got(200, sdk.confirmPayment({ path, body: { data: {} } }));

  assert.equal(data.status, 'complete');
});

test('what is refused is refused in the words of the API', async () => {
  await isRefused(400, 'insufficient_stock', add('greedy', line(1000)));
  const { id } = await order('declined');
  await isRefused(402, 'payment_declined', pay(id, 'decline'));
  await isRefused(403, 'forbidden', sdk.getCustomerOrders());
  await isRefused(403, 'forbidden', sdk.getCarts());
  const promotion = { type: 'promotion_item', code: 'SPRING' };
  await isRefused(404, 'promotion_not_found', add('greedy', promotion));
});

/** The SDK's own client, with an administrator's token in its store. */
async function administrator() {
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: process.env.HOLDFAST_CLIENT_ID,
    client_secret: process.env.HOLDFAST_CLIENT_SECRET,
  });
  const baseUrl = `http://${HOLDFAST_HOST}`;
  const answer = await fetch(`${baseUrl}/oauth/access_token`, { method: 'POST', body: form });
  const storage = { get: () => token, set() {} };
  const token = JSON.stringify(await answer.json());
  return sdk.createShopperClient({ baseUrl }, { clientId: 'office', storage }).client;
}

test('integrations are made, changed, asked for what became of them, and deleted', async () => {
  const client = await administrator();
  const url = '/v2/integrations/{id}';
  const headers = { 'Content-Type': 'application/json' };
  const data = {
    type: 'integration',
    name: 'ERP',
    integration_type: 'webhook',
    observes: ['order.paid'],
    configuration: { url: 'https://erp.example.com/' },
  };
  const send = (method, to, id, body) =>
    got(200, client[method]({ url: to, path: { id }, headers, body: { data: body } }));
  const ask = async (to, path, query) => (await got(200, client.get({ url: to, path, query }))).data;

  const { data: made } = await send('post', '/v2/integrations', '', data);
  assert.equal((await send('put', url, made.id, { enabled: true })).data.enabled, true);
  assert.equal((await ask(url, { id: made.id })).enabled, true);
  const all = await ask('/v2/integrations', {}, { page: { limit: 50 }, filter: 'eq(enabled,true)' });
  const { id } = all.find(({ name }) => name === 'Told once');
  const [job] = await ask(`${url}/jobs`, { id });
  const [log] = await ask(`${url}/jobs/{job}/logs`, { id, job: job.id });
  assert.deepEqual(await ask(`${url}/logs`, { id }), [log]);
  assert.deepEqual(await ask('/v2/integrations/logs', {}), [log]);
  await got(204, client.delete({ url, path: { id: made.id } }));
  await isRefused(404, 'integration_not_found', client.get({ url, path: { id: made.id } }));
  await got(200, client.get({ url: '/v2/events', query: { page: { after: 0 } } }));
});
