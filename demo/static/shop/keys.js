// Idempotency keys that outlive a lost answer, a reload and an impatient second click.

import { Refused, isOpen, randomId } from "./api.js";

/**
 * Do something that must happen once. `what` is all that it consists of: while that stays the
 * same and the server has not said what became of it, the same key is sent again, and it happens
 * once. After an answer, a refusal too, the next attempt is another one, with another key.
 */
export async function once(name, what, act) {
  try {
    const answer = await act(keyFor(name, what));
    forget(name);
    return answer;
  } catch (error) {
    if (error instanceof Refused && !isOpen(error)) forget(name);
    throw error;
  }
}

function keyFor(name, what) {
  const wanted = JSON.stringify(what);
  const kept = JSON.parse(sessionStorage.getItem(name));
  if (kept?.what === wanted) return kept.key;
  const key = randomId();
  sessionStorage.setItem(name, JSON.stringify({ what: wanted, key }));
  return key;
}

function forget(name) {
  sessionStorage.removeItem(name);
}
