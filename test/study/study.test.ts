/** A study on a tiny model, as a process of its own. */
import { execFile } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSettings } from "../../study/settings.ts";
import { fixture } from "../helpers/fixtures.ts";

const STUDY = fileURLToPath(new URL("../../study/main.ts", import.meta.url));
/** On a machine that has much else to do. */
const SLOW = 480_000;
const SETTINGS = {
  promptTokens: 2,
  tune: [1e-2, 1e-1].map((learningRate) => ({ steps: 2, batchSize: 4, learningRate, averagedSteps: 1 })),
  privateTune: [{ steps: 2, batchSize: 4, learningRate: 1e-2, averagedSteps: 1, clip: 1 }],
  transfer: { steps: 2, batchSize: 4, averagedSteps: 1 },
  learningRates: [1e-2, 3e-2],
  select: 20,
  rowsOfPerson: 5,
};

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const testRows = () => at("data", "films", "test.jsonl");

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softpost-study-test-"));
  for (const model of ["target", "student"])
    cpSync(fixture("tiny-gpt2"), at("models", "tiny", model), { recursive: true });
  mkdirSync(at("data", "films"), { recursive: true });
  cpSync(fixture("tiny-task/task.json"), at("data", "films", "task.json"));
  const row = (i: number) => ({ text: `the film number ${i} was ${i % 2 ? "good" : "bad"}`, label: i % 2 });
  const rows = Array.from({ length: 40 }, (_, i) => `${JSON.stringify(row(i))}\n`);
  writeFileSync(at("data", "films", "train.jsonl"), rows.join(""));
  writeFileSync(at("data", "films", "public.jsonl"), rows.join(""));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function study(settings: object = SETTINGS) {
  const places = ["--models", at("models"), "--data", at("data"), "--out", at("out")];
  const flags = ["--seeds", "2", "--threads", "1", "--settings", JSON.stringify(settings)];
  return promisify(execFile)(process.execPath, [STUDY, ...places, ...flags]);
}

/** Every result with the time at which it was written. */
function results(): Map<string, number> {
  const names = readdirSync(at("out", "results"), { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => name.endsWith(".json"));
  return new Map(files.map((name) => [name, statSync(at("out", "results", name)).mtimeMs]));
}

test.each([
  ["no JSON", "settings.json", { title: "The JSON is not valid" }],
  [
    "what no study has",
    '{"epsilon": [8]}',
    { faults: [{ at: "--settings#", message: expect.stringContaining("epsilon") }] },
  ],
  ["what can't be", '{"publicTexts": 0}', { faults: [{ at: "--settings#/publicTexts", message: expect.any(String) }] }],
])("settings that are %s are refused", (_, given, problem) => {
  expect(() => readSettings(given, 1)).toThrow(expect.objectContaining({ name: "ProblemError", ...problem }));
});

test(
  "makes every prompt and chooses every setting without test rows, reads them at the end, and does nothing twice",
  async () => {
    expect(existsSync(testRows())).toBe(false);
    await expect(study()).rejects.toThrow(/test\.jsonl/);
    const made = results();
    const names = [...made.keys()].join("\n");
    for (const method of [
      "compressed PT",
      "full PT",
      "DP compressed PT",
      "DP compressed PT, ε 8 for people of 5 rows",
      "DP POST, ε 8 for people of 5 rows",
      "direct",
      "POST films",
      "DP POST",
      "oracle",
      "vocabulary",
      "20 selected",
    ]) {
      expect(names).toContain(method);
    }
    expect(names).not.toContain("/test/");

    const row = (i: number) => ({ text: `film ${i} was ${i % 2 ? "great" : "terrible"}`, label: i % 2 });
    writeFileSync(testRows(), Array.from({ length: 10 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(""));
    await study();
    const after = results();
    for (const [name, time] of made) expect(after.get(name)).toBe(time);
    expect([...after.keys()].filter((name) => name.includes("/test/"))).not.toEqual([]);

    const report = readFileSync(at("out", "report.md"), "utf8");
    expect(report).toMatch(/## tiny\/films, 10 test rows/);
    // Means of two seeds with a standard error each.
    expect(report).toMatch(/\| POST \| films \| [\d.]+ \([\d.]+\) \| [\d.]+ \([\d.]+\) \| [\d.]+ \([\d.]+\) \|/);
    expect(existsSync(at("out", "tiny-films.svg"))).toBe(true);
  },
  SLOW,
);

const changedSince = (before: ReadonlyMap<string, number>) =>
  [...results()].filter(([name, time]) => before.get(name) !== time).map(([name]) => name);

test(
  "does anew what other rows touch, and nothing else",
  async () => {
    const before = results();
    // As many rows, and accuracies that may well be the same.
    const turned = readFileSync(testRows(), "utf8").replace('"label":0', '"label":1');
    writeFileSync(testRows(), turned);
    await study();
    const measured = changedSince(before);
    expect(measured.length).toBeGreaterThan(0);
    expect(measured).toEqual([...before.keys()].filter((name) => name.includes("/test/")));

    const then = results();
    const texts = readFileSync(at("data", "films", "public.jsonl"), "utf8").replace("number 1 ", "number one ");
    writeFileSync(at("data", "films", "public.jsonl"), texts);
    await study();
    const moved = changedSince(then);
    expect(moved.filter((name) => /POST films seed/.test(name) && !name.includes("/test/")).length).toBeGreaterThan(0);
    expect(moved.filter((name) => /schedule|zero-shot|direct/.test(name))).toEqual([]);
  },
  SLOW,
);

test(
  "does anew what other settings touch, and nothing else",
  async () => {
    const before = results();
    await study({ ...SETTINGS, transfer: { ...SETTINGS.transfer, steps: 3 } });
    const changed = changedSince(before);
    expect(changed.length).toBeGreaterThan(0);
    expect(
      changed.filter(
        (name) => /compressed PT schedule|full PT schedule|zero-shot/.test(name) && !name.includes("/test/"),
      ),
    ).toEqual([]);
  },
  SLOW,
);
