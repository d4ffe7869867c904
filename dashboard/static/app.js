// What pages gain from scripts. Every flow works without: nothing here changes
// anything on the server.
"use strict";

const say = (text) => { document.querySelector("[data-say]").textContent = text; };

// Copy buttons, shown only where there is a clipboard.
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
        say("Copied.");
        button.classList.add("copied");
        setTimeout(() => button.classList.remove("copied"), 2000);
      } catch {
        say("The browser did not allow copying.");
      }
    });
  }
}

// The key / leads to the lookup, unless it was switched off or is being typed.
const shortcut = document.querySelector("[data-shortcut]");
const find = document.querySelector("[data-find]");
if (find) {
  const button = document.querySelector("[data-shortcut-switch]");
  const isOff = () => localStorage.getItem("shortcuts") === "off";
  const show = () => { button.textContent = isOff() ? "Switch it on" : "Switch it off"; };
  shortcut.hidden = false;
  show();
  button.addEventListener("click", () => {
    localStorage.setItem("shortcuts", isOff() ? "on" : "off");
    show();
    say(isOff() ? "The shortcut is off." : "The shortcut is on.");
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || isOff() || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    find.focus();
    find.select();
  });
}

// After a start: ask how it goes on, say what is new, and load the page again
// when it has ended.
const asked = document.querySelector("[data-poll]");
if (asked) {
  const stages = asked.querySelectorAll(".stages li");
  const text = document.getElementById("asked-say");
  const show = (progress) => {
    stages.forEach((stage, i) => {
      stage.className = i < progress.stage ? "done" : i === progress.stage ? "here" : "";
      if (i === progress.stage) stage.setAttribute("aria-current", "step");
      else stage.removeAttribute("aria-current");
    });
    if (text.textContent !== progress.say) {
      text.textContent = progress.say;
      say(progress.say);
    }
  };
  const poll = async () => {
    try {
      const answer = await fetch(asked.dataset.poll, { headers: { Accept: "application/json" } });
      if (!answer.ok) return location.reload();
      const progress = await answer.json();
      show(progress);
      if (progress.ended) return location.reload();
    } catch {
      say("The dashboard does not answer; trying again.");
    }
    setTimeout(poll, 1000);
  };
  setTimeout(poll, 1000);
}
