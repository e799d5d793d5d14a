// What asks for one thing or none is asked on the page one is on. The server decides what that is, and
// all else: without this file the same form is a page of its own.
"use strict";

(() => {
  const ASKED = { "X-Dialog": "1" };
  const WHERE = "a[data-dialog], a[href$='/delete/']";
  const SILENT = "The server does not answer. Send it again: it is done once, however often it is sent.";
  let dialog = null;
  let busy = false;

  // Null if the server could not be reached; `text` only if it belongs into the dialog.
  async function answered(url, options = {}) {
    try {
      const answer = await fetch(url, { headers: ASKED, ...options });
      const then = answer.headers.get("X-Dialog-Then");
      return { then, text: answer.headers.has("X-Dialog") ? await answer.text() : "" };
    } catch {
      return null;
    }
  }

  function made() {
    const box = document.createElement("dialog");
    box.className = "hf-dialog";
    box.setAttribute("aria-labelledby", "asked");
    box.addEventListener("submit", send);
    box.addEventListener("click", (event) => {
      // What lies dimmed behind it closes it, too.
      if (event.target !== box && !event.target.closest("[data-back]")) return;
      event.preventDefault();
      box.close();
    });
    document.body.append(box);
    return box;
  }

  function show(text) {
    dialog ??= made();
    dialog.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    if (!dialog.open) dialog.showModal();
    // Nothing is to be lost by an Enter too many.
    const safe = dialog.querySelector(".hf-danger") && dialog.querySelector("[data-back]");
    const field = dialog.querySelector("input:not([type=hidden]), select, textarea");
    (field ?? safe ?? dialog.querySelector("button, a")).focus();
  }

  // Of two clicks the last one counts: what the other would show may come when something is typed.
  let lastAsked = 0;
  async function ask(link) {
    const asked = (lastAsked += 1);
    const answer = await answered(link.href);
    if (asked !== lastAsked) return;
    if (answer?.text) show(answer.text);
    else location.assign(link.href);
  }

  async function send(event) {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const form = event.target;
    const body = new URLSearchParams(new FormData(form));
    const answer = await answered(form.getAttribute("action"), { method: "POST", body });
    busy = false;
    if (!answer) tell(form, SILENT);
    else if (answer.then) location.assign(answer.then);
    else if (answer.text) show(answer.text);
    // It has a page to show, such as the one to log in. What is sent twice is done once.
    else HTMLFormElement.prototype.submit.call(form);
  }

  function tell(form, words) {
    const said = document.createElement("p");
    Object.assign(said, { className: "hf-error", role: "alert", textContent: words });
    form.querySelectorAll(".hf-body > .hf-error").forEach((earlier) => earlier.remove());
    form.querySelector(".hf-body").append(said);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest(WHERE);
    const elsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || elsewhere || event.defaultPrevented) return;
    event.preventDefault();
    ask(link);
  });
})();
