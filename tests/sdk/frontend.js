// Runs the examples of docs/frontend.md as they stand there, in their order: those with the SDK and
// those with `fetch`, each a shop of its own. tests/test_frontend_document.py starts this.

// Not the strict one, to which a list that was made in another context is never equal.
import assert from 'node:assert';
import vm from 'node:vm';

import { MemoryStorageFactory, gateway } from '@moltin/sdk';

console.info = console.warn = () => {};

const { blocks, document, host, productId, story } = JSON.parse(process.env.HOLDFAST_STORY);

const shown = [];
const address = {
  first_name: 'Ada',
  last_name: 'Buyer',
  line_1: '1 Mill Lane',
  postcode: '10001',
  country: 'US',
  region: 'NY',
};

// What the examples take for granted: the browser, Stripe's script, and what the page knows.
const page = vm.createContext({
  URLSearchParams,
  Image: class {},
  assert,
  crypto,
  fetch,
  // Nobody waits here for what the server does by the minute.
  setTimeout: (act) => setTimeout(act, 0),
  localStorage: {},
  sessionStorage: {},
  gateway: (options) => gateway({ ...options, storage: new MemoryStorageFactory() }),
  Stripe: () => ({
    createPaymentMethod: () => ({ paymentMethod: { id: 'pm_card_visa' } }),
    handleNextAction: ({ clientSecret }) => page.challenged.push(clientSecret),
  }),
  challenged: [],
  show: (text) => shown.push(text),
  productId,
  cartId: 'a-cart-of-the-sdk',
  name: 'Ada Buyer',
  email: 'ada@example.com',
  billingAddress: address,
  shippingAddress: address,
  billing_address: address,
  shipping_address: address,
  card: {},
  publishableKey: 'pk_test_fake',
  confirmKey: 'confirmed once',
});

/** Run an example; what it names at its top is known to those that follow, as in one page. */
async function run(code) {
  const names = [...code.matchAll(/^(?:const|class|(?:async )?function) (\w+|{[^}]*})/gm)]
    .flatMap(([, named]) => named.replace(/[{}]/g, '').split(','))
    .map((named) => named.split(':').pop().trim());
  const kept = `Object.assign(globalThis, { ${names.join(', ')} });`;
  const here = code
    .replace(/^import .*$/gm, '')
    .replace(/^let (\w+)/gm, 'globalThis.$1')
    .replaceAll('127.0.0.1:8000', host);
  await vm.runInContext(`(async () => { ${here}\n${kept} })()`, page);
}

const anOrder = (payment) => `
  await api('POST', '/v2/carts/' + cartId + '/items', { type: 'cart_item', id: productId, quantity: 1 });
  const { data: order } = await api('POST', '/v2/carts/' + cartId + '/checkout',
    { customer: { name, email }, billing_address, shipping_address });
  const { data: payment } = ${payment} ? await api('POST', '/v2/orders/' + order.id + '/payments',
    { gateway: 'test', method: 'purchase', payment: ${payment} }) : {};`;

// What has to be there before an example, and what must be so after it, by words of the example.
const BEFORE = {
  'expected_total: shownTotal': 'const shownTotal = meta.display_price.with_tax.amount;',
  "gateway: 'stripe'": anOrder("''"),
  'if (payment.next_actions)': story === 'fetch' ? anOrder("'requires_action'") : '',
  'shop.Orders.Confirm': `
    const { data: payment } = await shop.Orders.Payment(order.id,
      { gateway: 'test', method: 'purchase', payment: 'requires_action' });`,
};
const AFTER = {
  'class Refused': `
    const real = fetch, errors = [{ status: 429, code: 'too_many_requests' }];
    const had = token = 'of before';
    globalThis.fetch = async () => ({ ok: false, headers: new Map(), json: async () => ({ errors }) });
    await assert.rejects(authenticate(), { code: 'too_many_requests' });
    assert.equal(token, had);
    globalThis.fetch = real;`,
  'page[limit]=24': "assert.deepEqual(shirts.map(({ name }) => name), ['Linen shirt']);",
  'Limit(24)': "assert.deepEqual(shirts.map(({ name }) => name), ['Linen shirt']);",
  'async function all': `
    const everything = await all('/v2/products?page[limit]=1');
    assert.equal(everything.length, 3);`,
  "'X-Moltin-Currency': 'EUR'": `
    assert.equal(inEuros.meta.display_price.with_tax.formatted, '€11.00');`,
  "Currencies.Set('EUR')": `
    assert.equal(inEuros.meta.display_price.with_tax.formatted, '€11.00');
    shop.Currencies.Set('USD');`,
  'function picture': `
    const { data: drawn } = ${story === 'fetch' ? "await api('GET', '/v2/products/' + productId)" : 'await shop.Products.Get(productId)'};
    assert.equal(picture(drawn).src, 'http://${host}/static/shirt.svg');`,
  'for (const { id, name': 'assert.equal(meta.display_price.with_tax.amount, 2500);',
  'expected_total: shownTotal': "assert.equal(sessionStorage.checkout, undefined);",
  "gateway: 'test', method: 'purchase', payment: 'ok'": `
    assert.deepEqual([status, payment.status], [200, 'complete']);`,
  "gateway: 'stripe'": "assert.deepEqual([status, payment.status], [200, 'complete']);",
  'async function outcomeOf': "assert.equal((await outcomeOf(payment.id)).status, 'complete');",
  'if (payment.next_actions)': story === 'fetch' ? 'assert.equal(challenged.length, 1);' : '',
  'shop.Orders.Confirm': "assert.equal(transaction.status, 'complete');",
  'transactions/${payment.id}/confirm': `
    assert.deepEqual([status, transaction.status], [200, 'complete']);`,
  'async function once': `
    // A refusal is an answer, and an answer ends its key; silence and "come back" do not.
    for (const [error, kept] of [
      [{ status: 400, code: 'insufficient_stock' }, false],
      [{ status: 422, code: 'field_required' }, false],
      [{ errors: [{ status: 409, code: 'total_changed' }] }, false],
      [new TypeError('fetch failed'), true],
      [{ status: 503, code: 'busy' }, true],
      [{ errors: [{ status: 409, code: 'idempotency_key_in_use' }] }, true],
    ]) {
      await assert.rejects(once('tried', () => Promise.reject(error)));
      assert.equal('tried' in sessionStorage, kept, JSON.stringify(error));
      delete sessionStorage.tried;
    }`,
};

const found = (table, code) =>
  Object.entries(table)
    .filter(([words]) => code.includes(words))
    .map(([, more]) => more.replace(/^ +/gm, ''))
    .join('\n');

for (const words of [...Object.keys(BEFORE), ...Object.keys(AFTER)]) {
  assert(document.includes(words), `no example says ${words}`);
}
for (const code of blocks) {
  try {
    await run(found(BEFORE, code));
    await run(code);
    await run(found(AFTER, code));
  } catch (error) {
    console.error(`In this example:\n${code}\n`, error);
    process.exit(1);
  }
}
