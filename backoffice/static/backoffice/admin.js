// Unfold's icons are words in a font of drawings, such as "inventory_2", which a screen reader
// reads out before the name of a link. Those that stand beside a name, or for nothing, are hidden
// from it; an icon that is all there is to a button stays.

const ICON = ".material-symbols-outlined";

function isAllThereIs(icon) {
  const control = icon.closest("a, button, label, summary, [role]");
  if (!control || control.ariaLabel || control.title) return false;
  const copy = control.cloneNode(true);
  copy.querySelectorAll(ICON).forEach((other) => other.remove());
  return copy.textContent.trim() === "";
}

function hideIcons() {
  for (const icon of document.querySelectorAll(`${ICON}:not([aria-hidden])`)) {
    if (!isAllThereIs(icon)) icon.ariaHidden = "true";
  }
}

document.addEventListener("DOMContentLoaded", () => {
  hideIcons();
  // What a page fetches later has icons too.
  new MutationObserver(hideIcons).observe(document.body, { childList: true, subtree: true });
});
