// A purchase by a client that nobody wrote: its types come from the API's description, by
// openapi-typescript. tests/test_generated_clients.py makes them, compiles this and runs it.

import assert from 'node:assert/strict';

import createClient from 'openapi-fetch';

import type { components, paths } from './api.js';

const [, , baseUrl, clientId] = process.argv;
assert(baseUrl && clientId);
const client = createClient<paths>({ baseUrl });

type Body<Answer> = { data?: Answer; error?: unknown; response: Response };

function got<Answer>(status: number, { data, error, response }: Body<Answer>): Answer {
  assert.equal(response.status, status, JSON.stringify(error));
  assert(data);
  return data;
}

const token = got(
  200,
  await client.POST('/oauth/access_token', {
    body: { grant_type: 'implicit', client_id: clientId },
    bodySerializer: (body) => new URLSearchParams(body),
  }),
);
client.use({
  onRequest: ({ request }) => request.headers.set('Authorization', `Bearer ${token.access_token}`),
});

const products = got(
  200,
  await client.GET('/v2/products', {
    params: {
      query: { filter: 'eq(status,live):gt(stock,0)', sort: 'name', 'page[limit]': 5 },
      header: { 'X-Moltin-Currency': 'USD' },
    },
  }),
);
const [shirt] = products.data;
assert(shirt);

const path = { cart_id: 'typed' };
const items = got(
  201,
  await client.POST('/v2/carts/{cart_id}/items', {
    params: { path },
    body: { data: { type: 'cart_item', id: shirt.id, quantity: 2, custom_inputs: { for: 'Ada' } } },
  }),
);
assert.equal(items.data[0]?.quantity, 2);
const cart = got(
  200,
  await client.GET('/v2/carts/{cart_id}', { params: { path, query: { include: 'items' } } }),
);
assert.deepEqual(cart.included?.items?.[0]?.custom_inputs, { for: 'Ada' });

const address: components['schemas']['BillingAddressRequest'] = {
  first_name: 'Ada',
  last_name: 'Buyer',
  line_1: '1 Mill Lane',
  postcode: '10001',
  country: 'US',
  region: 'NY',
};
const customer = { name: 'Ada Buyer', email: 'ada@example.com' };
const { data: order } = got(
  201,
  await client.POST('/v2/carts/{cart_id}/checkout', {
    params: { path, header: { 'Idempotency-Key': crypto.randomUUID() } },
    body: { data: { customer, billing_address: address, shipping_address: address } },
  }),
);
const payment = got(
  200,
  await client.POST('/v2/orders/{order_id}/payments', {
    params: { path: { order_id: order.id } },
    body: { data: { gateway: 'test', method: 'purchase', payment: 'ok' } },
  }),
);
assert.equal(payment.data.status, 'complete');

// What is wrong is found before it runs.
// @ts-expect-error: An address has a county or a region.
const nowhere: components['schemas']['BillingAddressRequest'] = {
  first_name: 'Ada',
  last_name: 'Buyer',
  line_1: '1 Mill Lane',
  postcode: '10001',
  country: 'US',
};
// @ts-expect-error: A product goes into a cart by its id or by its sku.
const nothing: components['schemas']['CartEntryRequest'] = { quantity: 1 };
// @ts-expect-error: A server has a secret.
const secretless: components['schemas']['TokenRequest'] = {
  grant_type: 'client_credentials',
  client_id: clientId,
};
void [nowhere, nothing, secretless];
