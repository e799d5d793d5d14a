// Finds a box among many by a part of its category's path. Without it all of them are there.
"use strict";

function findable(box) {
  const [find, list, told] = [box.querySelector("input"), box.querySelector("[role=group]"), box.querySelector("p")];
  const rows = [...list.children].map((row) => [row, row.textContent.toLocaleLowerCase()]);

  function show() {
    const words = find.value.toLocaleLowerCase().split(/[\s>]+/).filter(Boolean);
    let found = 0;
    for (const [row, path] of rows) {
      // What is ticked stays in sight.
      row.hidden = !words.every((word) => path.includes(word)) && !row.querySelector(":checked");
      found += !row.hidden;
    }
    told.hidden = words.length === 0;
    told.textContent = found ? `${found} of ${rows.length} shown` : "No category is called so.";
  }

  find.hidden = false;
  find.addEventListener("input", show);
  find.addEventListener("keydown", (event) => {
    // Enter looks for it, and does not send the form.
    if (event.key === "Enter") event.preventDefault();
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-boxes]").forEach(findable);
});
