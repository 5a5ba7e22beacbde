/** A task whose answer is text, through a whole provider over HTTP. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { client, type Served, serve } from "./served.ts";

/** On a machine that has much else to do. */
const SLOW = 480_000;
const TARGET = fixture("tiny-gpt2");
const PUBLIC = fixture("tiny-task/test.jsonl");
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

let folder: string;
let provider: Served;
const at = (name: string) => join(folder, name);

async function local(...args: string[]): Promise<void> {
  const { code, stderr } = await softpost(...args);
  expect(code, stderr).toBe(0);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-service-generation-"));
  writeFileSync(at("task.json"), JSON.stringify(TASK));
  const rows = ["good", "bad", "dull"].map((target) => JSON.stringify({ text: `a ${target} film`, target }));
  writeFileSync(at("rows.jsonl"), rows.join("\n"));
  const few = ["--steps", "3", "--max-length", "12", "--batch-size", "2"];
  await local(
    "distill",
    "--target",
    TARGET,
    "--public",
    fixture("tiny-task/train.jsonl"),
    ...few,
    "--out",
    at("student"),
  );
  const data = ["--task", at("task.json"), "--train", at("rows.jsonl")];
  const tuned = ["--steps", "3", "--prompt-tokens", "4", "--out", at("prompt")];
  await local("tune", "--model", at("student"), ...data, ...tuned);
  provider = await serve(at("provider"), "--target", TARGET, "--student", at("student"), "--public", PUBLIC);
}, SLOW);

afterAll(async () => {
  await provider?.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

test(
  "is quoted, submitted, transferred by the student's answers, downloaded, and answers there",
  async () => {
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await client(["--json", ...args], { url: provider.url, key: provider.key });
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout);
    };
    const { publicSets } = await run("students");
    const transfer = ["--prompt", at("prompt"), "--dataset", "set-1", "--public", publicSets[0].id, "--steps", "5"];
    const quote = await run("quote", ...transfer);
    // Three passes of every step, and of every public text the answer and its states.
    const length = TASK.maxLength + TASK.maxNewTokens;
    const examples = publicSets[0].examples;
    const steps = 3 * 5 * (16 * length + 4);
    expect(quote.model.tokens).toBe(steps + 2 * examples * length);
    const { id } = await run("submit", ...transfer, "--no-privacy");
    expect(await run("wait", id)).toMatchObject({ state: "succeeded" });
    await run("download", id, "--out", at("moved"));
    const { manifest } = await readPromptFolder(at("moved"));
    expect(manifest).toMatchObject({ task: TASK, transfer: { answers: "greedy" } });

    const { code, stdout } = await softpost("predict", "--model", TARGET, "--prompt", at("moved"), "--data", PUBLIC);
    expect(code).toBe(0);
    const answers = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(answers).toHaveLength(readFileSync(PUBLIC, "utf8").trim().split("\n").length);
    for (const answer of answers) expect(answer).toMatchObject({ finish: expect.stringMatching(/^(stop|length)$/) });
  },
  SLOW,
);
