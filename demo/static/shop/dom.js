// Elements, without a framework. Text always becomes text: nothing here reads HTML.

/** `element("a", { href: "/" }, "Home")`; a child that is null is left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

/**
 * Show things with an `id` as the children of a list. Those that have not changed keep their
 * element, and with it focus and whatever has been typed there.
 */
export function showList(list, things, make) {
  const before = new Map([...list.children].map((child) => [child.dataset.id, child]));
  things.forEach((thing, position) => {
    const shown = current(before.get(thing.id), thing, make);
    const there = list.children[position] ?? null;
    if (there !== shown) list.insertBefore(shown, there);
  });
  while (list.children.length > things.length) list.lastElementChild.remove();
}

function current(old, thing, make) {
  const shows = JSON.stringify(thing);
  if (old?.dataset.shows === shows) return old;
  const made = make(thing);
  made.dataset.id = thing.id;
  made.dataset.shows = shows;
  if (old) takePlace(old, made);
  return made;
}

/** Put a new element where an old one is; whoever stood on one of its controls stays there. */
function takePlace(old, made) {
  const name = old.contains(document.activeElement) && document.activeElement.name;
  old.replaceWith(made);
  if (name) made.querySelector(`[name="${name}"]`)?.focus();
}

/** Run what a button or form does, unless it is running already. It keeps the focus meanwhile. */
export function busyWhile(control, act) {
  if (control.ariaBusy === "true") return Promise.resolve();
  control.ariaBusy = "true";
  return act().finally(() => (control.ariaBusy = null));
}

/** Tell the shopper something, in a place that screen readers read out. */
export function say(text, tone = "good") {
  const place = document.getElementById("says");
  place.className = tone;
  place.querySelector("p").textContent = text;
}
