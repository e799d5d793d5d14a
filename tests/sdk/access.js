import assert from 'node:assert/strict';
import test from 'node:test';

import { administrator, passerBy, shopper, stranger } from './callers.js';
import { UNKNOWN, buyer, product } from './shop.js';

test('a back office gets a token of an hour for its id and secret', async () => {
  const token = await stranger().sdk.Authenticate();

  const now = Date.now() / 1000;
  assert.equal(token.identifier, 'client_credentials');
  assert.equal(token.token_type, 'Bearer');
  assert.equal(token.expires_in, 3600);
  assert.ok(token.expires > now + 3500 && token.expires <= now + 3601);
  assert.equal(typeof token.access_token, 'string');
});

test('a storefront gets a token for its id alone', async () => {
  const token = await passerBy().sdk.Authenticate();

  assert.equal(token.identifier, 'implicit');
  assert.equal(typeof token.access_token, 'string');
});

test('a wrong secret is refused', async () => {
  const impostor = stranger({ client_secret: 'guessed' });

  await impostor.isRefused(401, (sdk) => sdk.Authenticate(), { title: 'Unauthorized' });
});

test('the first call asks for a token by itself', async () => {
  const caller = passerBy();

  await caller.sdk.Products.All();

  assert.deepEqual(caller.exchanges.map((exchange) => exchange.status), [200, 200]);
});

test('a token that is good no longer is replaced, and the call goes on', async () => {
  const caller = await administrator({ name: 'office', retryDelay: 1, retryJitter: 1 });
  const known = JSON.parse(caller.storage.get('office_ep_credentials'));
  const spoiled = { ...known, access_token: 'spoiled' };
  caller.storage.set('office_ep_credentials', JSON.stringify(spoiled));
  caller.exchanges.length = 0;

  const { data } = await caller.sdk.Inventories.All();

  assert.ok(Array.isArray(data));
  assert.deepEqual(caller.exchanges.map((exchange) => exchange.status), [401, 200, 200]);
});

// Answered 401, the SDK would ask for tokens and try again for some seven seconds.
test('what a shopper may not do is refused once and at once', async () => {
  const { id } = await product({ stock: 5 });
  const forbidden = [
    (sdk) => sdk.Inventories.All(),
    (sdk) => sdk.Inventories.Get(id),
    (sdk) => sdk.Inventories.GetMultipleStock([id]),
    (sdk) => sdk.Inventories.GetTransactions(id),
    (sdk) => sdk.Inventories.IncrementStock(id, 1),
    (sdk) => sdk.Inventories.Delete(id),
    (sdk) => sdk.Products.Create({ name: 'Mine', sku: 'MINE' }),
    (sdk) => sdk.Products.Delete(id),
    (sdk) => sdk.Orders.All(),
    (sdk) => sdk.Orders.Get(UNKNOWN),
    (sdk) => sdk.Transactions.All({ order: UNKNOWN }),
    (sdk) => sdk.Transactions.Refund({ order: UNKNOWN, transaction: UNKNOWN }),
    (sdk) => sdk.Gateways.All(),
    (sdk) => sdk.Gateways.Enabled('manual', false),
    (sdk) => sdk.Settings.All(),
    (sdk) => sdk.Cart().GetCartsList(),
    (sdk) => sdk.Currencies.Create({ code: 'XTS' }),
  ];
  const start = performance.now();

  for (const call of forbidden) {
    await buyer.isRefused(403, call, { title: 'Forbidden', code: 'forbidden' });
  }

  assert.ok(performance.now() - start < 2000);
});

test('headers of other storefronts disturb nothing', async () => {
  const headers = {
    'EP-Inventories-Multi-Location': 'true',
    'EP-Channel': 'web store',
    'EP-Context-Tag': 'spring',
  };
  const caller = await shopper({ application: 'old shop', language: 'en', headers });
  const { id } = await product({ stock: 5 });

  const { data } = await caller.gets(201, (sdk) => sdk.Cart().AddProduct(id, 2));

  assert.equal(data[0].quantity, 2);
});
