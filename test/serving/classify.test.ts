/** POST /v1/classify against `softpost predict` and PEFT (test/fixtures/make_fixtures.py). */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { parsePromptTensor } from "../../shared/prompt/adapter.ts";
import { parseTask } from "../../shared/protocol/task.ts";
import { fixture, goldenTask } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { type Provider, startProvider } from "../service/provider.ts";
import { type Ledger, type PromptRef, type Serving, startLedger, startServing, storePrompt } from "./process.ts";

const MODEL = fixture("tiny-gpt2");
const task = parseTask(readFileSync(fixture("tiny-task/task.json"), "utf8"), "task.json");
const rows: { text: string }[] = readFileSync(fixture("tiny-task/test.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const input = rows.map(({ text }) => text);

let provider: Provider;
let ledger: Ledger;
let serving: Serving;
let prompt: PromptRef;
let other: PromptRef;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  ledger = await startLedger();
  const bytes = new Uint8Array(readFileSync(fixture("tiny-prompt/adapter_model.safetensors")));
  const { prompt: data, virtualTokens, dimension } = parsePromptTensor(bytes, "tiny-prompt");
  const value = { shape: [virtualTokens, dimension], data };
  prompt = await storePrompt(provider, MODEL, "labels", value, task);
  const turned = { ...value, data: data.map((x) => -2 * x) };
  other = await storePrompt(provider, MODEL, "other", turned, { ...task, template: "It was {text}:" });
  serving = await startServing({ provider, ledger, model: MODEL, state: join(provider.folder, "state") });
});
afterAll(async () => {
  await serving.stop();
  await ledger.close();
  await provider.close();
});

interface Row {
  readonly index: number;
  readonly label: string;
  readonly probabilities: Record<string, number>;
}

test("its figures are those of predict and of PEFT, alone and among texts of another prompt", async () => {
  const predicted = await softpost(
    "--json",
    "predict",
    "--model",
    MODEL,
    "--prompt",
    fixture("tiny-prompt"),
    "--data",
    fixture("tiny-task/test.jsonl"),
    "--task",
    fixture("tiny-task/task.json"),
  );
  const wanted: Row[] = predicted.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const answers = await Promise.all([
    serving.json("classify", { model: "m", input }, { prompt }),
    ...input.flatMap((text) => [
      serving.json("classify", { model: "m", input: text }, { prompt }),
      serving.json("classify", { model: "m", input: text }, { prompt: other }),
    ]),
  ]);
  const [all, ...single] = answers.map(({ body }) => body.data as Row[]);
  expect(all!.map(({ index }) => index)).toEqual(input.map((_, i) => i));
  const own = single.filter((_, i) => i % 2 === 0).map(([row]) => row!);
  for (const [i, { label, probabilities }] of wanted.entries()) {
    for (const row of [all![i]!, own[i]!]) {
      expect(row.label).toBe(label);
      for (const [name, p] of Object.entries(probabilities)) {
        expect(Math.abs(row.probabilities[name]! - p)).toBeLessThan(1e-6);
      }
      const golden = goldenTask.evaluation.test.prompted.probabilities[i]!;
      for (const [k, p] of Object.values(row.probabilities).entries()) expect(p).toBeCloseTo(golden[k]!, 5);
    }
  }
  // The other prompt is another one.
  const others = single.filter((_, i) => i % 2 === 1).map(([row]) => row!.probabilities.positive!);
  expect(others.some((p, i) => Math.abs(p - wanted[i]!.probabilities.positive!) > 1e-3)).toBe(true);
});

test("its usage is the texts' tokens, and is reported", async () => {
  const { body, request } = await serving.json("classify", { model: "m", input: input.slice(0, 2) }, { prompt });
  expect(body).toMatchObject({ object: "list", model: "tiny:prompt", usage: { completion_tokens: 0 } });
  expect(body.usage.prompt_tokens).toBeGreaterThan(2);
  await vi.waitFor(() =>
    expect(ledger.recordOf(request)).toMatchObject({ promptTokens: body.usage.prompt_tokens, completionTokens: 0 }),
  );
});

test("a target by itself labels texts for a task that the request brings, as transformers does", async () => {
  const { status, body } = await serving.json("classify", { model: "m", input, task });
  expect(status).toBe(200);
  for (const [i, golden] of goldenTask.evaluation.test.zeroShot.probabilities.entries()) {
    for (const [k, p] of Object.values((body.data as Row[])[i]!.probabilities).entries()) {
      expect(p).toBeCloseTo(golden[k]!, 5);
    }
  }
});

test("a target by itself has no labels without a task, and a task whose answer is text neither", async () => {
  const bare = await serving.json("classify", { model: "m", input: "a" });
  expect(bare).toMatchObject({ status: 400, body: { error: { param: "model" } } });
  const generation = { ...task, kind: "generation", labels: undefined, target: "{target}", stop: [], maxNewTokens: 4 };
  const value = { shape: [1, 32], data: new Float32Array(32) };
  const text = await storePrompt(provider, MODEL, "text", value, parseTask(JSON.stringify(generation), "t"));
  const { status, body } = await serving.json("classify", { model: "m", input: "a" }, { prompt: text });
  expect([status, body.error.message]).toEqual([400, expect.stringContaining("is a generation")]);
});

test("a chat needs a template", async () => {
  const messages = [{ role: "user", content: "a" }];
  const { status, body } = await serving.json("chat/completions", { model: "m", messages }, { prompt });
  expect([status, body.error.message]).toEqual([400, expect.stringContaining("no chat template")]);
});

test("a tokenizer that closes texts is read before its closing token, here as by predict", async () => {
  const model = join(provider.folder, "closing");
  cpSync(MODEL, model, { recursive: true });
  const path = join(model, "tokenizer.json");
  const definition = JSON.parse(readFileSync(path, "utf8"));
  const end = "<|endoftext|>";
  const processor = {
    type: "TemplateProcessing",
    single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: end, type_id: 0 } }],
    pair: [],
    special_tokens: { [end]: { id: end, ids: [0], tokens: [end] } },
  };
  writeFileSync(path, JSON.stringify({ ...definition, post_processor: processor }));
  const closing = await startServing({ provider, ledger, model, state: join(provider.folder, "closing-state") });
  const { body } = await closing.json("classify", { model: "m", input, task });
  await closing.stop();
  const evaluated = await softpost(
    "--json",
    "evaluate",
    "--model",
    model,
    "--task",
    fixture("tiny-task/task.json"),
    "--data",
    fixture("tiny-task/test.jsonl"),
  );
  expect(JSON.parse(evaluated.stdout).loss).toBeCloseTo(goldenTask.evaluation.test.zeroShot.loss, 5);
  for (const [i, golden] of goldenTask.evaluation.test.zeroShot.probabilities.entries()) {
    for (const [k, p] of Object.values((body.data as Row[])[i]!.probabilities).entries()) {
      expect(p).toBeCloseTo(golden[k]!, 5);
    }
  }
});
