// Suggests the reasons of what is chosen to be done with stock.
"use strict";

(() => {
  const reasons = document.getElementById("reasons");
  if (!reasons) return;

  function suggest() {
    const chosen = document.querySelector("input[name=action]:checked");
    const options = JSON.parse(chosen.dataset.reasons).map((reason) => {
      const option = document.createElement("option");
      option.value = reason;
      return option;
    });
    reasons.replaceChildren(...options);
  }

  document.addEventListener("change", (event) => {
    if (event.target.name === "action") suggest();
  });
  suggest();
})();
