import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { reportInvariance } from "../../client/commands/audit-invariance.ts";
import { createIo } from "../../client/output.ts";
import { runProgram } from "../../client/program.ts";
import { requirePrivateRoom } from "../../shared/operations/checks.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";
import type { Task } from "../../shared/protocol/task.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

/** Rows of random words with random labels: only memory can tell which label a row has. */
function randomRows(count: number): string {
  const rows = readFileSync(fixture("tiny-task/train.jsonl"), "utf8").trim().split("\n");
  const words = rows.flatMap((row) => (JSON.parse(row).text as string).split(" "));
  const draws = new Draws(seededRandom(30));
  const text = () => Array.from({ length: 6 }, () => words[draws.integer(words.length)]).join(" ");
  const lines = Array.from({ length: count }, () => JSON.stringify({ text: text(), label: draws.integer(2) }));
  return `${lines.join("\n")}\n`;
}

const inputs = (rows: number, ...more: string[]) => [
  ...["--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json"), "--lr", "0.1"],
  ...["--train", temporaryFile("rows.jsonl", randomRows(rows)), "--json", ...more],
];

async function audit(...args: string[]) {
  const { code, stdout, stderr } = await softpost("audit", ...args);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

// The sampling has no seed: what is expected leaves room for two wrong guesses.
test("a one-run audit finds out that the noise is off, and nothing against a run with noise", async () => {
  const canaries = ["--canaries", "160", "--guesses", "40", "--noise-multiplier", "100", "--prompt-tokens", "16"];
  const run = [...canaries, "--batch-size", "72"];
  const off = await audit("one-run", ...inputs(160, ...run, "--steps", "220", "--without-noise"));
  expect(off).toMatchObject({ canaries: 160, guesses: 40, consistent: false });
  expect(off.epsilonLower).toBeGreaterThan(2 * off.claimed);
  const on = await audit("one-run", ...inputs(160, ...run, "--steps", "20"));
  expect(on).toMatchObject({ consistent: true });
  expect(on.epsilonLower).toBeLessThan(on.claimed);
});

test("LiRA attacks prompts with each other and draws the curve", async () => {
  const roc = join(temporaryFolder(), "roc.svg");
  const result = await audit(
    "lira",
    ...inputs(24, "--shadows", "4", "--steps", "5", "--prompt-tokens", "2", "--roc", roc),
  );
  expect(result).toMatchObject({ shadows: 4, examples: 24 });
  for (const figure of [result.auc, result.tprAt01, result.tprAt1, result.chance]) {
    expect(figure).toBeGreaterThanOrEqual(0);
    expect(figure).toBeLessThanOrEqual(1);
  }
  expect(readFileSync(roc, "utf8")).toMatch(/^<svg.*polyline/s);
});

test.each([
  ["one-run", ["--without-noise"], "--without-noise needs --noise-multiplier"],
  ["one-run", ["--rows-per-unit", "2"], "--rows-per-unit needs --privacy-unit"],
  ["one-run", ["--rows-per-unit", "2", "--privacy-unit", "user"], "--rows-per-unit needs --noise-multiplier"],
  ["one-run", ["--clip", "2", "--delta", "1e-5"], "--clip needs --noise-multiplier"],
  ["lira", ["--delta", "1e-5"], "--delta needs --noise-multiplier"],
])("%s %j: what would be ignored is refused", async (command, options, message) => {
  const { code, stdout, stderr } = await softpost("audit", command, ...inputs(5, ...options));
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(`error: ${message}`);
});

test("a curve that can't be written is found before the runs, and its check leaves no file", async () => {
  const lira = (roc: string, rows: number) =>
    softpost("audit", "lira", ...inputs(rows, "--shadows", "4", "--steps", "1", "--prompt-tokens", "2", "--roc", roc));
  const roc = join(temporaryFolder(), "missing", "roc.svg");
  expect(await lira(roc, 24)).toMatchObject({
    code: 1,
    stdout: expect.not.stringContaining("auc"),
    stderr: expect.stringMatching(/^The curve can't be written: --roc .*roc\.svg can't be written \(ENOENT\)\.\n$/),
  });
  const folder = temporaryFolder();
  expect((await lira(folder, 24)).stderr).toMatch(/can't be written \(EISDIR\)/);
  // Runs that fail write none.
  expect((await lira(join(folder, "roc.svg"), 0)).code).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});

test("a curve that can't be written after the runs leaves their result", async () => {
  const roc = join(temporaryFolder(), "later", "roc.svg");
  mkdirSync(dirname(roc));
  const args = inputs(24, "--shadows", "4", "--steps", "1", "--prompt-tokens", "2", "--roc", roc);
  let [stdout, stderr] = ["", ""];
  const out = (text: string) => {
    stdout += text;
    rmSync(dirname(roc), { recursive: true, force: true });
  };
  const code = await runProgram(["audit", "lira", ...args], { write: out }, { write: (text) => (stderr += text) });
  expect(code).toBe(1);
  expect(JSON.parse(stdout.split("\n")[0]!)).toMatchObject({ shadows: 4 });
  expect(stderr).toMatch(/The curve can't be written/);
  expect(existsSync(roc)).toBe(false);
});

test("the influence of a record is measured: one vector each, and a sum that moves by no more than the clip norm", async () => {
  const data = ["--data", temporaryFile("rows.jsonl", randomRows(9)), "--records", "6", "--prompt-tokens", "5"];
  const task = ["--task", fixture("tiny-task/task.json"), "--model", fixture("tiny-gpt2")];
  const found = await audit("invariance", ...task, ...data, "--batch-size", "8", "--threads", "2", "--json");
  expect(found).toMatchObject({ records: 6, rows: 2, threads: [1, 2], shift: 0, limit: 1, holds: true });
  expect(found.compositions).toBe(2 * 6 * 2 * (1 + 2 + 5));
  expect(found.distance).toBeLessThanOrEqual(1);
});

test("where it isn't bounded the audit fails, behind its figures", () => {
  const lines: string[] = [];
  const io = createIo({ write: (text) => lines.push(text) }, { write: () => {} }, () => ({ json: true }));
  const one = { records: 3, rows: 4, compositions: 9, vectors: new Map() };
  const findings = [{ ...one, shift: 0, distance: 0.9 }];
  const report = (...more: { shift: number; distance: number }[]) =>
    reportInvariance([...findings, ...more.map((each) => ({ ...one, ...each }))], [1, 2], io);
  report({ shift: 0, distance: 1 });
  expect(() => report({ shift: 0, distance: 1.001 })).toThrow("not bounded on this device");
  expect(() => report({ shift: 1e-6, distance: 0.9 })).toThrow("not bounded on this device");
  expect(lines.map((line) => JSON.parse(line).holds)).toEqual([true, false, false]);
});

test("a prompt and texts that can't be padded within the model's positions are refused", () => {
  const model = (positions: number) => ({ name: "m", checkpoint: { config: { positions } } }) as unknown as OpenModel;
  const task = { maxLength: 24 } as Task;
  for (const [rows, positions] of [
    [8, 32],
    [8, 35],
    [6, 32],
  ] as const) {
    requirePrivateRoom(task, rows, model(positions));
  }
  for (const rows of [7, 8]) {
    expect(() => requirePrivateRoom(task, rows, model(rows + 23))).toThrow("too long");
  }
  // Room for both, but not to pad them: 31 positions hold 28.
  expect(() => requirePrivateRoom(task, 7, model(31))).toThrow(
    "leave 21 tokens of text, but the task's maxLength is 24",
  );
});

test("more canaries than rows are refused", async () => {
  const { code, stderr } = await softpost("audit", "one-run", ...inputs(5, "--prompt-tokens", "2"));
  expect([code, stderr]).toEqual([1, expect.stringContaining("5 rows can't give 100 canaries")]);
});
