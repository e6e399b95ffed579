// The page on which a webhook is verified. Nothing that is typed leaves it.
import { MARKS, examine, exampleMessage, pasted } from "./examine.js";

const FIELDS = ["id", "timestamp", "signature", "body", "secret"];
const HEADERS = ["id", "timestamp", "signature"];
const field = (name) => document.getElementById(name);
const clock = () => Date.now() / 1000;

function fill(message) {
  for (const [name, value] of Object.entries(message)) field(name).value = value;
}

// What a link to this page fills in stands after the #, which a browser sends nowhere. Never the secret.
function fillFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of FIELDS) if (name !== "secret" && given.has(name)) field(name).value = given.get(name);
}

function clearResult() {
  field("result").replaceChildren();
}

async function showResult() {
  const message = Object.fromEntries(FIELDS.map((name) => [name, field(name).value]));
  const { state, verdict, checks } = await examine(message, clock());
  const list = element("ul", "checks");
  list.append(...checks.map(checkLine));
  field("result").replaceChildren(element("p", `verdict ${state}`, `${MARKS[state]} ${verdict}`), list);
  field("result").scrollIntoView({ block: "nearest" });
}

function checkLine({ name, state, text, todo, pairs }) {
  const line = element("li", "");
  const said = element("p", "");
  said.append(element("span", `mark ${state}`, MARKS[state]), " ", element("b", "", name), ` ${text}`);
  line.append(said);
  if (pairs) {
    const list = element("dl", "pairs");
    for (const [term, value] of pairs) {
      const description = element("dd", "");
      description.append(element("code", "", value));
      list.append(element("dt", "", term), description);
    }
    line.append(list);
  }
  if (todo) line.append(element("p", "todo", todo));
  return line;
}

function element(tag, classes, text = "") {
  const made = document.createElement(tag);
  made.className = classes;
  made.textContent = text;
  return made;
}

function reveal(shown) {
  field("secret").type = shown ? "text" : "password";
  field("show").setAttribute("aria-pressed", String(shown));
}

function start() {
  fillFromAddress();
  const form = field("message");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showResult();
  });
  // A result is never about anything but what stands there.
  form.addEventListener("input", clearResult);
  form.addEventListener("reset", () => {
    clearResult();
    reveal(false);
  });
  field("show").addEventListener("click", () => reveal(field("secret").type === "password"));
  field("example").addEventListener("click", async () => {
    fill(await exampleMessage(clock()));
    await showResult();
  });
  for (const name of HEADERS) {
    field(name).addEventListener("paste", (event) => {
      const parts = pasted(event.clipboardData.getData("text"));
      if (!Object.keys(parts).length) return;
      event.preventDefault();
      fill(parts);
      clearResult();
    });
  }
}

if (globalThis.crypto?.subtle) {
  start();
} else {
  field("insecure").hidden = false;
  for (const button of document.querySelectorAll("#message button")) button.disabled = true;
}
