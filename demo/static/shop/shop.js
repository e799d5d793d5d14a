// The shop window: see calls.js for what it asks of the server, and the rest for how it shows it.

import * as catalogue from "./catalogue.js";
import * as checkout from "./checkout.js";
import { showCart } from "./cart.js";
import { showOrders } from "./orders.js";

checkout.start();
await Promise.all([catalogue.start(), showOrders().then(showCart)]);

document.addEventListener("visibilitychange", () => {
  // Whoever comes back sees today's prices and what is left.
  if (!document.hidden) Promise.all([catalogue.showProducts(), showCart(), showOrders()]);
});
document.getElementById("hush").addEventListener("click", () => {
  document.querySelector("#says p").textContent = "";
});
