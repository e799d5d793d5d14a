// Ticks all events of a kind with one box, and unticks them. Without it, that box means them all.
"use strict";

function joined(group) {
  const all = group.querySelector("[data-all]");
  if (!all) return;
  const boxes = [...group.querySelectorAll("input")].filter((box) => box !== all);

  function show() {
    all.checked = boxes.every((box) => box.checked);
    all.indeterminate = !all.checked && boxes.some((box) => box.checked);
  }

  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  for (const box of boxes) box.addEventListener("change", show);
  show();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-event-boxes] fieldset").forEach(joined);
});
