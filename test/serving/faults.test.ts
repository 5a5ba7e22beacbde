/** What goes wrong around a serving process: who hangs up, who comes twice, kills, full queues, damaged files. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { signTicket } from "../../shared/protocol/ticket.ts";
import { breakWeight } from "../helpers/not-numbers.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { type Provider, startProvider } from "../service/provider.ts";
import { GO_ON, longModel } from "./models.ts";
import {
  eventsOf,
  type Ledger,
  type PromptRef,
  type Serving,
  startLedger,
  startServing,
  storePrompt,
} from "./process.ts";

const WIDTH = 64;
const LONG = { model: "m", prompt: "t1 t2 t3", max_tokens: 1900, temperature: 0, stream: true };

let provider: Provider;
let ledger: Ledger;
let model: string;
let prompt: PromptRef;
let serving: Serving;
let state: string;
let running: Serving[] = [];

const randomPrompt = (seed: number) => ({
  shape: [4, WIDTH],
  data: Float32Array.from({ length: 4 * WIDTH }, (_, i) => Math.sin(i * seed)),
});

async function start(env: Record<string, string> = {}): Promise<Serving> {
  serving = await startServing({ provider, ledger, model, state, env });
  running.push(serving);
  return serving;
}

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  model = await longModel(join(provider.folder, "model"));
  prompt = await storePrompt(provider, model, "good", randomPrompt(1), GO_ON);
});
afterAll(() => provider.close());
beforeEach(async () => {
  state = temporaryFolder();
  ledger = await startLedger();
  running = [];
});
afterEach(async () => {
  for (const each of running) await each.stop();
  await ledger.close();
  expect(ledger.faults).toEqual([]);
});

/** Begins a stream and reads its first bytes. */
async function begin(body: object = LONG, init: RequestInit = {}) {
  const { request, response } = await serving.post("completions", body, { prompt }, init);
  expect(response.status).toBe(200);
  const reader = response.body!.getReader();
  await reader.read();
  return { request, reader };
}

test("who hangs up is charged for what was made, and the others get on", async () => {
  await start();
  const streams = await Promise.all(Array.from({ length: 20 }, () => begin({ ...LONG, max_tokens: 300 })));
  const left = streams.filter((_, i) => i % 2 === 0);
  await Promise.all(left.map(({ reader }) => reader.cancel()));
  await vi.waitFor(async () => expect(await serving.metric("rows")).toBe(10), { timeout: 120_000 });
  for (const { reader } of streams.filter((_, i) => i % 2 === 1)) while (!(await reader.read()).done);
  await vi.waitFor(() => expect(ledger.records).toHaveLength(20), { timeout: 120_000 });
  for (const [i, { request }] of streams.entries()) {
    const { promptTokens, completionTokens } = ledger.recordOf(request)!;
    expect(promptTokens).toBe(3);
    if (i % 2 === 1) expect(completionTokens).toBe(300);
    else expect(completionTokens).toBeLessThan(300);
  }
  expect(await serving.metric("rows")).toBe(0);
});

test("who hangs up before its answer, which isn't a stream, is noticed too", async () => {
  await start();
  const abort = new AbortController();
  const answer = serving.post("completions", { ...LONG, stream: false }, { prompt }, { signal: abort.signal });
  await vi.waitFor(async () => expect(await serving.metric("rows")).toBe(1), { timeout: 120_000 });
  abort.abort();
  await expect(answer).rejects.toThrow();
  await vi.waitFor(() => expect(ledger.records[0]?.completionTokens).toBeLessThan(1900), { timeout: 120_000 });
  expect(await serving.metric("rows")).toBe(0);
});

