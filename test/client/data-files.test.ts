/** Commands on files as people have them. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
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

describe("rows from standard input are gone with the command", () => {
  const main = new URL("../../client/main.ts", import.meta.url).pathname;

  /** A command that reads rows, whose folder for temporary files is its own. */
  function reading(...args: string[]) {
    const folder = temporaryFolder();
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, TMPDIR: folder } });
    const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve(signal ?? code)));
    return { folder, child, ended };
  }
  const kept = (folder: string) => readdirSync(folder).filter((name) => name.startsWith("softpost-input-"));

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("that is stopped by %s while they come", async (signal) => {
    const { folder, child, ended } = reading("init", ...MODEL, "--data", "-");
    child.stdin.write('{"text": "private", "label": "a"}\n');
    await vi.waitFor(() => expect(kept(folder)).toHaveLength(1), 30_000);
    child.kill(signal);
    expect(await ended).toBe(signal);
    expect(kept(folder)).toEqual([]);
  });

  test("that saves its state first", async () => {
    const out = join(temporaryFolder(), "prompt");
    const tuning = [...MODEL, ...TASK, "--prompt-tokens", "2", "--steps", "100000", "--batch-size", "4", "--out", out];
    const { folder, child, ended } = reading("tune", ...tuning, "--train", "-");
    child.stdin.end(readFileSync(fixture("tiny-task/train.jsonl")));
    const state = join(dirname(out), ".prompt.unfinished");
    let err = "";
    child.stderr.on("data", (chunk) => (err += chunk));
    await vi.waitFor(() => expect(err).toMatch(/step/i), 30_000);
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(existsSync(state), err).toBe(true);
    expect(kept(folder)).toEqual([]);
  });
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

test("predict computes a long file in groups, and prints its rows in their order", async () => {
  const prompt = join(temporaryFolder(), "prompt");
  const tuning = [...MODEL, ...TASK, "--prompt-tokens", "2", "--steps", "1", "--batch-size", "4"];
  await json("tune", ...tuning, "--train", fixture("tiny-task/train.jsonl"), "--out", prompt);
  const predict = async (data: string) => {
    const { code, stdout, stderr } = await softpost("predict", ...MODEL, "--prompt", prompt, "--data", data);
    expect(code, stderr).toBe(0);
    const lines = stdout.trim().split("\n");
    return { stderr, labels: lines.map((line) => JSON.parse(line) as { id: string; label: string }) };
  };
  // More than one group has.
  const many = Array.from({ length: 16_500 }, (_, id) => `${id},${id % 3 === 0 ? "bad" : "good"}`);
  const { labels, stderr } = await predict(temporaryFile("many.csv", `id,text\n${many.join("\n")}\n`));
  expect(labels.map(({ id }) => id)).toEqual(many.map((_, id) => String(id)));
  const alone = await predict(temporaryFile("two.csv", "id,text\n0,bad\n1,good\n"));
  for (const { id, label } of labels) expect(label).toBe(alone.labels[Number(id) % 3 === 0 ? 0 : 1]!.label);
  expect(stderr.match(/Needs about/g)).toHaveLength(1);
  const broken = temporaryFile("broken.csv", `id,text\n${many.join("\n")}\n1,good,more\n`);
  const refused = await softpost("predict", ...MODEL, "--prompt", prompt, "--data", broken);
  // What is wrong at the end is found before anything is printed.
  expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/broken\.csv:16502/) });
});

test("a corpus and audited rows may be tables, compressed ones too", async () => {
  const folder = temporaryFolder();
  const csv = temporaryFile("tickets.csv.gz", gzipSync(table("id;body;class", ";")));
  const config = ["--config", fixture("tiny-gpt2/config.json"), "--steps", "1", "--batch-size", "2"];
  const pretrain = (name: string, ...corpus: string[]) =>
    json("pretrain", ...config, "--max-length", "8", "--corpus", ...corpus, "--out", join(folder, name));
  const texts = Array.from({ length: 400 }, (_, i) => `${i} ${rows[i % rows.length]!.text}`);
  const table400 = ["body", ...texts.map(quoted)].join("\n");
  const corpus = temporaryFile("corpus.csv.gz", gzipSync(table400));
  const lines = temporaryFile("corpus.jsonl", texts.map((text) => JSON.stringify({ text })).join("\n"));
  const { tokens } = await pretrain("table", corpus, "--text-column", "body");
  expect(tokens).toBe((await pretrain("lines", lines)).tokens);
  const few = await pretrain("few", corpus, "--text-column", "body", "--limit", "200");
  expect(few.tokens).toBeLessThan(tokens);
  const columns = ["--text-column", "body", "--label-column", "class"];
  const audit = ["audit", "lira", ...MODEL, ...TASK, "--prompt-tokens", "2", "--steps", "1", "--shadows", "4"];
  expect((await json(...audit, "--train", csv, ...columns)).examples).toBe(rows.length);
});

test("a table without the column says which it has, and what to type", async () => {
  const csv = temporaryFile("tickets.csv", table("id,body,class", ","));
  const { code, stderr } = await softpost("evaluate", ...MODEL, ...TASK, "--data", csv);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /Has no column "text"; its columns are "id", "body", "class"\. --text-column names the one to take/,
  );
});
