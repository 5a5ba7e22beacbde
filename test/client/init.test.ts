import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const MODEL = ["--model", fixture("tiny-gpt2")];
const table = (rows: readonly (readonly [string, string])[]) =>
  temporaryFile(
    "tickets.csv",
    `\ufeffid,body,queue\r\n${rows.map(([text, queue], i) => `${i},"${text.replaceAll('"', '""')}",${queue}`).join("\r\n")}\r\n`,
  );
const columns = ["--text-column", "body", "--label-column", "queue"];
const tickets = () =>
  table([
    ...Array.from({ length: 30 }, (_, i) => [`größer "Brief" ${i}\nzweite Zeile`, "good"] as const),
    ...Array.from({ length: 24 }, (_, i) => [`a bad film ${i}`, "bad"] as const),
  ]);

test("a table becomes a task that can be tuned and used, with umlauts, line breaks in fields and a BOM", async () => {
  const rows = tickets();
  const folder = temporaryFolder();
  const task = join(folder, "task.json");
  const init = await softpost("init", ...MODEL, "--data", rows, ...columns, "--out", task, "--name", "tickets");
  expect(init.code, init.stderr).toBe(0);
  expect(init.stdout).toMatch(/Data: 54 rows \(good 30, bad 24\)/);
  expect(init.stdout).toMatch(/" good"/);
  expect(init.stdout).toMatch(/Next: softpost tune .*--epsilon 8/);
  expect(JSON.parse(readFileSync(task, "utf8"))).toMatchObject({
    name: "tickets",
    template: "{text}\nLabel:",
    labels: [
      { name: "bad", words: [" bad"] },
      { name: "good", words: [" good"] },
    ],
  });
  const prompt = join(folder, "prompt");
  const fit = ["--prompt-tokens", "2", "--steps", "2", "--out", prompt];
  const tune = await softpost("tune", ...MODEL, "--task", task, "--train", rows, ...columns, ...fit);
  expect(tune.code, tune.stderr).toBe(0);
  const predict = await softpost("predict", ...MODEL, "--prompt", prompt, "--data", rows, "--text-column", "body");
  expect(predict.code, predict.stderr).toBe(0);
  expect(predict.stdout.trim().split("\n")).toHaveLength(54);
});

test("numbers need words, and may have several", async () => {
  const out = ["--out", join(temporaryFolder(), "task.json")];
  const rows = table([
    ["a", "0"],
    ["b", "1"],
    ["c", "1"],
  ]);
  const refused = await softpost("init", ...MODEL, "--data", rows, ...columns, ...out);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/labels 0, 1 are numbers.*--word 0=… --word 1=…/);
  expect(existsSync(out[1]!)).toBe(false);
  const words = ["--word", "0=bad", "--word", "1=good", "--word", "1=great"];
  const template = ["--template", "{text}\\nIt was"];
  const { code, stderr, stdout } = await softpost(
    "--json",
    "init",
    ...MODEL,
    "--data",
    rows,
    ...columns,
    ...out,
    ...words,
    ...template,
  );
  expect(code, stderr).toBe(0);
  const { task, labels } = JSON.parse(stdout);
  expect(task).toMatchObject({
    template: "{text}\nIt was",
    labels: [{ words: [" bad"] }, { words: [" good", " great"] }],
  });
  expect(labels).toEqual({ "0": 1, "1": 2 });
  const again = await softpost("init", ...MODEL, "--data", rows, ...columns, ...out, ...words);
  expect(again.stderr).toMatch(/task\.json is there already; --out names another/);
});

test.each([
  [
    "one label only",
    [
      ["a", "x"],
      ["b", "x"],
    ],
    [],
    /All rows have the label "x"/,
  ],
  [
    "a word for a label that isn't there",
    [
      ["a", "x"],
      ["b", "y"],
    ],
    ["--word", "z=zebra"],
    /No row has the label "z"; there are "x", "y"/,
  ],
  [
    "a word without a label",
    [
      ["a", "x"],
      ["b", "y"],
    ],
    ["--word", "zebra"],
    /label and its word/,
  ],
] as const)("%s is refused, and nothing is written", async (_, rows, more, message) => {
  const out = join(temporaryFolder(), "task.json");
  const { code, stderr } = await softpost("init", ...MODEL, "--data", table(rows), ...columns, "--out", out, ...more);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
  expect(existsSync(out)).toBe(false);
});

test("rare classes and long texts are said", async () => {
  const rows = table([...Array.from({ length: 60 }, () => ["word ".repeat(80), "good"] as const), ["a", "bad"]]);
  const out = ["--out", join(temporaryFolder(), "task.json")];
  const { code, stdout, stderr } = await softpost("init", ...MODEL, "--data", rows, ...columns, ...out);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/Few rows: bad has fewer than 20/);
  expect(stdout).toMatch(/Unbalanced: the largest class has 60 times/);
  expect(stdout).toMatch(/60 texts of 61 .* will lose their end/);
});
