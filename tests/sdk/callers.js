// Those who call Holdfast: through the SDK that the environment names, as it was published.

import assert from 'node:assert/strict';

import { watched } from './methods.js';

const { gateway, MemoryStorageFactory } = await import(process.env.HOLDFAST_SDK);

const CREDENTIALS = {
  client_id: process.env.HOLDFAST_CLIENT_ID,
  client_secret: process.env.HOLDFAST_CLIENT_SECRET,
};
const STOREFRONT = { client_id: process.env.HOLDFAST_STOREFRONT_ID };

// The SDKs tell about tokens and deprecations, which nobody here needs to hear.
console.info = console.warn = () => {};

export class Caller {
  constructor(options) {
    // The SDKs hide the HTTP status from their callers; their own option shows it here.
    this.exchanges = [];
    this.storage = new MemoryStorageFactory();
    this.unwatched = gateway({
      host: process.env.HOLDFAST_HOST,
      protocol: 'http',
      storage: this.storage,
      custom_fetch: (url, request) => this.#exchange(url, request),
      ...options,
    });
    this.sdk = watched(this.unwatched);
  }

  async #exchange(url, request) {
    const response = await fetch(url, request);
    this.exchanges.push({ url, request, status: response.status });
    return response;
  }

  /** The body of a call that is answered with this status, and not asked twice. */
  async gets(status, call) {
    const { outcome, body, exchanges } = await this.#outcome(call);
    assert.equal(outcome, 'answered', JSON.stringify(body));
    assert.deepEqual(exchanges.map((exchange) => exchange.status), [status]);
    return body;
  }

  /** The first error of a call that is refused with this status, and not asked twice. */
  async isRefused(status, call, expected = {}) {
    const { outcome, body, exchanges } = await this.#outcome(call);
    assert.equal(outcome, 'refused', `${call} was answered`);
    assert.deepEqual(exchanges.map((exchange) => exchange.status), [status], JSON.stringify(body));
    const [error] = body.errors;
    assert.equal(error.status, status);
    assert.equal(typeof error.title, 'string');
    assert.match(error.code, /^[a-z0-9_]+$/);
    const named = Object.keys(expected).map((name) => [name, error[name]]);
    assert.deepEqual(Object.fromEntries(named), expected);
    return error;
  }

  async #outcome(call) {
    const before = this.exchanges.length;
    const settled = await call(this.sdk).then(
      (body) => ({ outcome: 'answered', body }),
      (body) => ({ outcome: 'refused', body }),
    );
    // A fault of ours, such as a name that does not exist, is not the server's refusal.
    if (settled.body instanceof Error) throw settled.body;
    return { ...settled, exchanges: this.exchanges.slice(before) };
  }
}

/** Somebody with a token: a list call that has to ask for one first leaks its filter. */
async function authenticated(options) {
  const caller = new Caller(options);
  await caller.sdk.Authenticate();
  return caller;
}

export const administrator = (options) => authenticated({ ...CREDENTIALS, ...options });
export const shopper = (options) => authenticated({ ...STOREFRONT, ...options });
export const stranger = (options) => new Caller({ ...CREDENTIALS, ...options });
export const passerBy = (options) => new Caller({ ...STOREFRONT, ...options });
