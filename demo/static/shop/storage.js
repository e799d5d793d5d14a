// What this browser remembers between visits.

import { randomId } from "./api.js";

export const memory = {
  /** Whoever knows a cart's id can read and change the cart, so it cannot be guessed. */
  get cart() {
    return (localStorage.cart ??= randomId());
  },

  /** The order that was made of the cart as it stands now, or null. */
  get checkedOut() {
    return localStorage.checkedOut ?? null;
  },
  set checkedOut(orderId) {
    if (orderId) localStorage.checkedOut = orderId;
    else delete localStorage.checkedOut;
  },
};
