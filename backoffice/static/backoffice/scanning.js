// Scan after scan: a scanner types a code and Enter, faster than a page comes back. Each scan goes
// to the server by itself, one after the other, and stays in line until the server has answered.
// The server decides; without this file the form is sent as a whole.
"use strict";

(() => {
  const form = document.getElementById("scan");
  const unsent = document.getElementById("unsent");
  if (!form) return;

  const code = form.elements.code;
  const queue = [];
  // What the server would not take stays in sight, whatever is scanned after it.
  const lost = [];
  const AGAIN_MS = 2000;
  const PATIENCE_MS = 30000;
  // Said by the server, also of a scan that it is counting, or by what stands before it.
  const BUSY = [409, 429, 502, 503, 504];
  let busy = false;

  const newKey = () =>
    [...crypto.getRandomValues(new Uint8Array(16))]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");

  // A short tone, made here: a scanner is held by somebody who does not look at the screen.
  let tones = null;
  function sound(refused) {
    try {
      tones ||= new AudioContext();
      const tone = tones.createOscillator();
      tone.frequency.value = refused ? 180 : 880;
      tone.connect(tones.destination);
      tone.start();
      tone.stop(tones.currentTime + (refused ? 0.4 : 0.06));
    } catch {
      // It is seen all the same.
    }
  }

  // What was not counted stays in sight when the next scan comes, which may be at once.
  const missed = document.getElementById("missed");
  function keepWhatWasMissed() {
    const last = document.querySelector("#scanned .hf-scan-refused");
    if (!last) return;
    missed.append(last);
    missed.hidden = false;
  }
  missed.querySelector("button").addEventListener("click", () => {
    missed.querySelectorAll(".hf-scanned").forEach((panel) => panel.remove());
    missed.hidden = true;
    code.focus();
  });

  function addLine(row) {
    const lines = document.getElementById("lines");
    lines.append(row);
    lines.closest(".hf-scroll").hidden = false;
    document.getElementById("no-lines")?.remove();
  }

  function draw(answer) {
    keepWhatWasMissed();
    const drawn = new DOMParser().parseFromString(answer, "text/html");
    for (const part of drawn.querySelectorAll("[data-replaces]")) {
      document.getElementById(part.dataset.replaces)?.replaceChildren(...part.childNodes);
    }
    for (const row of drawn.querySelectorAll("tr[id]")) {
      const there = document.getElementById(row.id);
      if (row.dataset.gone) there?.remove();
      else if (there) there.replaceWith(row);
      else if (row.dataset.isNew) addLine(row);
    }
    sound(Boolean(document.querySelector("#scanned .hf-scan-refused")));
  }

  function wait(words) {
    const refused = lost.length
      ? `Not counted: ${lost.join(", ")}. You were logged out, or may not do it: load the page anew, and scan these again.`
      : "";
    unsent.textContent = [refused, words].filter(Boolean).join(" ");
    unsent.hidden = !unsent.textContent;
  }

  const codes = () => queue.map((scan) => scan.get("code") || "one that is taken back");

  // One at a time: what is in front leaves the line when its answer is here, and not before.
  async function send() {
    if (busy || !queue.length) return;
    busy = true;
    const answer = await asked(queue[0]);
    busy = false;
    if (!answer) {
      wait(`The server does not answer. Not counted yet, and sent again by itself: ${codes().join(", ")}`);
      setTimeout(send, AGAIN_MS);
    } else if (answer.isRefused) {
      lost.push(...codes());
      queue.length = 0;
      wait("");
      sound(true);
    } else {
      queue.shift();
      wait(queue.length > 1 ? `${queue.length} more to be counted …` : "");
      draw(answer.text);
      send();
    }
  }

  // Null if the server could not be reached, or has too much to do.
  async function asked(scan) {
    try {
      const headers = { "X-Scan": "1" };
      const url = form.getAttribute("action");
      // An answer that never comes holds up no others: a scan that is sent again counts once.
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const answer = await fetch(url, { method: "POST", body: scan, headers, signal });
      if (BUSY.includes(answer.status)) return null;
      return { isRefused: !answer.ok || answer.redirected, text: await answer.text() };
    } catch {
      return null;
    }
  }

  document.addEventListener("submit", (event) => {
    const sent = event.target;
    if (!sent.matches("[data-scan]")) return;
    event.preventDefault();
    const scan = new URLSearchParams(new FormData(sent));
    if (sent === form) {
      if (!scan.get("code").trim() && !scan.get("quantity")) return;
      scan.set("once", newKey());
      code.value = "";
      form.elements.quantity.value = "1";
    } else {
      // A refusal that is answered is no longer in the way.
      sent.closest(".hf-scan-refused")?.remove();
      missed.hidden = !missed.querySelector(".hf-scanned");
      sent.querySelector("button").disabled = true;
    }
    queue.push(scan);
    code.focus();
    send();
  });
  addEventListener("beforeunload", (event) => {
    if (queue.length) event.preventDefault();
  });
  // Whoever has clicked beside the field goes on scanning all the same.
  document.addEventListener("keydown", (event) => {
    const isTyped = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (isTyped && document.activeElement === document.body) code.focus();
  });
  // Unfold shows the page only when Alpine has started, and what is hidden cannot be focused.
  (function begin(times) {
    if (document.activeElement !== document.body) return;
    code.focus();
    if (times) setTimeout(begin, 50, times - 1);
  })(100);
})();
