/** Tasks whose answer is text, through the commands, on a tiny random model. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../shared/graph/engine.ts";
import { openModel } from "../../shared/operations/open-model.ts";
import { predictRows } from "../../shared/operations/predict.ts";
import { parseTask } from "../../shared/protocol/task.ts";
import { generate } from "../../shared/training/generate.ts";
import { fixture } from "../helpers/fixtures.ts";
import { brokenModel } from "../helpers/not-numbers.ts";
import { rejection } from "../helpers/problem.ts";
import { softpost } from "../helpers/softpost.ts";

const folder = mkdtempSync(join(tmpdir(), "softpost-generation-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const MODEL = fixture("tiny-gpt2");
const TASK = {
  name: "echo",
  kind: "generation",
  template: "{text} The film is",
  target: " {target}",
  stop: ["."],
  init: "Name the film.",
  maxLength: 40,
  maxNewTokens: 6,
};
const ROWS = [
  { text: "a very good film", target: "good" },
  { text: "bad acting and a dull story", target: "bad" },
  { text: "we liked the end", target: "so so" },
  { text: "the best", target: "best" },
];

function write(name: string, lines: readonly object[]): string {
  writeFileSync(at(name), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return at(name);
}

async function ok(...args: string[]) {
  const { code, stdout, stderr } = await softpost("--json", ...args);
  expect(code, stderr).toBe(0);
  return stdout;
}

async function refused(...args: string[]): Promise<string> {
  const { code, stderr } = await softpost("--json", ...args);
  expect(code, stderr).not.toBe(0);
  expect(stderr).not.toMatch(/bug in softpost/);
  return stderr;
}

const task = (change: object = {}) => write(`task-${JSON.stringify(change).length}.json`, [{ ...TASK, ...change }]);
const tune = (name: string, ...flags: string[]) =>
  [
    "tune",
    "--model",
    MODEL,
    "--task",
    task(),
    "--train",
    at("rows.jsonl"),
    "--prompt-tokens",
    "4",
    "--out",
    at(name),
  ].concat(flags);

beforeAll(() => {
  write("rows.jsonl", ROWS);
});

test("tuning lowers the loss on the targets, and evaluation has the figures of answers", async () => {
  const evaluate = ["evaluate", "--model", MODEL, "--task", task(), "--data", at("rows.jsonl")];
  const before = JSON.parse(await ok(...evaluate));
  const flags = ["--steps", "60", "--batch-size", "4", "--lr", "0.1", "--eval", at("rows.jsonl")];
  const tuned = JSON.parse(await ok(...tune("prompt", ...flags)));
  const after = JSON.parse(await ok(...evaluate, "--prompt", at("prompt")));
  expect(Object.keys(after)).toEqual(["examples", "exactMatch", "standardError", "f1", "loss", "tokens"]);
  expect(after.loss).toBeLessThan(0.8 * before.loss);
  expect(tuned).toMatchObject({ accuracy: null, exactMatch: after.exactMatch, f1: after.f1, privacy: null });
  const manifest = JSON.parse(readFileSync(join(at("prompt"), "softpost.json"), "utf8"));
  expect(manifest.task).toEqual(TASK);
});

test("predict writes an answer a row, in their order; export asks a server for the same", async () => {
  const use = ["--model", MODEL, "--prompt", at("prompt"), "--data", at("rows.jsonl")];
  const rows = (await ok("predict", ...use))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows).toHaveLength(ROWS.length);
  for (const row of rows) {
    expect(Object.keys(row)).toEqual(["target", "text", "ids", "finish"]);
    expect(row.text).not.toContain(".");
    expect(row.ids.length).toBeLessThanOrEqual(TASK.maxNewTokens);
  }
  const out = at("requests.jsonl");
  await ok("export", ...use, "--format", "vllm", "--out", out);
  const { prompt_embeds: _, ...request } = JSON.parse(readFileSync(out, "utf8").split("\n")[0]!);
  expect(request).toEqual({ model: MODEL, max_tokens: TASK.maxNewTokens, temperature: 0, stop: TASK.stop });
});

test("a private run makes a prompt with a guarantee, and a resumed one goes on", async () => {
  const flags = ["--steps", "4", "--batch-size", "2", "--epsilon", "8", "--delta", "0.1"];
  const { privacy } = JSON.parse(await ok(...tune("private", ...flags)));
  expect(privacy).toMatchObject({ records: ROWS.length, steps: 4 });
});

describe("a transfer", () => {
  test.each(["greedy", "sampled", "first"])("at %s answers makes a prompt for the target", async (answers) => {
    const args = ["--target", MODEL, "--student", MODEL, "--prompt", at("prompt"), "--public", at("rows.jsonl")];
    const out = at(`moved-${answers}`);
    await ok(
      "transfer",
      ...args,
      "--answers",
      answers,
      "--alpha",
      "0",
      "--steps",
      "4",
      "--batch-size",
      "2",
      "--out",
      out,
    );
    const { transfer, task: own } = JSON.parse(readFileSync(join(out, "softpost.json"), "utf8"));
    expect(transfer).toMatchObject({ answers, alpha: 0, publicSet: { examples: ROWS.length } });
    expect(own).toEqual(TASK);
  });

  test("takes one public set: several are ranked by labels", async () => {
    const args = ["--target", MODEL, "--student", MODEL, "--prompt", at("prompt"), "--out", at("none")];
    const told = await refused("transfer", ...args, "--public", at("rows.jsonl"), at("rows.jsonl"));
    expect(told).toMatch(/is a generation, whose answer is text/);
  });

  test("of the target's own prompt starts where it ends: the loss is that of another prompt", async () => {
    const args = ["--target", MODEL, "--student", MODEL, "--prompt", at("prompt"), "--public", at("rows.jsonl")];
    const run = async (steps: string, out: string) =>
      JSON.parse(await ok("transfer", ...args, "--alpha", "0.5", "--lr", "0.05", "--steps", steps, "--out", at(out)))
        .loss;
    expect(await run("120", "long")).toBeLessThan(await run("2", "short"));
  });
});

describe("bad input is refused by file and line", () => {
  const evaluate = (data: string, of = task()) => ["evaluate", "--model", MODEL, "--task", of, "--data", data];

  test.each<[string, object, RegExp]>([
    ["missing", { text: "a" }, /bad\.jsonl:2.*Has no "target"/],
    ["no string", { text: "a", target: 7 }, /bad\.jsonl:2.*"target" is no string/],
    ["empty", { text: "a", target: " " }, /bad\.jsonl:2.*"target" is empty/],
    [
      "longer than the room",
      { text: "a", target: "very good ".repeat(20) },
      /bad\.jsonl:2.*target has no room.*maxLength \(40\)/,
    ],
  ])("a target that is %s", async (_, row, message) => {
    expect(await refused(...evaluate(write("bad.jsonl", [ROWS[0]!, row])))).toMatch(message);
  });

  test.each<[string, object, RegExp]>([
    ["target without {target}", { target: " x" }, /#\/target.*\{target\} exactly once/],
    ["target with {target} twice", { target: "{target} {target}" }, /#\/target.*\{target\} exactly once/],
    ["empty stop", { stop: [""] }, /#\/stop\/0.*empty/],
    ["kind that nobody knows", { kind: "ranking" }, /#\/kind.*no kind of task that this softpost knows/],
    ["mask", { template: "{text} {mask}" }, /#\/template.*\{mask\}/],
  ])("a task with a %s", async (_, change, message) => {
    expect(await refused(...evaluate(at("rows.jsonl"), task(change)))).toMatch(message);
  });

  test("answers that the model has no positions for", async () => {
    expect(await refused(...evaluate(at("rows.jsonl"), task({ maxNewTokens: 30 })))).toMatch(
      /make 70, but .* has 64 positions/,
    );
  });

  test("a masked model", async () => {
    const masked = new URL("../shared/models/golden/families/roberta", import.meta.url).pathname;
    const args = evaluate(at("rows.jsonl"));
    args[2] = masked;
    expect(await refused(...args)).toMatch(/masked|tokenizer/);
  });

  test("a prompt of the other kind of task", async () => {
    const classes = fixture("tiny-task/task.json");
    const labels = fixture("tiny-task/train.jsonl");
    const prompt = ["--prompt", at("prompt")];
    expect(await refused("evaluate", "--model", MODEL, "--task", classes, "--data", labels, ...prompt)).toMatch(
      /softpost\.json#\/task\/kind.*tuned for a generation.*is a classification/,
    );
    const few = ["--steps", "1", "--prompt-tokens", "4", "--out", at("labels")];
    await ok("tune", "--model", MODEL, "--task", classes, "--train", labels, ...few);
    expect(await refused(...evaluate(at("rows.jsonl")), "--prompt", at("labels"))).toMatch(
      /tuned for a classification.*is a generation/,
    );
  });
});

test("scores that aren't numbers are refused, whatever they are wanted for", async () => {
  const engine = new Engine({ threads: 1 });
  // Of the embeddings, one token's: all others have scores.
  for (const folder of [await brokenModel(), await brokenModel("transformer.wte.weight")]) {
    const use = ["--model", folder, "--task", task(), "--data", at("rows.jsonl")];
    expect(await refused("evaluate", ...use)).toMatch(/scores .* NaN or infinity.*take fp32/);
    const model = await openModel(folder, { id: "broken", digest: "00".repeat(32) });
    const answering = { model, task: parseTask(JSON.stringify(TASK), "task.json"), prompt: undefined };
    const texts = [{ ids: Int32Array.of(5, 6), readAt: 1 }];
    expect(await rejection(predictRows(answering, texts, engine, {}))).toMatch(/NaN or infinity/);
    const options = { decode: async () => "", stop: [], endIds: new Set<number>(), maxNewTokens: 3 };
    const drawing = generate({ engine, model: model.model, options, sampling: { seed: 1 } }, [texts[0]!.ids], "a", {});
    expect(await rejection(drawing)).toMatch(/NaN or infinity/);
  }
  await engine.close();
});
