// Verifies a batch's proof in the browser: fetches it and its items from here, and computes every hash and sum anew.
// The rules are those of docs/enterprise/reconciliation.md, "The chain". Nothing leaves the page.

const SEALED = [
  "wallet_id", "seq", "entry_id", "created_at", "kind", "amount", "available_after", "reserved_after", "settled_after",
  "reference", "request_id", "actor", "reason",
];
const MARKS = { good: "✓", bad: "✕", open: "−" };
const TOTAL_OF = { reserve: "reserved", settle: "settled", refund: "refunded" };

const box = document.getElementById("verify");
const button = document.getElementById("verify-here");
const result = document.getElementById("verify-result");

// --- what is computed ------------------------------------------------------------------------------------------------

const bytesOf = (text) => new TextEncoder().encode(text);

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function hashOf(entry) {
  const parts = await Promise.all(SEALED.map((name) => sha256(bytesOf(String(entry[name] ?? "")))));
  return sha256(bytesOf(entry.prev_hash + parts.join("")));
}

// Beyond 2^53 a browser would round, so such a figure is no figure here.
function sum(numbers) {
  const total = numbers.reduce((before, number) => before + number, 0);
  return numbers.every(Number.isSafeInteger) && Number.isSafeInteger(total) ? total : NaN;
}

const figure = (number) => (Number.isSafeInteger(number) ? number.toLocaleString("en") : "no whole number");

// --- the checks ------------------------------------------------------------------------------------------------------

const check = (holds, name, yes, no) => ({ state: holds ? "good" : "bad", name, text: holds ? yes : no });

async function proofChecks(bytes, proof, page) {
  const own = await sha256(bytes);
  const { reserved, settled, refunded } = proof.ledger;
  const shown = `${reserved} ${settled} ${refunded}`;
  return [
    check(own === page.sha256, "The proof", "The SHA-256 of its bytes is the one on this page.",
      `The SHA-256 of its bytes is ${own}, not the one on this page: a byte of it was changed.`),
    webhookCheck(own, page.told),
    check(proof.batch_id === page.batch, "Its batch", "It is about this batch.",
      `It is about another batch: ${proof.batch_id}.`),
    check(shown === page.figures, "This page", "The figures of this page are those of the proof.",
      `The proof says ${shown} (reserved, settled, refunded), this page ${page.figures}.`),
    check(reserved === sum([settled, refunded]), "The equation",
      `Reserved ${figure(reserved)} = settled ${figure(settled)} + refunded ${figure(refunded)}.`,
      `Reserved ${figure(reserved)} is not settled ${figure(settled)} + refunded ${figure(refunded)}.`),
  ];
}

function webhookCheck(own, told) {
  const name = "The webhook";
  if (!told) return { state: "open", name, text: "No batch.completed carries a hash to compare with." };
  return check(own === told, name, "batch.completed carries the same SHA-256.",
    `batch.completed carries another SHA-256: ${told}.`);
}

async function entryChecks(proof) {
  const checks = [];
  let before = null;
  for (const entry of proof.entries) {
    const name = `Entry ${figure(entry.seq)}`, what = `${entry.kind} ${figure(entry.amount)}`;
    const hash = await hashOf(entry);
    checks.push(check(hash === entry.hash, name, `${what}: its hash is that of its sealed fields.`,
      `${what}: its sealed fields give the hash ${hash}, not ${entry.hash}: one of them was changed.`));
    if (before && before.seq + 1 === entry.seq) {
      checks.push(check(before.hash === entry.prev_hash, name, `It continues entry ${figure(before.seq)}.`,
        `It does not continue entry ${figure(before.seq)}: its prev_hash is another hash.`));
    }
    before = entry;
  }
  for (const [kind, total] of Object.entries(TOTAL_OF)) {
    const added = sum(proof.entries.filter((entry) => entry.kind === kind).map((entry) => entry.amount));
    checks.push(check(added === proof.ledger[total], `Entries, ${total}`,
      `The entries of kind ${kind} add up to ${figure(added)}.`,
      `The entries of kind ${kind} add up to ${figure(added)}, the proof says ${figure(proof.ledger[total])}.`));
  }
  return checks;
}

