/**
 * Send a batch of videos, follow it, receive and verify its webhook, and check every credit of it.
 *
 *     SORA2_URL=… SORA2_API_KEY=… SORA2_WEBHOOK_SECRET=… node batch_basic.ts ["a prompt" …]
 *
 * It needs no package at run time. Node 22.18 and later run it as it is, Node 20 by `npx tsx batch_basic.ts`.
 * README.md says what to set, what it prints, and what each exit status means.
 */
import { createHash, createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { components } from "./openapi.d.ts";

type Schemas = components["schemas"];
type Batch = Schemas["BatchAnswer"];
type Completed = Schemas["BatchCompleted"];

const PROMPTS = ["A cat playing piano", "A dog in space", "A paper boat on a river of stars"];
const REQUEST_SECONDS = 30;
const ATTEMPTS = 5;
const WEBHOOK_SECONDS = 60;
const TOLERANCE_SECONDS = 5 * 60;
const BODY_MAX_BYTES = 1024 * 1024;

/** Why the script ends, and its exit status: 1 a check failed, 2 set-up, 3 refused by the API, 4 out of time. */
class Failed extends Error {
  status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

// --- the API --------------------------------------------------------------------------------------------------------

/**
 * Send one request and return the answer. It is sent again where no answer came, or one that says "later": that is safe
 * for a GET, and for a batch because its request id makes the second request answer with the batch of the first.
 */
async function call(path: string, body?: object): Promise<Response> {
  const init: RequestInit = {
    method: body ? "POST" : "GET",
    headers: { "X-API-Key": setting("SORA2_API_KEY"), ...(body && { "Content-Type": "application/json" }) },
    redirect: "error", // A redirect would carry the key to another host.
  };
  if (body) init.body = JSON.stringify(body);
  for (let attempt = 1; ; attempt += 1) {
    let pause = 2 ** (attempt - 1);
    let why: string;
    try {
      const response = await fetch(api + path, { ...init, signal: AbortSignal.timeout(REQUEST_SECONDS * 1000) });
      if (response.ok) return response;
      const told = await refusal(response);
      if (![429, 502, 503, 504].includes(response.status) || attempt === ATTEMPTS) throw new Failed(3, told);
      pause = retryAfter(response, pause);
      why = told;
    } catch (error) {
      if (error instanceof Failed) throw error;
      why = `no answer from ${api}: ${reason(error)}`;
      if (attempt === ATTEMPTS) throw new Failed(4, why);
    }
    console.error(`${why}\ntrying again in ${pause} s`);
    await sleep(pause * 1000);
  }
}

/** Return the words of a refusal: problem+json with a stable code, and every fault with its place. */
async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  if (!(response.headers.get("Content-Type") ?? "").startsWith("application/problem+json")) {
    return `${response.status} from ${response.url}: ${text.slice(0, 200)}`;
  }
  const problem = JSON.parse(text) as Schemas["Problem"];
  const faults = (problem.errors ?? []).map((fault) => `\n  ${fault.pointer}: ${fault.detail}`).join("");
  return `refused, ${problem.status} ${problem.code}: ${problem.detail} (trace id ${problem.trace_id})${faults}`;
}

function retryAfter(response: Response, otherwise: number): number {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0.2), 60) : otherwise;
}

