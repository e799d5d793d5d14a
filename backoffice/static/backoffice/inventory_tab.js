// The Inventory tab: shows what a form will do before it is sent, and looks after the live numbers.
// The server decides; without this file the forms work all the same.
"use strict";

(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const form = document.getElementById("move");

  // The live numbers. Nobody looks at a page in the background; an answer from elsewhere, such as
  // the login page after a log-out, is no numbers.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target === live && document.hidden) event.preventDefault();
  });
  // Whoever has come to a link by keyboard stays on it while it is drawn anew.
  const focused = () => document.activeElement.closest("#live, #live-more");
  const known = (one) =>
    one.getAttribute("href") || one.getAttribute("aria-labelledby") || one.textContent.trim();
  let left = null;
  document.addEventListener("htmx:beforeSwap", () => {
    left = focused() && known(document.activeElement);
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!left || focused()) return;
    const controls = document.querySelectorAll("#live-more :is(a, button, [tabindex])");
    [...controls].find((one) => known(one) === left)?.focus();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const answered = new URL(event.detail.xhr.responseURL).pathname;
    const asked = new URL(event.detail.requestConfig.path, location).pathname;
    if (answered !== asked) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target !== live) return;
    const { xhr, requestConfig } = event.detail;
    const asked = new URL(requestConfig.path, location).pathname;
    lost.hidden = xhr.status !== 0 && xhr.status < 400 && new URL(xhr.responseURL).pathname === asked;
  });

  if (!form) return;

  const quantity = document.getElementById("id_quantity");
  const preview = document.getElementById("preview");

  const chosen = () => form.querySelector("input[name=action]:checked");
  const numbers = () => {
    const { available, allocated, held } = document.getElementById("numbers").dataset;
    return { available: Number(available), allocated: Number(allocated), held: Number(held) };
  };

  function only(units, what) {
    if (units === 0) return `None ${what === "available" ? "is" : "are"} ${what}.`;
    return `Only ${units} ${units === 1 ? "is" : "are"} ${what}.`;
  }

  function sentence({ available, allocated, held }) {
    return (
      `Total ${available + allocated} = Available ${available} + Allocated ${allocated} ` +
      `(orders ${allocated - held}, set aside ${held})`
    );
  }

  function previewed(now, typed) {
    const after = { ...now };
    let before = "After it: ";
    if (chosen().value === "count") {
      const moment = document.getElementById("id_counted_at").value;
      const then = document.querySelector("#then [data-total]");
      if (moment && !then) return { text: "" };
      const difference = typed - (moment ? Number(then.dataset.total) : now.available + now.allocated);
      if (difference === 0) return { text: "The log says the same: nothing to correct." };
      after.available += difference;
      if (after.available < 0) {
        return { text: `${-difference} fewer than the log says. ${only(now.available, "available")}`, wrong: true };
      }
      before = `Will be adjusted: ${Math.abs(difference)} ${difference > 0 ? "more" : "fewer"}. After it: `;
    } else {
      const does = JSON.parse(chosen().dataset.does);
      for (const name in does) after[name] += does[name] * typed;
    }
    if (after.available < 0) return { text: only(now.available, "available"), wrong: true };
    if (after.held < 0) return { text: only(now.held, "set aside by hand"), wrong: true };
    return { text: before + sentence(after) };
  }

  function show() {
    const typed = quantity.value.trim();
    const isNumber = /^[0-9]{1,10}$/.test(typed);
    const { text, wrong } = isNumber ? previewed(numbers(), Number(typed)) : { text: "" };
    preview.textContent = text;
    preview.classList.toggle("hf-wrong", Boolean(wrong));
  }

  function remember() {
    document.getElementById("next-do").value = chosen().value;
  }

  // The total at another moment is another one. Until it is here, nothing is worked out from it.
  document.getElementById("id_counted_at").addEventListener("input", () => {
    document.getElementById("then").replaceChildren();
  });
  form.addEventListener("input", show);
  form.addEventListener("change", (event) => {
    if (event.target.name !== "action") return;
    remember();
    show();
  });
  // Whoever chooses with the mouse goes on to the quantity; arrow keys go on to the next tab.
  form.querySelector(".hf-tabs").addEventListener("click", (event) => {
    if (!(event.target instanceof HTMLInputElement)) requestAnimationFrame(() => quantity.focus());
  });
  document.addEventListener("htmx:afterSettle", show);
  remember();
  show();
  // Unfold shows the page only when Alpine has started, and what is hidden cannot be focused.
  (function begin(times) {
    if (document.activeElement !== document.body) return;
    quantity.focus();
    if (times) setTimeout(begin, 50, times - 1);
  })(100);
})();
