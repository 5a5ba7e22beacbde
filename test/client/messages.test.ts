/** What people who had never seen softpost stumbled over: each is answered in their words, with what it should be. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { proposedDelta, scheduleFor } from "../../shared/operations/tune-defaults.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost, softpostProcess } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const MODEL = fixture("tiny-gpt2");
const TASK = fixture("tiny-task/task.json");
const TRAIN = fixture("tiny-task/train.jsonl");
const TEST = fixture("tiny-task/test.jsonl");
const tune = (...args: string[]) => softpost("tune", "--model", MODEL, "--prompt-tokens", "2", ...args);
const few = ["--steps", "2", "--batch-size", "4"];

afterEach(() => vi.unstubAllEnvs());

describe("what a prompt guarantees", () => {
  test("is said at the end of a tuning, also that it is nothing", async () => {
    const { stdout } = await tune("--task", TASK, "--train", TRAIN, ...few, "--out", join(temporaryFolder(), "p"));
    expect(stdout).toMatch(
      /NOT PRIVATE: tuned without --epsilon, this prompt guarantees nothing.*Don't send it\.\nNext: softpost evaluate/,
    );
  });

  test("of all runs together is said beside that of the newest, and a resumed run isn't charged again", async () => {
    const folder = temporaryFolder();
    vi.stubEnv("SOFTPOST_HOME", join(folder, "home"));
    const run = (name: string) => [
      "--task",
      TASK,
      "--train",
      TRAIN,
      ...few,
      "--epsilon",
      "8",
      "--out",
      join(folder, name),
    ];
    const first = await tune(...run("a"));
    expect(first.stderr).toMatch(
      /Privacy: ε 8 at δ 0\.001 for one row.*\n {2}--delta: the largest power of ten that is at most 1\/\(10 × 12\)/,
    );
    expect(first.stderr).toMatch(/This is the only private run on these rows so far: ε 8 at δ 0\.001/);
    expect(first.stdout).toMatch(
      /Private: ε 8 at δ 0\.001 for one row .*\nBefore you pay: .*--check FILE.*\nNext: softpost submit --prompt .*a --dataset NAME/,
    );
    const args = ["tune", "--model", MODEL, "--prompt-tokens", "2", ...run("b")];
    const stopped = await softpostProcess(args, 0, { SOFTPOST_HOME: join(folder, "home") });
    expect(stopped.code, stopped.stderr).toBe(130);
    expect(stopped.stderr).toMatch(
      /Charged to the ledger of this data\. The 2 private runs on these rows together: ε 1\d/,
    );
    const resumed = await softpost(...args, "--resume");
    expect(resumed.stderr).toMatch(/Nothing more was charged: this run goes on\. The 2 private runs/);
    expect(resumed.stderr).not.toMatch(/Charged to/);
    expect(resumed.stdout).toMatch(
      /Private: ε 8 at .*\n {2}The 2 private runs on these rows together: ε 1[\d.]+ .* That is what counts/,
    );
    const ledger = await softpost("privacy", "ledger");
    expect(ledger.stdout).toMatch(
      /^Data set [0-9a-f]{32}: 2 runs, together ε 1[\d.]+ at δ 0\.001 for one row\n.*when.*task.*out/,
    );
    expect(ledger.stdout).toMatch(/ {2}8 +tiny +.*tiny-gpt2 +.*\/a +2 steps, q 0\.3333, σ [\d.]{5,6}, one row\n/);
    const explained = await softpost("privacy", "explain", join(folder, "a"));
    expect(explained.stdout).toMatch(/finds at most +blind guessing\n +0\.1 % +[\d.]+ % +0\.1 %/);
  });

  test("an empty ledger has spent nothing", async () => {
    vi.stubEnv("SOFTPOST_HOME", temporaryFolder());
    const { stdout } = await softpost("privacy", "ledger", "--data", TRAIN);
    expect(stdout).toMatch(/^Data set [0-9a-f]{32}: no private run was charged, so nothing is spent\.\n$/);
  });
});

describe("an accuracy", () => {
  test("stands beside its baselines, with a table of the labels", async () => {
    const prompt = ["--prompt", fixture("tiny-prompt"), "--task", TASK];
    const { stdout } = await softpost("evaluate", "--model", MODEL, ...prompt, "--data", TEST);
    expect(stdout).toMatch(/^Accuracy [\d.]+ % ± [\d.]+ % on 8 rows, loss/);
    expect(stdout).toMatch(/\n {2}without a prompt +[\d.]+ %\n {2}always "negative", the largest class +50\.0 %\n/);
    expect(stdout).toMatch(/\n {2}label +rows +found +right when named\n {2}negative +4/);
  });

  test("of a prompt that names one class only comes with a warning", async () => {
    const rows = temporaryFile("one.jsonl", `${JSON.stringify({ text: "Not good at all", label: "negative" })}\n`);
    const out = join(temporaryFolder(), "p");
    const { stdout } = await tune("--task", TASK, "--train", TRAIN, ...few, "--eval", rows, "--out", out);
    expect(stdout).toMatch(/WARNING: every row was given the label "(negative|positive)"\. That is no classifier/);
    const evaluated = await softpost("evaluate", "--model", MODEL, "--prompt", out, "--data", TEST);
    expect(evaluated.stdout).toMatch(/^Accuracy/);
  });
});

describe("the schedule of a tuning", () => {
  test.each([
    [300, false, { batchSize: 32, steps: 200, learningRate: 3e-3, averagedSteps: 66 }],
    [3000, false, { batchSize: 32, steps: 600, learningRate: 3e-3, averagedSteps: 100 }],
    [30_000, false, { batchSize: 32, steps: 600, learningRate: 3e-3, averagedSteps: 100 }],
    [300, true, { batchSize: 100, steps: 150, learningRate: 1e-2, averagedSteps: 50 }],
    [3000, true, { batchSize: 256, steps: 150, learningRate: 1e-2, averagedSteps: 50 }],
    [30_000, true, { batchSize: 256, steps: 150, learningRate: 1e-2, averagedSteps: 50 }],
    [1, true, { batchSize: 1, steps: 150, learningRate: 1e-2, averagedSteps: 50 }],
  ])("for %i rows, private: %s", (rows, isPrivate, schedule) => {
    expect(scheduleFor(rows, isPrivate, {})).toEqual(schedule);
  });

  test("is told, with what was chosen; what is given is kept", async () => {
    const { stderr } = await tune("--task", TASK, "--train", TRAIN, ...few, "--out", join(temporaryFolder(), "p"));
    expect(stderr).toMatch(/Data: 12 rows \(negative 6, positive 6\)/);
    expect(stderr).toMatch(
      /Settings: 2 steps of 4 rows \(0\.667 passes of 3 steps\), learning rate 0\.003\n {2}--lr, --average: chosen for 12 rows without privacy/,
    );
    expect(scheduleFor(300, true, { epochs: 3, batchSize: 50 })).toMatchObject({
      batchSize: 50,
      steps: 18,
      averagedSteps: 6,
    });
  });

  test.each([
    [12, 1e-3],
    [100, 1e-3],
    [300, 1e-4],
    [1000, 1e-4],
    [3000, 1e-5],
    [30_000, 1e-6],
  ])("of %i rows has δ %d", (rows, delta) => {
    expect(proposedDelta(rows)).toBe(delta);
  });
});

const original = JSON.parse(readFileSync(TASK, "utf8"));

describe("a task file", () => {
  const [negative, positive] = original.labels;
  test.each<[string, object, RegExp]>([
    ["without init", { init: undefined }, /#\/init: Is missing: the instruction .*Required/],
    ["without labels", { labels: undefined }, /#\/labels: Is missing: the answers, such as/],
    ["without a template", { template: undefined }, /#\/template: Is missing: how a text is put to the model/],
    ["with double braces", { template: "{{text}} It was" }, /Has double braces.*one pair: "\{text\} It was"/],
    ["with another placeholder", { template: "{sentence} It was" }, /Has "\{sentence\}" where .*: "\{text\} It was"/],
    ["without a placeholder", { template: "It was" }, /Lacks the placeholder \{text\}.*: "\{text\}\\nIt was"/],
    [
      "with labels that are strings",
      { labels: ["ham", "spam"] },
      /labels\/0: Is a string; .*: \{"name": "ham", "words": \[" ham"\]\}/,
    ],
    [
      "with words that are a string",
      { labels: [{ name: "a", words: " bad" }, positive] },
      /words: Is one string; words are a list: \[" bad"\]/,
    ],
    [
      "with a word without its space",
      { labels: [negative, { name: "positive", words: ["good"] }] },
      /The word "good" would stand without a space .*: "…wasgood"\. Write it with one: " good"/,
    ],
    [
      "with the space on the template's side",
      { template: "{text} It was ", labels: [negative, { name: "positive", words: ["good"] }] },
      /the space at the template's end and the word "good" as one token\. Let the template end with "was", and write the word " good"/,
    ],
    [
      "with a word twice",
      { labels: [negative, { name: "positive", words: [" bad"] }] },
      /same token as a word of the label "negative"; take another word/,
    ],
  ])("%s is told what it should be", async (_, change, message) => {
    const task = temporaryFile("task.json", JSON.stringify({ ...original, ...change }));
    const { code, stderr } = await softpost("task", "check", task, "--model", MODEL);
    expect(stderr).toMatch(message);
    expect([code, /bug in softpost|Invalid input/.test(stderr)]).toEqual([1, false]);
  });

  test("is shown as a model reads it", async () => {
    const { code, stdout } = await softpost("task", "check", TASK, "--model", MODEL, "--data", TEST, "--rows", "1");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Task tiny: labels negative, positive; texts of at most 48 tokens with the template\nRow 1, 11 tokens:\n {2}\| Not good at all It was\n {2}tokens: "N" .*" was"\n/,
    );
    expect(stdout).toMatch(/\n {2}negative +" poor" +" poor"\n/);
    expect(stdout).toMatch(/\nData: 8 rows \(negative 4, positive 4\)\nNext: softpost tune /);
  });
});

describe("a data file", () => {
  const inputs = ["--task", TASK, "--out", "nowhere"];
  test.each([
    ["commas", 'id,text,label\n1,"a, b",good\n'],
    ["semicolons", "text;label\nfine;good\n"],
    ["tabs", "\ufefftext\tlabel\nfine\tgood\n"],
  ])("that is a table with %s is called so, once", async (sign, content) => {
    const { code, stderr } = await tune(...inputs, "--train", temporaryFile("private.jsonl", content));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`looks like a table \\(CSV\\) of [23] columns with ${sign} between them.*ends in \\.csv`),
    );
    expect(stderr.trim().split("\n").length).toBe(1);
    expect(stderr).not.toMatch(/fine|a, b/);
  });

  test.each([
    [
      "one label that is unknown in fifty rows",
      `${JSON.stringify({ text: "a", label: "neutral" })}\n`.repeat(50),
      /:1: The label is .* \(So in 49 more lines: 2, 3, 4, 5, 6, …\.\)/,
    ],
    [
      "prose",
      "The film was good, and so was the story\n".repeat(50),
      /:1:1: Is not JSON: a row is an object in braces\. \(So in 49 more lines/,
    ],
  ])("with %s has one fault with a count", async (_, content, message) => {
    const { stderr } = await tune(...inputs, "--train", temporaryFile("private.jsonl", content));
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n").length).toBe(2);
  });
});

test("what else is wrong is said together with a folder that is there already, for which a free name is proposed", async () => {
  const folder = temporaryFolder();
  for (const name of ["prompt", "prompt-2"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "mine"), "");
  }
  const rows = temporaryFile("rows.jsonl", "text,label\na,b\n");
  const { code, stderr } = await tune("--task", TASK, "--train", rows, "--out", join(folder, "prompt"));
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^2 things are wrong: .*\n.*looks like a table.*\n {2}--out: .*prompt is there already\. A free name: --out .*prompt-3\n$/,
  );
});

test("predictions keep their rows' own fields, digit for digit", async () => {
  const row = '{"id":12345678901234567890,"text":"a film","ticket_id":"t-1","price":1.50,"tags":["x",2],"__proto__":7}';
  const rows = temporaryFile("rows.jsonl", `${row}\n`);
  const use = ["--prompt", fixture("tiny-prompt"), "--task", TASK];
  const { stdout } = await softpost("predict", "--model", MODEL, ...use, "--data", rows);
  expect(stdout).toMatch(
    /^\{"id":12345678901234567890,"ticket_id":"t-1","price":1\.50,"tags":\["x",2\],"__proto__":7,"label":"(nega|posi)tive","probabilities":\{/,
  );
});

test("distill shows target and student side by side", async () => {
  const public_ = ["--target", MODEL, "--public", TRAIN, "--steps", "1", "--max-length", "12", "--batch-size", "2"];
  const out = join(temporaryFolder(), "student");
  const { stdout } = await softpost("distill", ...public_, "--layers", "0,-1", "--out", out);
  expect(stdout).toMatch(
    /: student of layers 0,-1 of .*tiny-gpt2, 1 step on \d+ tokens\n +layers +size +next-token loss\ntarget +3 +[\d.]+ kB +[\d.]+\nstudent +2 +[\d.]+ kB +[\d.]+\n/,
  );
  expect(stdout).toMatch(/\nNext: softpost serve --dir provider --target .* --student .*student --public /);
});
