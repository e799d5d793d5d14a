// The way to the server: a shopper's token, JSON in and out, and patience.
// calls.js says what is asked for.

const CLIENT_ID = document.querySelector('meta[name="client-id"]').content;
const ATTEMPTS = 4;
const LONGEST_WAIT_SECONDS = 10;
// The server answers before that, whatever happens there. After it the line is dead.
const GIVE_UP_SECONDS = 30;
// Refusals that pass: the same call succeeds, or is answered, a little later.
const PASSING = ["busy", "idempotency_key_in_use", "payment_under_way", "too_many_requests"];

// It outlives a reload, because the keys in keys.js are its holder's.
let token = sessionStorage.getItem("token") ?? "";

/** The server said no. `code` tells why in a word that stays; `entries` has one for each field. */
export class Refused extends Error {
  constructor(status, entries, retryAfter) {
    super(entries[0].detail ?? entries[0].title);
    Object.assign(this, { status, entries, retryAfter, code: entries[0].code });
  }
}

/** There was no answer, or none that could be read. Whether something happened is not known. */
export class Unanswered extends Error {
  retryAfter = 1;
}

export function get(path) {
  return patiently(() => request("GET", path));
}

/**
 * Change something, once: the key stays the same however often the call has to be repeated.
 * Whoever may have to repeat it later, after a reload, brings a key of their own (see keys.js).
 */
export function send(method, path, data, key = randomId()) {
  return patiently(() => request(method, path, data, key));
}

export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tell whether the server has left open what became of a call. Then its key is still wanted. */
export function isOpen(error) {
  return passes(error) || error.status >= 500;
}

/** Repeat a call that got no answer, or was told to come back. */
async function patiently(attempt) {
  for (let left = ATTEMPTS - 1; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!left || !passes(error)) throw error;
      await seconds(Math.min(error.retryAfter, LONGEST_WAIT_SECONDS));
    }
  }
}

function passes(error) {
  return error instanceof Unanswered || PASSING.includes(error.code);
}

async function request(method, path, data, key) {
  if (!token) await authenticate();
  let response = await answered(path, options(method, data, key));
  if (response.status === 401) {
    await authenticate();
    response = await answered(path, options(method, data, key));
  }
  return read(response);
}

async function answered(path, sent) {
  const signal = AbortSignal.timeout(GIVE_UP_SECONDS * 1000);
  return fetch(path, { ...sent, signal }).catch(() => {
    throw new Unanswered();
  });
}

async function read(response) {
  if (response.status === 204) return {};
  const body = await response.json().catch(() => {
    throw new Unanswered();
  });
  if (response.ok) return body;
  if (!body.errors) throw new Unanswered();
  throw new Refused(response.status, body.errors, Number(response.headers.get("Retry-After")));
}

function options(method, data, key) {
  return {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      ...(key && { "Idempotency-Key": key }),
    },
    body: data && JSON.stringify({ data }),
  };
}

/**
 * A storefront has an id and no secret: there is nothing in this page to steal.
 * The token that has ended goes along, so that the new one is the same shopper's.
 */
async function authenticate() {
  const body = new URLSearchParams({ grant_type: "implicit", client_id: CLIENT_ID });
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const asked = answered("/oauth/access_token", { method: "POST", headers, body });
  token = (await read(await asked)).access_token;
  sessionStorage.setItem("token", token);
}

function seconds(count) {
  return new Promise((done) => setTimeout(done, count * 1000));
}
