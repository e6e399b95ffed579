// Says what is wrong with a webhook's signature. All of it is computed here: nothing leaves the page.
// The rules are those of Standard Webhooks 1.0 (standardwebhooks.com).
//
// Where the message does not verify as it stands, the usual mistakes are undone one by one (the body as it was before
// it was written anew, the key as it should have been read, …) until it does. What had to be undone is what is wrong.

const TOLERANCE_SECONDS = 300;
export const MARKS = { good: "✓", mixed: "!", bad: "✕", open: "?" };

const utf8 = (text) => new TextEncoder().encode(text);
const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

// The bytes that a base64 text stands for, or null.
function fromBase64(text) {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

// --- what it says ----------------------------------------------------------------------------------------------------

// Examine a message: an object of five texts `id`, `timestamp`, `signature`, `body`, `secret`, at `now` (Unix seconds).
// Return {state, verdict, checks}, each check {name, state, text, todo, pairs}; the states are those of MARKS.
export async function examine(message, now) {
  const ids = idsOf(message), times = timesOf(message.timestamp), signatures = signaturesOf(message.signature);
  const keys = keysOf(message.secret), bodies = bodiesOf(message.body);
  const found = await search({ ids, times, keys, bodies }, signatures);
  const checks = [
    idCheck(message, found),
    timeCheck(message.timestamp, now, found),
    signatureCheck(signatures, found, ids.length && times.length && keys.length && message.body),
    secretCheck(message.secret, keys, found),
    bodyCheck(message.body, bodies, found),
  ];
  return { ...verdictOf(checks, found), checks };
}

function verdictOf(checks, found) {
  const wrong = checks.filter((check) => check.state === "bad").map((check) => check.name);
  if (!wrong.length) return { state: "good", verdict: "Valid: a receiver with this secret takes this message." };
  const late = wrong.length === 1 && wrong[0] === "webhook-timestamp" && found && !found.time.wrong;
  if (late) return { state: "mixed", verdict: "The signature is valid, but not now: see the timestamp." };
  if (found) return { state: "bad", verdict: `Not valid. What is wrong: ${wrong.join(", ")}.` };
  const broken = checks.filter((check) => check.broken).map((check) => check.name);
  if (broken.length) return { state: "bad", verdict: `Missing or malformed: ${broken.join(", ")}.` };
  return { state: "bad", verdict: "Not valid: the signature does not match." };
}

// --- the search ------------------------------------------------------------------------------------------------------

// Return the reading of the message that gives one of the signatures, with the fewest mistakes undone, or null.
// In each list the first reading is the message as it stands.
async function search({ ids, times, keys, bodies }, signatures) {
  const readable = signatures.filter((signature) => signature.value);
  if (!readable.length) return null;
  for (const key of keys) key.hmac = await hmacKey(key.bytes);
  const readings = [];
  ids.forEach((id, a) => times.forEach((time, b) => keys.forEach((key, c) => bodies.forEach((body, d) => {
    readings.push({ id, time, key, body, undone: [a, b, c, d].filter(Boolean).length });
  }))));
  readings.sort((one, other) => one.undone - other.undone);
  for (const reading of readings) {
    const value = await sign(reading.key.hmac, reading.id.value, reading.time.value, reading.body.value);
    const signature = readable.find((given) => given.value === value);
    if (signature) return { ...reading, signature };
  }
  return null;
}

const hmacKey = (bytes) => crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

async function sign(key, id, timestamp, body) {
  return toBase64(new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8(`${id}.${timestamp}.${body}`))));
}

// --- webhook-id ------------------------------------------------------------------------------------------------------

function eventIdOf(body) {
  try {
    const id = JSON.parse(body).event_id;
    return typeof id === "string" ? id : "";
  } catch {
    return "";
  }
}

function idsOf({ id, body }) {
  const given = id.trim(), inBody = eventIdOf(body);
  const readings = given ? [{ value: given }] : [];
  if (inBody && inBody !== given) readings.push({ value: inBody, wrong: true });
  return readings;
}

