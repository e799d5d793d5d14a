// Pictures are sent one after the other, each with how far it is. Without this file the form sends
// them all at once.
"use strict";

(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const chosen = form.querySelector("input[type=file]");
  const button = form.querySelector("button");
  const list = document.getElementById("sent");
  const told = document.getElementById("sent-told");
  const waiting = [];
  const counts = { taken: 0, refused: 0 };
  let isSending = false;
  // A busy server says so at once, and is asked so often.
  const ATTEMPTS = 6;

  function send(file, progress) {
    return new Promise((resolve) => {
      const body = new FormData(form);
      body.delete("files");
      body.append("files", file);
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("Accept", "application/json");
      request.upload.onprogress = (event) => {
        if (event.lengthComputable) progress.value = event.loaded / event.total;
      };
      request.onload = () => resolve(read(request));
      request.onerror = () => resolve({ error: "The server does not answer. Send it again." });
      request.send(body);
    });
  }

  function read(request) {
    if (request.status === 413) return { error: "It is larger than is taken here." };
    try {
      return JSON.parse(request.responseText);
    } catch {
      return { error: "It was not taken: perhaps you were logged out. Open this page again." };
    }
  }

  function entry(file) {
    const item = document.createElement("li");
    const name = document.createElement("span");
    const progress = document.createElement("progress");
    const result = document.createElement("span");
    name.textContent = file.name;
    progress.max = 1;
    progress.value = 0;
    progress.className = "hf-progress";
    progress.ariaLabel = `Upload of ${file.name}`;
    result.className = "hf-note";
    result.textContent = "waits";
    item.append(name, progress, result);
    list.append(item);
    list.hidden = false;
    return { progress, result };
  }

  async function sendOne({ file, progress, result }) {
    let outcome;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      result.textContent = "is sent";
      outcome = await send(file, progress);
      if (!outcome.again || attempt === ATTEMPTS) break;
      result.textContent = "waits for others";
      await new Promise((resolve) => setTimeout(resolve, outcome.again * 1000));
    }
    progress.hidden = true;
    result.textContent = outcome.error || "uploaded";
    result.className = outcome.error ? "hf-field-error" : "hf-told";
    counts[outcome.error ? "refused" : "taken"] += 1;
  }

  async function sendAll() {
    if (isSending) return;
    isSending = true;
    button.disabled = true;
    told.textContent = "";
    do {
      while (waiting.length) await sendOne(waiting.shift());
      if (counts.taken) await refresh();
    } while (waiting.length);
    isSending = false;
    button.disabled = false;
    const taken = `${counts.taken} uploaded`;
    told.textContent = counts.refused ? `${taken}, ${counts.refused} refused.` : `${taken}.`;
  }

  // What the page shows is read anew, and this form stays as it is, with what became of each file.
  async function refresh() {
    const shown = document.querySelector("[data-refreshed]");
    const answer = await fetch(location.href).catch(() => null);
    if (!shown || !answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const anew = page.querySelector("[data-refreshed]");
    if (!anew) return;
    shown.replaceWith(document.adoptNode(anew));
    document.dispatchEvent(new Event("pictures-refreshed"));
  }

  function take(files) {
    for (const file of files) waiting.push({ file, ...entry(file) });
    sendAll();
  }

  form.addEventListener("submit", (event) => {
    if (!chosen.files.length) return;
    event.preventDefault();
    take([...chosen.files]);
    chosen.value = "";
  });

  const holdsFiles = (event) => [...event.dataTransfer.types].includes("Files");
  for (const kind of ["dragenter", "dragover"]) {
    form.addEventListener(kind, (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      form.classList.add("hf-dragged");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    form.addEventListener(kind, () => form.classList.remove("hf-dragged"));
  }
  form.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
})();