async function itemChecks(bytes, items, proof) {
  const own = await sha256(bytes);
  const inOrder = items.every((item, index) => item.index === index);
  const credits = (status) => sum(items.filter((item) => !status || item.status === status).map((item) => item.credits));
  const adds = (status, total, words) => check(credits(status) === proof.ledger[total], `Items, ${total}`,
    `The credits of ${words} add up to ${figure(credits(status))}.`,
    `The credits of ${words} add up to ${figure(credits(status))}, the proof says ${figure(proof.ledger[total])}.`);
  return [
    check(own === proof.items_sha256, "items.jsonl", "The SHA-256 of its bytes is items_sha256 of the proof.",
      `The SHA-256 of its bytes is ${own}, not items_sha256 of the proof: a byte of it was changed.`),
    check(items.length === proof.items_count && inOrder, "Number of items", `${figure(items.length)}, each once.`,
      `${figure(items.length)} items, ${inOrder ? "" : "not in order, "}the proof says ${figure(proof.items_count)}.`),
    adds("succeeded", "settled", "items that succeeded"),
    adds("refunded", "refunded", "items that were refunded"),
    adds("", "reserved", "all items"),
  ];
}

// --- the page --------------------------------------------------------------------------------------------------------

async function fetched(address, name) {
  let answer;
  try {
    answer = await fetch(address, { cache: "no-store", redirect: "manual" });
  } catch {
    throw new Error(`${name} could not be fetched: there was no answer. Try again.`);
  }
  if (answer.type === "opaqueredirect") throw new Error("You are signed out. Sign in again, and come back here.");
  if (!answer.ok) throw new Error(`${name} could not be fetched: the answer was ${answer.status}. Try again.`);
  return new Uint8Array(await answer.arrayBuffer());
}

function read(bytes, name, parse) {
  try {
    return parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Error(`${name} is not what was written: it is no JSON in UTF-8.`);
  }
}

const jsonLines = (text) => text.split("\n").slice(0, -1).map((line) => JSON.parse(line));

async function verify() {
  const proofBytes = await fetched(box.dataset.proof, "The proof");
  const itemBytes = await fetched(box.dataset.items, "items.jsonl");
  const proof = read(proofBytes, "The proof", JSON.parse);
  const items = read(itemBytes, "items.jsonl", jsonLines);
  return [
    ...await proofChecks(proofBytes, proof, box.dataset),
    ...await entryChecks(proof),
    ...await itemChecks(itemBytes, items, proof),
  ];
}

function element(tag, classes, ...content) {
  const made = document.createElement(tag);
  made.className = classes;
  made.append(...content);
  return made;
}

function line({ state, name, text }) {
  return element("li", "", element("span", state === "open" ? "quiet" : state, MARKS[state]), " ",
    element("b", "", name), ` ${text}`);
}

function verdict(checks) {
  const wrong = checks.filter((one) => one.state === "bad");
  const at = `${new Date().toISOString().slice(11, 19)} UTC`;
  if (!wrong.length) return element("p", "good", `✓ Verified in your browser at ${at}: every check holds.`);
  const names = [...new Set(wrong.map((one) => one.name))].join(", ");
  return element("p", "bad", `✕ Not verified: ${wrong.length} of ${checks.length} checks do not hold (${names}). `,
    "No credit moves because of this. Do not sign off; tell our finance what stands here.");
}

async function showResult() {
  button.disabled = true;
  result.replaceChildren("Verifying …");
  try {
    const checks = await verify();
    result.replaceChildren(verdict(checks), element("ul", "checks", ...checks.map(line)));
  } catch (error) {
    const said = error.name === "Error" ? error.message : "The proof is not what was written: parts of it are missing.";
    result.replaceChildren(element("p", "bad", `✕ Not verified. ${said}`));
  }
  button.disabled = false;
}

if (globalThis.crypto?.subtle) {
  button.hidden = false;
  button.addEventListener("click", showResult);
} else {
  document.getElementById("verify-insecure").hidden = false;
}