function idCheck({ id, body }, found) {
  const name = "webhook-id", given = id.trim(), inBody = eventIdOf(body);
  if (!given) {
    return missing(name, "It is a header of the message. A proxy in between may drop headers that it does not know.");
  }
  if (inBody && inBody !== given) {
    const pairs = [["header", given], ["event_id", inBody]];
    const text = "The header and event_id in the body differ. ";
    if (found && !found.id.wrong) return { name, state: "mixed", text: `${text}They were signed so.`, pairs };
    const why = found ? "With the body's id the signature is valid." : "They are of two messages.";
    return { name, state: "bad", text: text + why, todo: "Take headers and body from the same request.", pairs };
  }
  if (/\s/.test(given)) return malformed(name, "There is white space inside it.", "Take the header as it came.");
  if (inBody) return { name, state: "good", text: "The same as event_id in the body." };
  if (found) return { name, state: "good", text: "It was signed." };
  if (!given.startsWith("evt_")) {
    return { name, state: "mixed", text: "An id of ours begins with evt_.", todo: "Take the header as it came." };
  }
  return { name, state: "open", text: "There is no event_id in the body to compare it with." };
}

// --- webhook-timestamp -----------------------------------------------------------------------------------------------

const isMilliseconds = (text) => /^\d{13}$/.test(text);

function timesOf(text) {
  const given = text.trim();
  const readings = given ? [{ value: given }] : [];
  if (isMilliseconds(given)) readings.push({ value: given.slice(0, 10), wrong: true });
  else if (/^\d{4}-\d\d-\d\d/.test(given) && Date.parse(given)) {
    readings.push({ value: String(Math.floor(Date.parse(given) / 1000)), wrong: true });
  }
  return readings;
}

function timeCheck(text, now, found) {
  const name = "webhook-timestamp", given = text.trim();
  if (!given) return missing(name, "It is a header of the message, and part of what is signed.");
  if (isMilliseconds(given)) {
    const todo = `It is in seconds: ${given.slice(0, 10)}. Use the header as it came, do not convert it.`;
    return malformed(name, "These are milliseconds.", todo);
  }
  if (!/^\d{1,12}$/.test(given)) {
    return malformed(name, "It is not a number of seconds since 1970: only digits are.", "Use the header as it came.");
  }
  return clockCheck(name, Number(given), now, found);
}

function clockCheck(name, at, now, found) {
  const away = Math.abs(now - at), early = at > now, when = `at ${utc(at)}`;
  if (away <= TOLERANCE_SECONDS) {
    return { name, state: "good", text: `Signed ${span(away)} ${early ? "ahead of now" : "ago"}, ${when}.` };
  }
  const by = span(away - TOLERANCE_SECONDS);
  if (early) {
    const text = `It lies ${span(away)} ahead of this device's clock, ${when}: ${by} more than the 5 minutes allowed.`;
    const todo = "If your receiver refuses new messages so, its clock is slow: set it by NTP.";
    return { name, state: "bad", text, todo: `This device says ${utc(now)}. ${todo}` };
  }
  const then = found ? "It verified then; a receiver refuses it now, so that nobody can send it again (a replay)." : "";
  const text = `Signed ${span(away)} ago, ${when}: ${by} more than the 5 minutes allowed. ${then}`;
  const todo = "For a message that you kept that is normal. If your receiver refuses new messages so, its clock is "
    + "fast (set it by NTP), or they wait in a queue before they are verified (verify when they arrive).";
  return { name, state: "bad", text, todo };
}

function span(seconds) {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 120) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

