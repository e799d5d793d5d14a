// Shows what the chosen units cost as the amount to give back, until somebody types another.
"use strict";

(() => {
  const amount = document.querySelector("[data-adds-up]");
  if (!amount) return;
  const { addsUp, decimals, point } = amount.dataset;

  function written(price) {
    const digits = String(price).padStart(Number(decimals) + 1, "0");
    const whole = digits.slice(0, digits.length - Number(decimals));
    return Number(decimals) ? whole + point + digits.slice(whole.length) : whole;
  }

  function price() {
    const units = [...document.querySelectorAll("[data-price]")];
    const sum = units.reduce(
      (sum, field) => sum + Math.max(0, Number(field.value)) * Number(field.dataset.price),
      0,
    );
    return Math.min(sum, Number(addsUp));
  }

  function follow() {
    if (!amount.dataset.typed) amount.value = written(price());
  }

  if (amount.value && amount.value !== written(price())) amount.dataset.typed = "yes";
  amount.addEventListener("input", () => {
    amount.dataset.typed = amount.value ? "yes" : "";
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset.price) follow();
  });
  follow();
})();
