// What Unfold's pages leave out for people without a mouse, or without sight.
"use strict";

// Unfold's icons are words in a font of drawings, such as "inventory_2", which a screen reader
// reads out before the name of a link. Those that stand beside a name, or for nothing, are hidden
// from it; an icon that is all there is to a button stays.

const ICON = ".material-symbols-outlined";

function isAllThereIs(icon) {
  if (icon.dataset.pressed) return true;
  const control = icon.closest("a, button, label, summary, [role]");
  if (!control || control.ariaLabel || control.title) return false;
  const copy = control.cloneNode(true);
  copy.querySelectorAll(ICON).forEach((other) => other.remove());
  return copy.textContent.trim() === "";
}

function hideIcons() {
  for (const icon of document.querySelectorAll(`${ICON}:not([aria-hidden])`)) {
    if (!isAllThereIs(icon)) icon.ariaHidden = "true";
    // Where it opens what has no place on a phone, a word says so.
    const name = NAMES[icon.textContent.trim()];
    const control = icon.closest("a, button");
    if (name && control && !icon.ariaHidden) control.ariaLabel = name;
  }
}

// Whatever can be clicked is reached by Tab, and pressed by Enter or Space: Unfold's filters, the
// menu behind one's name with its themes, and the sidebar are no links and no buttons.

const PRESSED = "[data-pressed]";
const OPERABLE = "a[href], button, input, select, textarea, summary, label, [tabindex]";
// Icons whose word says nothing of what they do.
const NAMES = { dock_to_right: "Show or hide the menu", close: "Close", more_horiz: "More" };

function reachAll() {
  for (const control of document.querySelectorAll("[x-on\\:click]")) {
    const words = control.textContent.trim();
    // What lies dimmed behind an open sheet closes it, as Escape does.
    if (control.matches(OPERABLE) || !words) continue;
    control.dataset.pressed = "true";
    control.tabIndex = 0;
    control.role = "button";
    if (control.matches(ICON)) {
      control.ariaLabel = control.title || NAMES[words] || words.replaceAll("_", " ");
    }
  }
}

const reached = () =>
  [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex='0']")].filter(
    (control) => !control.disabled && control.checkVisibility({ visibilityProperty: true }),
  );

// What was opened last by keyboard, and by what.
let opener = null;
let opened = null;

// Alpine shows and hides with the next frame what it has to show or hide.
const settled = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

async function press(control) {
  const before = new Set(reached());
  control.click();
  await settled();
  const first = reached().find((other) => !before.has(other));
  if (!first) return;
  [opener, opened] = [control, first];
  first.focus();
}

async function leave() {
  // What was pressed just before has been opened by then. And some of it is closed by Unfold itself:
  // to click its opener before that shows would open it again.
  await settled();
  if (!opener) return;
  const [from, shown] = [opener, opened];
  opener = opened = null;
  if (shown.checkVisibility()) from.click();
  from.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
  if (!["Enter", " "].includes(event.key) || !event.target.matches(PRESSED)) return;
  event.preventDefault();
  press(event.target);
});

// How many rows of a list are chosen is read out as it changes.
function tellChosen() {
  for (const count of document.querySelectorAll(".action-counter, .actions .all")) {
    count.role = "status";
  }
}

function lookAfter() {
  reachAll();
  tellChosen();
  hideIcons();
}

// Where a page wants the cursor to be. It is shown only when Alpine has started, and what is hidden
// cannot be focused.
function begin(field, times) {
  if (!field || document.activeElement !== document.body) return;
  field.focus();
  if (times) setTimeout(begin, 50, field, times - 1);
}

document.addEventListener("DOMContentLoaded", () => {
  lookAfter();
  begin(document.querySelector("[autofocus]"), 100);
  // What a page fetches later has icons and controls too.
  new MutationObserver(lookAfter).observe(document.body, { childList: true, subtree: true });
});
