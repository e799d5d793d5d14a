// The stock sheet by keyboard: Enter and the arrows go from row to row. Without this file Enter
// sends the form, as in any other.
"use strict";

(() => {
  const form = document.getElementById("sheet");
  if (!form) return;
  const fields = [...form.querySelectorAll("input[name^=units-]")];
  const apply = document.getElementById("apply");
  const steps = { Enter: 1, ArrowDown: 1, ArrowUp: -1 };

  function goTo(field) {
    field.focus();
    if (field.select) field.select();
  }

  form.addEventListener("keydown", (event) => {
    const place = fields.indexOf(event.target);
    const step = steps[event.key];
    if (place < 0 || !step) return;
    event.preventDefault();
    const next = fields[place + step];
    if (next) goTo(next);
    else if (event.key === "Enter") goTo(apply);
  });

  // Whoever turns the page has typed for nothing.
  let isSent = false;
  form.addEventListener("submit", () => { isSent = true; });
  addEventListener("beforeunload", (event) => {
    if (!isSent && fields.some((field) => field.value !== field.defaultValue)) event.preventDefault();
  });

  // Unfold shows the page only when Alpine has started, and what is hidden cannot be focused.
  const first = form.querySelector("[aria-invalid]") || fields[0];
  (function begin(times) {
    if (!first || document.activeElement !== document.body) return;
    goTo(first);
    if (times) setTimeout(begin, 50, times - 1);
  })(100);
})();