describe("a ticket", () => {
  test("is taken once, also by a process that was started again", async () => {
    await start();
    const body = JSON.stringify({ ...LONG, stream: false, max_tokens: 2 });
    const ticket = serving.makeTicket("completions", body, { prompt });
    const headers = { authorization: `Bearer ${await signTicket(ticket, "the secret of tests")}` };
    const send = async () => (await fetch(`${serving.url}/v1/completions`, { method: "POST", headers, body })).status;
    const both = await Promise.all([send(), send(), send()]);
    expect(both.sort()).toEqual([200, 401, 401]);
    await serving.stop();
    await start();
    expect(await send()).toBe(401);
    await vi.waitFor(() => expect(ledger.recordOf(ticket.request)).toMatchObject({ completionTokens: 2 }));
  });

  test("for something else, altered, of another secret, or not there is refused", async () => {
    await start();
    const others: [Parameters<Serving["makeTicket"]>[2], string][] = [
      [{ expires: Math.floor(Date.now() / 1000) - 1 }, "expired"],
      [{ endpoint: "classify" }, "another route"],
      [{ target: "other" }, "another target"],
      [{ targetDigest: "00".repeat(32) }, "another target"],
      [{ body: "00".repeat(32) }, "another body"],
    ];
    for (const [change, message] of others) {
      const { status, body } = await serving.json("completions", LONG, change);
      expect([status, body.error.message]).toEqual([401, expect.stringContaining(message)]);
    }
    const body = JSON.stringify(LONG);
    const ticket = serving.makeTicket("completions", body);
    const good = await signTicket(ticket, "the secret of tests");
    const [payload, signature] = good.split(".");
    const richer = Buffer.from(JSON.stringify({ ...ticket, maxTokens: 1e9 })).toString("base64url");
    const bad = [`${richer}.${signature}`, `${payload}.`, await signTicket(ticket, "another"), ""];
    for (const text of bad) {
      const headers = { authorization: `Bearer ${text}` };
      expect((await fetch(`${serving.url}/v1/completions`, { method: "POST", headers, body })).status).toBe(401);
    }
    expect((await fetch(`${serving.url}/v1/completions`, { method: "POST", body })).status).toBe(401);
    expect(ledger.records).toEqual([]);
  });

  test("is for so many tokens, counted with the tokenizer, and for a body within the limit", async () => {
    await start();
    const allowed = { ...LONG, stream: false, max_tokens: 5 };
    expect((await serving.json("completions", allowed, { prompt, maxTokens: 8 })).status).toBe(200);
    const { status, body } = await serving.json("completions", allowed, { prompt, maxTokens: 7 });
    expect([status, body.error.message]).toEqual([400, expect.stringContaining("its ticket is for 7")]);
    const long = { ...LONG, user: "u".repeat(1_100_000) };
    expect((await serving.json("completions", long, { prompt })).status).toBe(413);
  });
});

test("what doesn't fit is told at once to come again, and is reported as nothing", async () => {
  await start({ SERVING_SLOTS: "2", SERVING_QUEUE: "62" });
  const abort = new AbortController();
  const streams = Array.from({ length: 64 }, () =>
    serving.post("completions", LONG, { prompt }, { signal: abort.signal }),
  );
  await vi.waitFor(async () => expect(await serving.metric("requests")).toBe(64), { timeout: 120_000 });
  const { status, headers, body, request } = await serving.json("completions", LONG, { prompt });
  expect([status, headers.get("retry-after")]).toEqual([503, "2"]);
  expect(body.error).toMatchObject({ type: "server_error", code: "overloaded" });
  await vi.waitFor(() => expect(ledger.recordOf(request)).toMatchObject({ promptTokens: 0, completionTokens: 0 }));
  abort.abort();
  await Promise.allSettled(streams);
  await vi.waitFor(() => expect(ledger.records).toHaveLength(65), { timeout: 120_000 });
});

test("what can't be written down isn't begun, and what runs goes on", async () => {
  await start();
  const { reader } = await begin({ ...LONG, max_tokens: 1500 });
  const path = join(state, "usage.jsonl");
  rmSync(path);
  mkdirSync(path);
  const { status, headers } = await serving.json("completions", LONG, { prompt });
  expect([status, headers.get("retry-after")]).toEqual([503, "2"]);
  await vi.waitFor(() => expect(serving.output.text).toContain('"why":"EISDIR"'));
  rmdirSync(path);
  expect((await serving.json("completions", { ...LONG, stream: false, max_tokens: 2 }, { prompt })).status).toBe(200);
  await reader.cancel();
  await vi.waitFor(() => expect(ledger.records).toHaveLength(2), { timeout: 120_000 });
});

