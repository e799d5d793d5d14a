// Keeps what was typed on a form that people leave by another way than its buttons, such as the
// browser's own: as if they had pressed the button that `data-keeps` names.
"use strict";

(() => {
  const form = document.querySelector("form[data-keeps]");
  let typed = false;
  form.addEventListener("input", () => { typed = true; });
  form.addEventListener("submit", () => { typed = false; });
  addEventListener("pagehide", () => {
    if (!typed) return;
    const sent = new FormData(form);
    sent.set(form.dataset.keeps, "yes");
    navigator.sendBeacon(form.action, sent);
  });
})();
