/** Commands on files as people have them. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { fixture } from "../helpers/fixtures.ts";
import { startHub } from "../helpers/hub.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const MODEL = ["--model", fixture("tiny-gpt2")];
const TASK = ["--task", fixture("tiny-task/task.json")];

const rows = readFileSync(fixture("tiny-task/train.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as { text: string; label: string | number });
const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
const table = (header: string, delimiter: string) =>
  `${[header, ...rows.map(({ text, label }, i) => [i, quoted(text), label].join(delimiter))].join("\n")}\n`;

async function json(...args: string[]) {
  const { code, stdout, stderr } = await softpost("--json", ...args);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

test("a prompt tuned on a table with columns of other names is that of the same rows as JSONL", async () => {
  const folder = temporaryFolder();
  const tuning = [...MODEL, ...TASK, "--prompt-tokens", "2", "--steps", "3", "--batch-size", "4"];
  const plain = join(folder, "plain");
  await json("tune", ...tuning, "--train", fixture("tiny-task/train.jsonl"), "--out", plain);
  const csv = temporaryFile("tickets.csv", table("id;body;class", ";"));
  const columns = ["--text-column", "body", "--label-column", "class"];
  const own = join(folder, "own");
  const { accuracy } = await json("tune", ...tuning, ...columns, "--train", csv, "--eval", csv, "--out", own);
  expect(accuracy).toEqual(expect.any(Number));
  const weights = (of: string) => readFileSync(join(of, "adapter_model.safetensors"));
  expect(weights(own).equals(weights(plain))).toBe(true);
  const evaluated = await json("evaluate", ...MODEL, "--prompt", own, "--data", csv, ...columns);
  expect(evaluated.accuracy).toBe(accuracy);
});

test("rows come from standard input too, and a prediction keeps the table's other columns", async () => {
  const folder = temporaryFolder();
  const prompt = join(folder, "prompt");
  const tuning = [...MODEL, ...TASK, "--prompt-tokens", "2", "--steps", "2", "--batch-size", "4"];
  await json("tune", ...tuning, "--train", fixture("tiny-task/train.jsonl"), "--out", prompt);
  const main = new URL("../../client/main.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [
    main,
    "predict",
    ...MODEL,
    "--prompt",
    prompt,
    "--data",
    "-",
    "--text-column",
    "body",
  ]);
  child.stdin.end(table("id,body,class", ","));
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code, err).toBe(0);
  const predicted = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(predicted).toHaveLength(rows.length);
  expect(predicted[2]).toMatchObject({ id: "2", class: String(rows[2]!.label), label: expect.any(String) });
  expect(predicted[2]).not.toHaveProperty("body");
});

test("rows come from a data set on the hub too, as many as are wanted", async () => {
  const jsonl = readFileSync(fixture("tiny-task/train.jsonl"));
  const { hub } = await startHub(() => ({ "train.jsonl": jsonl }), "datasets");
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", hub.cache);
  const evaluate = (...data: string[]) => json("evaluate", ...MODEL, ...TASK, "--data", ...data);
  expect(await evaluate("org/tiny:train")).toEqual(await evaluate(fixture("tiny-task/train.jsonl")));
  const first = temporaryFile("first.jsonl", jsonl.toString().split("\n").slice(0, 5).join("\n"));
  expect(await evaluate("org/tiny:train", "--limit", "5")).toEqual(await evaluate(first));
  const distill = ["distill", "--target", fixture("tiny-gpt2"), "--layers", "0", "--steps", "1", "--max-length", "8"];
  const { tokens } = await json(
    ...distill,
    "--public",
    "org/tiny:train",
    "--limit",
    "5",
    "--out",
    join(temporaryFolder(), "s"),
  );
  const { tokens: wanted } = await json(...distill, "--public", first, "--out", join(temporaryFolder(), "s"));
  expect(tokens).toBe(wanted);
});

test("a table without the column says which it has, and what to type", async () => {
  const csv = temporaryFile("tickets.csv", table("id,body,class", ","));
  const { code, stderr } = await softpost("evaluate", ...MODEL, ...TASK, "--data", csv);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /Has no column "text"; its columns are "id", "body", "class"\. --text-column names the one to take/,
  );
});