function utc(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

// --- webhook-signature -----------------------------------------------------------------------------------------------

// The signatures of the header: `value` is the base64 of its 32 bytes, "" if it is none; `wrong` says what is wrong.
function signaturesOf(text) {
  return text.trim().split(/\s+/).filter(Boolean).map((part) => {
    const [, version, given] = part.match(/^(?:([a-z0-9]+),)?(.*)$/i);
    if (version && version !== "v1") return { value: "", wrong: `its version ${version} is not v1`, other: true };
    const { value, wrong } = signatureOf(given);
    return { value, wrong: version ? wrong : ["v1, is missing before it", wrong].filter(Boolean).join("; ") };
  });
}

function signatureOf(text) {
  if (/^[0-9a-f]{64}$/i.test(text)) {
    const bytes = Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
    return { value: toBase64(bytes), wrong: "it is in hex digits, not in base64" };
  }
  const bytes = fromBase64(text);
  if (bytes && bytes.length === 32) return { value: toBase64(bytes), wrong: "" };
  const url = fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
  if (url && url.length === 32) return { value: toBase64(url), wrong: "it has - and _ where base64 has + and /" };
  return { value: "", wrong: bytes ? `it is ${bytes.length} bytes long and not 32: cut off?` : "it is not base64" };
}

function signatureCheck(signatures, found, complete) {
  const name = "webhook-signature", many = signatures.length > 1;
  if (!signatures.length) return missing(name, "It is a header of the message.");
  const numbered = (one) => (many ? `Signature ${signatures.indexOf(one) + 1} of ${signatures.length}` : "It");
  const whole = "Use the header as it came: v1, and 44 characters of base64, several separated by a space.";
  if (found?.signature.wrong) {
    return malformed(name, `${numbered(found.signature)} matches, but ${found.signature.wrong}.`, whole);
  }
  if (found && many) {
    const other = "While a secret rotates both sign: the other is made with the other secret.";
    return { name, state: "good", text: `${numbered(found.signature)} matches. ${other}` };
  }
  if (found) return { name, state: "good", text: "It matches." };
  const broken = signatures.find((signature) => signature.wrong && !signature.other)
    ?? (signatures.every((signature) => signature.other) ? signatures[0] : null);
  if (broken) return malformed(name, `${numbered(broken)} is malformed: ${broken.wrong}.`, whole);
  if (!complete) return { name, state: "open", text: "Well formed. It is compared when all the rest is there." };
  const none = many ? `None of the ${signatures.length} signatures matches` : "It does not match";
  return { name, state: "bad", text: `${none} what secret, id, timestamp and body give.` };
}

// --- secret ----------------------------------------------------------------------------------------------------------

const withoutPrefix = (text) => text.replace(/^whsec_/, "");

// The keys that somebody may have made of the secret.
function keysOf(text) {
  const given = text.trim(), rest = withoutPrefix(given);
  if (!rest) return [];
  const candidates = [
    [fromBase64(rest), ""],
    [fromBase64(rest.replace(/\s/g, "+")), "There are spaces in it where + should be, as after decoding a URL."],
    [fromBase64(rest.replace(/\s/g, "")), "There are spaces in it."],
    [utf8(given), "text"],
    [utf8(rest), "text"],
    [lenient(`whsec${rest}`), "prefix"],
    [lenient(`whsec/${rest}`), "prefix"],
  ];
  return candidates.filter(([bytes]) => bytes?.length).map(([bytes, wrong]) => ({ bytes, wrong }));
}

// As decoders read that skip what is not base64 and what is left over at the end.
function lenient(text) {
  const digits = text.replace(/[^A-Za-z0-9+/]/g, "");
  return fromBase64(digits.length % 4 === 1 ? digits.slice(0, -1) : digits);
}

const WRONG_KEYS = {
  text: "This signature was made with the secret's text as the key, not with the bytes that it stands for: not by us.",
  prefix: "This signature was made with a key decoded from the whole secret, with its prefix whsec_: not by us.",
};
const RIGHT_KEY = "The key is what base64-decoding the part after whsec_ gives. Decode it so in your code.";

function secretCheck(text, keys, found) {
  const name = "secret", given = text.trim();
  if (!given) return missing(name, "It was shown once, when the endpoint was created or its secret rotated.");
  if (found?.key.wrong) {
    const text = WRONG_KEYS[found.key.wrong];
    if (text) return { name, state: "bad", text, todo: RIGHT_KEY };
    return { name, state: "bad", text: `${found.key.wrong} Else it is right.`, todo: "Mend it in your configuration." };
  }
  if (found) return foundSecret(name, text);
  if (/^s2_(live|test)_/.test(given)) {
    return malformed(name, "This is an API key.", "The secret of an endpoint begins with whsec_.");
  }
  if (!given.startsWith("whsec_")) {
    return malformed(name, "It does not begin with whsec_.", "Paste all of it, as it was shown.");
  }
  if (/\s/.test(given)) return malformed(name, "There is white space inside it.", "Paste it without.");
  if (!fromBase64(withoutPrefix(given))) {
    return malformed(name, "What follows whsec_ is not base64.", "Paste all of it, as it was shown.");
  }
  return {
    name,
    state: "open",
    text: "Well formed. Is it the right one?",
    todo: "Each endpoint has a secret of its own, live and test apart. A batch's webhook_url that is no endpoint is "
      + "signed with the organization's default secret. After a rotation the old secret signs until the overlap ends.",
  };
}

function foundSecret(name, text) {
  if (text !== text.trim()) {
    const todo = "Many libraries fail on it: see that your configuration has none, nor a line end.";
    return { name, state: "mixed", text: "It is the right one, with white space around it.", todo };
  }
  if (!text.startsWith("whsec_")) {
    const text = "It is the right one, without whsec_ before it. Libraries take it either way.";
    return { name, state: "mixed", text };
  }
  return { name, state: "good", text: "It is the one that signed." };
}

// --- body ------------------------------------------------------------------------------------------------------------

// The bodies that may have been sent, where this one came out: as it stands first, `wrong` is what changed it.
function bodiesOf(body) {
  const readings = [
    [body, ""],
    [body.replace(/^\uFEFF/, ""), "a byte order mark was put before it"],
    [body.replace(/[\r\n]+$/, ""), "a line end was added at its end"],
    [body.trim(), "white space was added around it"],
    [`${body}\n`, "the line end at its end was cut off"],
    [`${body}\r\n`, "the line end at its end was cut off"],
    [body.replace(/\r?\n/g, "\r\n"), "its line ends are LF, and were CRLF"],
  ];
  const [inner, how] = unquoted(body.replace(/^\uFEFF/, "").trim());
  if (how) readings.push([inner, how]);
  if (isJson(inner)) {
    for (const form of FORMS) readings.push([rewritten(inner, form), how || "it was parsed and written anew"]);
  }
  const first = new Map();
  for (const [value, wrong] of readings) if (value && !first.has(value)) first.set(value, wrong);
  return [...first].map(([value, wrong]) => ({ value, wrong }));
}

function isJson(text) {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

// What a body that was logged as a value stands for: a JSON string, or bytes as Python shows them.
function unquoted(text) {
  const bytes = text.match(/^b'([^]*)'$/) ?? text.match(/^b"([^]*)"$/);
  try {
    if (bytes) return [pythonBytes(bytes[1]), "it was shown as a Python value, b'…'"];
    if (text.startsWith('"')) return [JSON.parse(text), "it was written as a JSON string, in quotes"];
  } catch {
    // Then it only looks so.
  }
  return [text, ""];
}

function pythonBytes(shown) {
  const signs = { n: "\n", r: "\r", t: "\t" };
  const latin1 = shown.replace(/\\(x[0-9a-f]{2}|[^])/g, (_, escape) =>
    (escape.length > 1 ? String.fromCharCode(parseInt(escape.slice(1), 16)) : signs[escape] ?? escape));
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(latin1, (sign) => sign.charCodeAt(0)));
}

// How JSON is written: by us, in Python's way, and by who writes it compactly; other letters as they are, or escaped.
const FORMS = [
  { comma: ", ", colon: ": ", ascii: false },
  { comma: ", ", colon: ": ", ascii: true },
  { comma: ",", colon: ":", ascii: false },
  { comma: ",", colon: ":", ascii: true },
];

// Write JSON anew token by token: parsing it would reorder keys that look like numbers, and round long numbers.
function rewritten(json, { comma, colon, ascii }) {
  const signs = { ",": comma, ":": colon };
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[^\s"{}[\],:]+|[{}[\],:]/g);
  const written = (token) => (token.startsWith('"') ? rewrittenString(token, ascii) : signs[token] ?? token);
  return tokens.map(written).join("");
}

function rewrittenString(token, ascii) {
  const text = JSON.stringify(JSON.parse(token));
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return ascii ? text.replace(/[\x7f-\uffff]/g, escape) : text;
}

function bodyCheck(body, bodies, found) {
  const name = "body";
  if (!body) return missing(name, "Every message of ours has one. An empty body was read before by something else.");
  if (found?.body.wrong) {
    return {
      name,
      state: "bad",
      text: `The body was changed on its way: ${found.body.wrong}; verify over the raw bytes.`,
      todo: "Take the bytes of the request before a framework parses them, or copy them so: request.body in Django, "
        + "request.get_data() in Flask, express.raw() in Express, php://input in PHP.",
      pairs: difference(body, found.body.value),
    };
  }
  if (found) return { name, state: "good", text: `These ${utf8(body).length} bytes were signed.` };
  if (!isJson(body)) {
    const text = "It is not a JSON object: cut off, or not the body of a message.";
    return { ...malformed(name, text, "Take the whole body, as it came."), broken: false };
  }
  const tried = "does not match as it is, nor as it would be before the usual changes (spaces, escapes, line ends)";
  const todo = "Was a value changed, left out or put elsewhere? Then only the bytes as they came can tell.";
  return { name, state: "open", text: `It ${tried}.`, todo };
}

// Where two texts begin to differ.
function difference(got, sent) {
  let at = 0;
  while (got[at] === sent[at]) at += 1;
  const from = Math.max(0, at - 12), to = at + 16;
  const shown = (text) => {
    const part = text.slice(from, to).replaceAll("\r", "␍").replaceAll("\n", "␊").replaceAll("\uFEFF", "[BOM]");
    return `${from ? "…" : ""}${part}${text.length > to ? "…" : ""}`;
  };
  return [["sent", shown(sent)], ["pasted", shown(got)]];
}

function missing(name, todo) {
  return { name, state: "bad", text: "It is missing.", todo, broken: true };
}

function malformed(name, text, todo) {
  return { name, state: "bad", text, todo, broken: true };
}

// --- pasting ---------------------------------------------------------------------------------------------------------

// Return what of a message a pasted text has, as headers of a request, of curl, or of a log: some of `id`, `timestamp`,
// `signature`, and `body` when one follows after an empty line.
export function pasted(text) {
  const [head, ...rest] = text.split(/\r?\n\r?\n/);
  const parts = {};
  const header = /webhook[-_](id|timestamp|signature)["']?\]?\s*(?::|=>?)\s*\[?["']?([^"'\r\n\]]+)/gi;
  for (const [, name, value] of head.matchAll(header)) {
    parts[name.toLowerCase()] = value.trim();
  }
  const body = rest.join("\n\n");
  return Object.keys(parts).length && body ? { ...parts, body } : parts;
}

// --- the example -----------------------------------------------------------------------------------------------------

// Make a message that is signed at `now` with a secret of its own, which nobody uses.
export async function exampleMessage(now) {
  const random = (length) => crypto.getRandomValues(new Uint8Array(length));
  const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  const letters = (length) => Array.from(random(length), (byte) => alphabet[byte % 32]).join("");
  const id = `evt_${letters(26)}`, timestamp = String(Math.floor(now)), key = random(32);
  const content = {
    event: "batch.completed",
    batch_id: `bat_${letters(26)}`,
    request_id: "order-123",
    summary: { total: 10, succeeded: 9, failed: 1 },
    ledger: { reserved: 100, settled: 90, refunded: 10 },
    timestamp: new Date(now * 1000).toISOString().replace("Z", "000Z"),
    event_id: id,
    livemode: false,
    status: "partial",
    state: "partial",
  };
  const body = rewritten(JSON.stringify(content), FORMS[0]);
  const signature = `v1,${await sign(await hmacKey(key), id, timestamp, body)}`;
  return { id, timestamp, signature, body, secret: `whsec_${toBase64(key)}` };
}