describe("SIGTERM", () => {
  test("lets what runs finish, and takes nothing new", async () => {
    await start();
    const { reader } = await begin({ ...LONG, max_tokens: 200 });
    serving.signal("SIGTERM");
    await vi.waitFor(async () => expect((await fetch(`${serving.url}/healthz`)).status).toBe(503));
    expect((await serving.json("completions", LONG, { prompt })).status).toBe(503);
    let [text, done] = ["", false];
    while (!done) {
      const read = await reader.read();
      text += Buffer.from(read.value ?? []).toString();
      done = read.done;
    }
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await serving.ended).toBe(0);
    expect(ledger.records.map(({ completionTokens }) => completionTokens).sort()).toEqual([0, 200]);
  });

  test("waits no longer than its limit, and reports what was made", async () => {
    await start({ SERVING_DRAIN_SECONDS: "0" });
    const { request } = await begin();
    serving.signal("SIGTERM");
    expect(await serving.ended).toBe(0);
    expect(ledger.recordOf(request)!.completionTokens).toBeGreaterThan(0);
  });
});

test("killed in the middle of 20 streams and started again, it reports all of them, once", async () => {
  await start();
  ledger.isOpen = false;
  const done = await serving.json("completions", { ...LONG, stream: false, max_tokens: 7 }, { prompt });
  const streams = await Promise.all(Array.from({ length: 20 }, () => begin()));
  // Counts are written down every second.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await serving.stop();
  for (const { reader } of streams) await expect(reader.read().then(drain(reader))).rejects.toThrow();
  expect(ledger.records).toEqual([]);
  ledger.isOpen = true;
  await start();
  await vi.waitFor(() => expect(ledger.records).toHaveLength(21), { timeout: 120_000 });
  expect(ledger.recordOf(done.request)).toMatchObject({ promptTokens: 3, completionTokens: 7 });
  for (const { request } of streams) {
    const { promptTokens, completionTokens } = ledger.recordOf(request)!;
    expect(promptTokens).toBe(3);
    expect(completionTokens).toBeGreaterThan(0);
  }
  await serving.stop();
  await start();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(ledger.records).toHaveLength(21);
});

/** Reads on until the stream breaks off. */
function drain(reader: ReadableStreamDefaultReader<Uint8Array>) {
  return async () => {
    while (!(await reader.read()).done);
  };
}

describe("a prompt's file in the bucket", () => {
  test("that is damaged or missing is told, isn't kept, and is used once it is mended", async () => {
    await start();
    const own = await storePrompt(provider, model, "mended", randomPrompt(2), GO_ON);
    const bytes = await provider.store.need(own.weights);
    const short = { ...LONG, stream: false, max_tokens: 2 };
    const damaged = bytes.map((byte, i) => (i === bytes.length - 5 ? byte ^ 1 : byte));
    for (const key of [own.weights, own.manifest]) {
      const good = await provider.store.need(key);
      await provider.store.write(key, key === own.weights ? damaged : `${Buffer.from(good).toString()} `);
      const { status, body } = await serving.json("completions", short, { prompt: own });
      expect(status).toBe(500);
      expect(body.error.message).toMatch(/missing or damaged/);
      expect(body.error.message).not.toContain("jobs/");
      await provider.store.write(key, good);
      expect((await serving.json("completions", short, { prompt: own })).status).toBe(200);
      await start();
    }
    const missing = { ...own, weights: "jobs/nowhere", sha256: "11".repeat(32) };
    expect((await serving.json("completions", short, { prompt: missing })).body.error.message).toMatch(/missing/);
  });

  test("for another model is refused", async () => {
    await start();
    const wide = { shape: [2, 32], data: new Float32Array(64) };
    const long = { shape: [2048, WIDTH], data: new Float32Array(2048 * WIDTH) };
    for (const [key, value] of Object.entries({ wide, long })) {
      const own = await storePrompt(provider, model, key, value, GO_ON);
      const { status, body } = await serving.json("completions", LONG, { prompt: own });
      expect([status, body.error.message]).toEqual([500, expect.stringContaining("another model")]);
    }
  });
});

