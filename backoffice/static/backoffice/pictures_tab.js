// Pictures are dragged into their order, which the buttons beside them do, too; and one from
// elsewhere is shown when somebody wants to see it.
"use strict";

(() => {
  function makeDraggable() {
    const form = document.getElementById("arrange");
    if (!form || !form.querySelector("button")) return;
    const list = form.querySelector("ol");
    const items = () => [...list.querySelectorAll("[data-picture]")];
    const before = items().map((item) => item.dataset.picture).join();
    let dragged = null;

    for (const item of items()) {
      item.draggable = true;
      item.addEventListener("dragstart", (event) => {
        dragged = item;
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", item.dataset.picture);
        item.classList.add("hf-dragged");
      });
      item.addEventListener("dragover", (event) => {
        if (!dragged) return;
        event.preventDefault();
        if (dragged === item) return;
        const all = items();
        const isAhead = all.indexOf(dragged) < all.indexOf(item);
        item[isAhead ? "after" : "before"](dragged);
      });
      item.addEventListener("drop", (event) => event.preventDefault());
      item.addEventListener("dragend", () => {
        item.classList.remove("hf-dragged");
        dragged = null;
        const order = items().map((each) => each.dataset.picture).join();
        if (order === before) return;
        form.elements.order.value = order;
        form.submit();
      });
    }
  }

  makeDraggable();
  document.addEventListener("pictures-refreshed", makeDraggable);

  const preview = document.getElementById("preview");
  if (preview) {
    preview.hidden = false;
    preview.addEventListener("click", () => {
      const place = document.getElementById("previewed");
      const image = new Image();
      image.referrerPolicy = "no-referrer";
      image.alt = "The picture at the image URL";
      image.className = "hf-preview-image";
      image.addEventListener("error", () => { place.textContent = "There is no picture at this address, or it cannot be shown here."; });
      image.src = preview.dataset.address;
      place.replaceChildren(image);
    });
  }
})();
