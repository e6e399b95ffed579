// Keys and copy buttons. Every page works without this file.
"use strict";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.dataset.label ||= button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") {
    const search = document.getElementById("find");
    if (!search) return;
    event.preventDefault();
    search.focus();
  } else if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  }
});

function move(step) {
  const links = [...document.querySelectorAll("table.rows tbody th a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next].focus();
}

// A table or a text wider than its box is scrolled by keyboard too.
function reach() {
  for (const box of document.querySelectorAll(".box, pre")) {
    const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
reach();
addEventListener("resize", reach);
document.addEventListener("htmx:load", reach);

// The buttons need this script, so they are hidden until it runs; live parts bring new ones.
function reveal() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = false;
}
reveal();
document.addEventListener("htmx:load", reveal);

// What a page asks for by itself keeps no session alive (see customers/sessions.py): say what a person has asked for.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.triggeringEvent) event.detail.headers["X-By-Hand"] = "1";
});

// What live parts would lose when they come anew: how far tables were scrolled sideways. And what is said again in the
// same words is not said again.
let scrolled = [];
const boxes = () => [...document.querySelectorAll(".box")];
document.addEventListener("htmx:beforeSwap", () => { scrolled = boxes().map((box) => box.scrollLeft); });
document.addEventListener("htmx:afterSettle", () => {
  boxes().forEach((box, number) => { box.scrollLeft = scrolled[number] ?? box.scrollLeft; });
});
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if (target.role === "status" && target.textContent === fragment.textContent) event.detail.shouldSwap = false;
});