test("who needs a number that the model hasn't is told, and the others get on", async () => {
  const whole = model;
  model = await longModel(join(provider.folder, "broken"));
  await breakWeight(model, "transformer.wpe.weight", 100 * WIDTH);
  await start();
  model = whole;
  const short = { model: "m", prompt: "t1 t2 t3", max_tokens: 90, temperature: 0 };
  const wanted = await serving.json("completions", short);
  const ids = (length: number) => Array.from({ length }, (_, i) => i % 40);
  const bodies = [
    { ...short, prompt: ids(120), max_tokens: 4 },
    { ...short, prompt: ids(300), max_tokens: 4, temperature: 1, n: 2 },
    { ...short, prompt: [ids(3), ids(120)], max_tokens: 4 },
    { ...short, max_tokens: 200 },
  ];
  const company = serving.json("completions", short);
  // Read together with the others, its padding would be where this model has no number.
  await vi.waitFor(async () => expect(await serving.metric("rows")).toBe(1), { interval: 5, timeout: 120_000 });
  for (const { status, body } of await Promise.all(bodies.map((each) => serving.json("completions", each)))) {
    expect([status, body.error.message]).toEqual([500, expect.stringContaining("NaN or infinity")]);
  }
  const task = {
    ...GO_ON,
    kind: undefined,
    target: undefined,
    stop: undefined,
    maxNewTokens: undefined,
    maxLength: 200,
  };
  const labels = ["t1", "t2"].map((name) => ({ name, words: [` ${name}`] }));
  const asked = { model: "m", input: Array.from({ length: 120 }, () => "t5").join(" "), task: { ...task, labels } };
  const { status, body } = await serving.json("classify", asked);
  expect([status, body.error.message]).toEqual([500, expect.stringContaining("NaN or infinity")]);
  expect((await company).body.choices).toEqual(wanted.body.choices);
  expect((await serving.json("completions", short)).body.choices).toEqual(wanted.body.choices);
  expect(await serving.metric("rows")).toBe(0);
});

test("texts and answers are nowhere: not in logs, metrics, errors or on disk", async () => {
  await start();
  const before = await provider.store.list("");
  const canary = "t31 t37 t33 t39";
  const word = "canary-7f3a";
  const bodies: object[] = [
    { ...LONG, prompt: canary, stream: false, max_tokens: 20 },
    { ...LONG, prompt: canary, max_tokens: 20 },
    { ...LONG, prompt: `${canary} ${word}`, max_tokens: 5000 },
    { ...LONG, prompt: word, stop: "" },
    { ...LONG, prompt: word, max_tokens: 2, temperature: word },
  ];
  const answers = await Promise.all(
    bodies.map(async (body) => (await serving.post("completions", body, { prompt })).response),
  );
  const [whole, streamed, ...refused] = answers;
  const answer = ((await whole!.json()) as { choices: { text: string }[] }).choices[0]!.text;
  expect((await eventsOf(streamed!)).events.map(({ choices }) => choices[0].text).join("")).toBe(answer);
  for (const response of refused) {
    expect(response.status).toBe(400);
    expect(await response.text()).not.toMatch(/canary|t31/);
  }
  const broken = JSON.stringify({ prompt: word }).slice(0, -1);
  const ticket = await signTicket(serving.makeTicket("completions", broken), "the secret of tests");
  const response = await fetch(`${serving.url}/v1/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${ticket}` },
    body: broken,
  });
  expect([response.status, await response.text()]).toEqual([400, expect.not.stringContaining("canary")]);
  const metrics = await (await fetch(`${serving.url}/metrics`)).text();
  expect(metrics).toContain('softpost_requests_total{route="completions",status="400"} 4');
  serving.signal("SIGTERM");
  await serving.ended;
  const disk = files(state).map((path) => readFileSync(path, "utf8"));
  expect(disk.length).toBeGreaterThan(0);
  // It writes nothing into the bucket at all.
  expect(await provider.store.list("")).toEqual(before);
  const said = answer.trim().split(" ").slice(0, 4).join(" ");
  for (const text of [serving.output.text, metrics, ...disk]) {
    for (const secret of [canary, word, said]) expect(text).not.toContain(secret);
  }
  expect(metrics).not.toContain("aaaabbbbccccdddd");
});

function files(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => statSync(path).isFile());
}

test("what is missing or wrong in its environment is said by name, all together", async () => {
  await expect(start({ SERVING_SECRET: "short", SERVING_BACKEND: "vllm", SERVING_QUEUE: "1" })).rejects.toThrow(
    /SERVING_SECRET.*16 characters/,
  );
  await expect(start({ SERVING_MODEL: "", SERVING_TARGET: "tiny" })).rejects.toThrow(/SERVING_MODEL/);
});