/** Ask until the batch is final, as often as the API suggests, with the progress on one line. */
async function follow(batchId: string): Promise<Batch> {
  const began = Date.now();
  const until = began + Number(process.env["SORA2_PATIENCE_SECONDS"] ?? 600) * 1000;
  for (let shown = ""; ; ) {
    const response = await call(`/video-batch/${batchId}`);
    const batch = (await response.json()) as Batch;
    const { total, succeeded, failed } = batch.summary;
    const final = ["completed", "partial", "failed"].includes(batch.state);
    const line = `${batch.status}: ${succeeded + failed} of ${total} ended, ${succeeded} succeeded, ${failed} failed`;
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\x1b[K${line} (${Math.round((Date.now() - began) / 1000)} s)${final ? "\n" : ""}`);
    } else if (line !== shown) {
      console.log(line);
    }
    shown = line;
    if (final) return batch;
    const pause = retryAfter(response, 2) * 1000;
    if (Date.now() + pause > until) throw new Failed(4, `${batchId} has not ended yet. It goes on: ask for it later.`);
    await sleep(pause);
  }
}

// --- the webhook ----------------------------------------------------------------------------------------------------

/** Return what is wrong with a message by Standard Webhooks 1.0, or the empty text. `body` is the bytes as they came. */
function forged(headers: IncomingHttpHeaders, body: Buffer, secret: string): string {
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`]);
  if (typeof id !== "string" || typeof timestamp !== "string" || typeof signatures !== "string") {
    return "a header webhook-id, webhook-timestamp or webhook-signature is missing";
  }
  const age = Date.now() / 1000 - Number(timestamp);
  if (!/^[0-9]{1,12}$/.test(timestamp) || Math.abs(age) > TOLERANCE_SECONDS) {
    return `its timestamp ${timestamp} is more than ${TOLERANCE_SECONDS} s from this machine's time`;
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  // While a secret rotates there are several signatures; one that fits is enough.
  const fits = signatures.split(" ").some((signature) => {
    const [version, value = ""] = signature.split(",");
    const given = Buffer.from(value, "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
  return fits ? "" : "no signature fits. Is SORA2_WEBHOOK_SECRET the secret of this address, and of the key's mode?";
}

/** A server for webhooks. It answers at once; the event of a batch waits until it is asked for. */
class Receiver {
  server: Server;
  events = new Map<string, Completed>();
  fault = "";

  constructor() {
    this.server = createServer(async (request, response) => {
      const status = await this.judge(request).catch(() => 400);
      response.writeHead(status, { Connection: "close" }).end();
    });
    this.server.requestTimeout = 10_000;
  }

  async listen(port: number): Promise<string> {
    try {
      this.server.listen(port, "127.0.0.1");
      await once(this.server, "listening");
    } catch (error) {
      throw new Failed(2, `SORA2_WEBHOOK_PORT: ${reason(error)}`);
    }
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  async judge(request: IncomingMessage): Promise<number> {
    if (request.method !== "POST") return 405;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_MAX_BYTES) return 413;
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks);
    if (!request.headers["webhook-signature"]) return 400; // A stranger; no webhook at all.
    this.fault = forged(request.headers, body, setting("SORA2_WEBHOOK_SECRET"));
    if (this.fault) return 400;
    // The same event may come more than once, under the same id. A customer's system acts on an id only once.
    const event = JSON.parse(body.toString("utf8")) as Completed;
    if (event.event === "batch.completed") this.events.set(event.batch_id, event);
    return 204;
  }

  /** Wait for the event of a batch. What is not genuine ends the run, so that you see why. */
  async eventOf(batchId: string): Promise<Completed> {
    for (const until = Date.now() + WEBHOOK_SECONDS * 1000; Date.now() < until; await sleep(100)) {
      const event = this.events.get(batchId);
      if (event) return event;
      if (this.fault) throw new Failed(1, `the webhook is not genuine: ${this.fault}`);
    }
    throw new Failed(1, `no webhook came within ${WEBHOOK_SECONDS} s. Does SORA2_WEBHOOK_URL lead here?`);
  }
}

// --- the books ------------------------------------------------------------------------------------------------------

/** Return each check that does not hold, in words. */
function differences(credits: number, batch: Batch, event: Completed, proof: Buffer): string[] {
  const proven = JSON.parse(proof.toString("utf8")) as Schemas["Proof"];
  const { reserved, settled, refunded } = batch.ledger;
  const sha256 = createHash("sha256").update(proof).digest("hex");
  const wrong: string[] = [];
  const same = (what: string, one: unknown, other: unknown): void => {
    if (one !== other) wrong.push(`${what}: ${one} is not ${other}`);
  };
  same("reserved, and settled + refunded", reserved, settled + refunded);
  same("reserved, and the quote", reserved, credits);
  same("total, and succeeded + failed", batch.summary.total, batch.summary.succeeded + batch.summary.failed);
  same("SHA-256 of the proof, and in the webhook", sha256, event.proof.sha256);
  same("request_id of the API, and of the webhook", batch.request_id, event.request_id);
  same("state of the API, and of the webhook", batch.state, event.state);
  for (const name of ["reserved", "settled", "refunded"] as const) {
    same(`${name} of the API, and of the webhook`, batch.ledger[name], event.ledger[name]);
    same(`${name} of the API, and of the proof`, batch.ledger[name], proven.ledger[name]);
  }
  for (const name of ["total", "succeeded", "failed"] as const) {
    same(`${name} of the API, and of the webhook`, batch.summary[name], event.summary[name]);
  }
  return wrong;
}

// --- from the first to the last -------------------------------------------------------------------------------------

async function main(prompts: string[]): Promise<void> {
  setting("SORA2_WEBHOOK_SECRET");
  const receiver = new Receiver();
  const local = await receiver.listen(Number(process.env["SORA2_WEBHOOK_PORT"] ?? 0));
  const items = prompts.map((prompt) => ({ prompt }));

  const quote = (await (await call("/video-batch/quote", { items })).json()) as Schemas["Quote"];
  for (const { count, model, seconds, unit_credits, credits } of quote.lines) {
    console.log(`${count} × ${model}, ${seconds} s, at ${unit_credits} credits: ${credits}`);
  }
  console.log(`quote: ${quote.credits} credits, ${quote.available} are available`);

  // The request id makes it safe to send the order again; max_credits, that it never costs more than was shown.
  const order: Schemas["BatchOrder"] = {
    request_id: `example-${randomUUID()}`,
    items,
    webhook_url: process.env["SORA2_WEBHOOK_URL"] || local,
    max_credits: quote.credits,
  };
  const accepted = (await (await call("/video-batch", order)).json()) as Batch;
  console.log(`${accepted.batch_id} accepted: ${accepted.ledger.reserved} credits are frozen`);

  const batch = await follow(accepted.batch_id);
  const event = await receiver.eventOf(batch.batch_id);
  console.log(`webhook ${event.event} is genuine: ${event.event_id}`);
  const proof = Buffer.from(await (await call(`/video-batch/${batch.batch_id}/proof`)).arrayBuffer());

  const { reserved, settled, refunded } = batch.ledger;
  console.log(`reserved ${reserved} = settled ${settled} + refunded ${refunded}`);
  const wrong = differences(quote.credits, batch, event, proof);
  if (wrong.length) throw new Failed(1, `the books do not agree:\n  ${wrong.join("\n  ")}`);
  console.log("every check held: API, webhook and proof say the same");
}

/** Return a setting of the environment that must be there. */
function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Failed(2, `Set ${name}: README.md says to what.`);
  return value;
}

function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}

let api = "";
process.once("SIGINT", () => {
  console.error("\nstopped. An accepted batch goes on, and its webhook is sent again for three days.");
  process.exit(130);
});
try {
  api = `${setting("SORA2_URL").replace(/\/+$/, "")}/api/enterprise`;
  await main(process.argv.length > 2 ? process.argv.slice(2) : PROMPTS);
  process.exit(0);
} catch (error) {
  console.error(error instanceof Failed ? error.message : error);
  process.exit(error instanceof Failed ? error.status : 1);
}
