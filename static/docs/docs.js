// The documentation: search at once, copy buttons, tabs. Every page works without this file.
"use strict";

const CHOICE = "sora2-docs-tab";
// Tells the stylesheet before anything is drawn that tabs will be made.
document.documentElement.classList.add("scripted");

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".languages").forEach(makeTabs);
  if (navigator.clipboard) document.querySelectorAll("div.code").forEach(addCopyButton);
  const field = document.getElementById("find");
  if (field) searchAtOnce(field, document.getElementById("found"), document.getElementById("found-count"));
  letScroll();
  addEventListener("resize", letScroll);
});

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

// Whoever has no mouse scrolls a wide box by arrow keys, once it can have the focus.
function letScroll() {
  for (const box of document.querySelectorAll(".prose pre, .prose .box, .prose .diagram")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// --- code ---------------------------------------------------------------------------------------------------------

function addCopyButton(block) {
  const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
  button.setAttribute("aria-label", `Copy ${block.querySelector(".code-head").textContent}`);
  const said = make("span", { className: "unseen" });
  said.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      button.textContent = said.textContent = "Copied";
    } catch {
      button.textContent = said.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 1500);
  });
  block.querySelector(".code-head").append(button, said);
}

function makeTabs(group, number) {
  const panels = [...group.querySelectorAll(":scope > div.code")];
  const list = make("div", { className: "tab-list" });
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Language");
  const tabs = panels.map((panel, at) => {
    panel.id = `code-${number}-${at}`;
    panel.setAttribute("role", "tabpanel");
    const tab = make("button", { type: "button", id: `tab-${number}-${at}`, textContent: panel.dataset.tab });
    tab.className = "tab";
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => choose(panel.dataset.tab));
    return tab;
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.click();
    next.focus();
  });
  list.append(...tabs);
  group.prepend(list);
  const names = panels.map((panel) => panel.dataset.tab);
  show(group, names.includes(remembered()) ? remembered() : names[0]);
  group.classList.add("ready");
}

// One choice for all groups that offer it, and for the pages to come.
function choose(name) {
  try { localStorage.setItem(CHOICE, name); } catch { /* Then it holds for this page. */ }
  const before = document.activeElement?.getBoundingClientRect().top;
  for (const group of document.querySelectorAll(".languages")) show(group, name);
  // What is pressed stays where it is, whatever grew or shrank above it.
  if (before !== undefined) scrollBy({ top: document.activeElement.getBoundingClientRect().top - before, behavior: "instant" });
  letScroll();
}

function show(group, name) {
  const panels = [...group.querySelectorAll(":scope > div.code")];
  if (!panels.some((panel) => panel.dataset.tab === name)) return;
  group.querySelectorAll("[role=tab]").forEach((tab, at) => {
    const chosen = panels[at].dataset.tab === name;
    panels[at].hidden = !chosen;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  });
}

function remembered() {
  try { return localStorage.getItem(CHOICE); } catch { return null; }
}

// --- search -------------------------------------------------------------------------------------------------------

function searchAtOnce(field, box, count) {
  const form = field.form;
  let wait, asked = 0;
  const close = () => { box.hidden = true; asked += 1; count.textContent = ""; };
  const links = () => [...box.querySelectorAll("a")];

  async function ask() {
    const query = field.value.trim(), mine = ++asked;
    if (!query) return close();
    const answer = await fetch(`${field.dataset.found}?q=${encodeURIComponent(query)}`).catch(() => null);
    if (!answer?.ok) return;
    const html = await answer.text();
    // Only the last question's answer is shown, and none once the field was left.
    if (mine !== asked) return;
    box.innerHTML = html;
    box.hidden = false;
    const found = box.querySelectorAll(".hits li").length;
    count.textContent = found === 1 ? "1 result" : `${found || "No"} results`;
  }

  field.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(ask, 120); });
  field.addEventListener("focus", () => { if (field.value && box.hidden) ask(); });
  document.addEventListener("click", (event) => { if (!form.contains(event.target)) close(); });
  form.addEventListener("focusout", (event) => { if (event.relatedTarget && !form.contains(event.relatedTarget)) close(); });

  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      close();
      clearTimeout(wait);
      document.activeElement.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const stops = [field, ...links()];
      const at = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      if (box.hidden || !stops[at]) return;
      event.preventDefault();
      stops[at].focus();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    event.preventDefault();
    field.focus({ preventScroll: true });
    field.select();
  });
}
