/** The list of what the demo's client sent: made from its requests as they came in, and nothing else passes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Recorded } from "../../demo/recorder.ts";
import { describeSent } from "../../demo/sent.ts";
import { writePromptFolder } from "../../shared/data/prompt-folder.ts";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { MANIFEST_FILE } from "../../shared/protocol/manifest.ts";
import { sentiment } from "../shared/data/task.ts";

const folder = mkdtempSync(join(tmpdir(), "softpost-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const prompts = ["mailbox/prompt-dp", "mailbox/prompt"];
const options = { alpha: 0.5, steps: 10 };

beforeAll(async () => {
  for (const [i, name] of prompts.entries()) {
    const prompt = { prompt: Float32Array.of(1 + i, 2, 3, 4, 5, 6), virtualTokens: 2, dimension: 3 };
    mkdirSync(join(folder, name), { recursive: true });
    await writePromptFolder(join(folder, name), prompt, {
      task: sentiment,
      model: { id: "tiny", digest: "ab".repeat(32), architecture: "gpt2" },
      initialisation: { text: sentiment.init },
      training: { optimizer: "adam", learningRate: 1e-3, steps: 10 + i, batchSize: 4 },
      privacy: null,
    });
  }
});

const file = (prompt: string, name: string) => readFileSync(join(folder, prompt, name));
const manifestOf = (prompt: string) => JSON.parse(file(prompt, MANIFEST_FILE).toString());

const silent: Recorded = { method: "GET", path: "/v1/students", headers: {}, body: Buffer.alloc(0) };

function quote(manifest: unknown): Recorded {
  const body = Buffer.from(JSON.stringify({ manifest, options }));
  return { method: "POST", path: "/v1/quotes", headers: { "content-type": "application/json" }, body };
}

async function submission(parts: Readonly<Record<string, Buffer | string>>): Promise<Recorded> {
  const form = new FormData();
  for (const [name, content] of Object.entries(parts))
    form.append(name, new Blob([new Uint8Array(Buffer.from(content))]));
  const response = new Response(form);
  const headers = { "content-type": response.headers.get("content-type")! };
  return { method: "POST", path: "/v1/transfers", headers, body: Buffer.from(await response.arrayBuffer()) };
}

/** A submission of the first prompt as the client makes it. */
const honest = () => ({
  manifest: JSON.stringify(manifestOf(prompts[0]!)),
  prompt: file(prompts[0]!, WEIGHTS_FILE),
  options: JSON.stringify(options),
});

test("every part is named by the file that it equals, with its size", async () => {
  const requests = [silent, quote(manifestOf(prompts[1]!)), await submission(honest()), silent];
  const weights = file(prompts[0]!, WEIGHTS_FILE).length;
  expect(await describeSent(requests, folder, prompts)).toEqual([
    { request: "GET × 2", what: "nothing", bytes: 0 },
    {
      request: "POST /v1/quotes",
      what: `mailbox/prompt/${MANIFEST_FILE} and options {"alpha":0.5,"steps":10}`,
      bytes: requests[1]!.body.length,
    },
    {
      request: "POST /v1/transfers",
      what: `mailbox/prompt-dp/${MANIFEST_FILE}`,
      bytes: honest().manifest.length,
    },
    { request: "POST /v1/transfers", what: `mailbox/prompt-dp/${WEIGHTS_FILE}`, bytes: weights },
    { request: "POST /v1/transfers", what: 'options {"alpha":0.5,"steps":10}', bytes: honest().options.length },
  ]);
});

function labelling(input: readonly string[]): Recorded {
  const body = Buffer.from(JSON.stringify({ model: "target:abc", input }));
  return { method: "POST", path: "/v1/classify", headers: { "content-type": "application/json" }, body };
}

test("texts to be labelled are those of the test rows, and no others", async () => {
  const row = (text: string) => `${JSON.stringify({ text, label: "a" })}\n`;
  writeFileSync(join(folder, "mailbox", "test.jsonl"), row("one") + row("two"));
  writeFileSync(join(folder, "mailbox", "train.jsonl"), row("private"));
  const requests = [labelling(["one", "two"]), labelling(["two"])];
  expect((await describeSent(requests, folder, prompts)).at(-1)).toEqual({
    request: "POST /v1/classify × 2",
    what: "texts of mailbox/test.jsonl, which the provider sees",
    bytes: requests[0]!.body.length + requests[1]!.body.length,
  });
  const wrong = describeSent([labelling(["one", "private"])], folder, prompts);
  await expect(wrong).rejects.toThrow(/^The client sent a text that is none of its test rows/);
});

test.each([
  {
    what: "a manifest with one more field",
    parts: () => ({ manifest: JSON.stringify({ ...manifestOf(prompts[0]!), note: "x" }) }),
  },
  { what: "weights with one bit more", parts: () => ({ prompt: oneBitOff(file(prompts[0]!, WEIGHTS_FILE)) }) },
  { what: "a part that is none of these", parts: () => ({ rows: '{"text":"a private mail"}' }) },
])("$what ends the demo", async ({ parts }) => {
  const request = await submission({ ...honest(), ...parts() });
  await expect(describeSent([request], folder, prompts)).rejects.toThrow(/^The client sent a /);
});

test("a quote for a manifest that is none of the client's ends the demo", async () => {
  const request = quote({ ...manifestOf(prompts[0]!), task: {} });
  await expect(describeSent([request], folder, prompts)).rejects.toThrow(MANIFEST_FILE);
});

function oneBitOff(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes);
  other[other.length - 1]! ^= 1;
  return other;
}
