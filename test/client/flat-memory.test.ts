/** Public sets of many rows, against what the process that reads them really takes. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";

const program = fileURLToPath(new URL("../../bench/peak.ts", import.meta.url));
const FEW = 1000;
const MANY = 300_000;
/**
 * What a row may take: a fingerprint of it, or the student's scores where it chooses by them, its place in an order, and what garbage there may be. Tokens in
 * objects of their own take 300 and more.
 */
const BYTES_A_ROW = 200;
/** Megabytes that JavaScript's objects may take, old ones and young ones: garbage is collected before that, so a peak says what is held. */
const HEAP = ["--max-old-space-size=56", "--max-semi-space-size=2"];

const folder = mkdtempSync(join(tmpdir(), "softpost-test-"));
const at = (name: string) => join(folder, name);
const rowsOf = (count: number) => at(`${count}.jsonl`);

/** The most memory that a command took, in bytes. */
function peakOf(...command: readonly string[]): number {
  const args = [...HEAP, program, "--threads", "1", ...command];
  const printed = execFileSync(process.execPath, args, { encoding: "utf8", stdio: "pipe" });
  return Number(/^peak (\d+)$/m.exec(printed)![1]);
}

beforeAll(async () => {
  cpSync(fixture("tiny-gpt2"), at("student"), { recursive: true });
  const tune = [
    "--task",
    fixture("tiny-task/task.json"),
    "--train",
    fixture("tiny-task/train.jsonl"),
    "--steps",
    "1",
    "--prompt-tokens",
    "4",
  ];
  const { code, stderr } = await softpost("tune", "--model", at("student"), ...tune, "--out", at("prompt"));
  expect(code, stderr).toBe(0);
  for (const count of [FEW, MANY]) {
    const lines = Array.from({ length: count }, (_, i) => `{"text": "film ${i} was long, ${i % 7} bad, and so on"}\n`);
    writeFileSync(rowsOf(count), lines.join(""));
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

// /proc is Linux's.
describe.skipIf(process.platform !== "linux")("memory doesn't grow with the rows of", () => {
  const parties = ["--target", fixture("tiny-gpt2"), "--student", at("student"), "--prompt", at("prompt")];
  const transfer = ["transfer", ...parties, "--steps", "3", "--batch-size", "4", "--public"];
  test.each([
    ["a transfer", (count: number) => [...transfer, rowsOf(count), "--out", at(`moved-${count}`)]],
    ["the privacy ledger", (count: number) => ["privacy", "ledger", "--data", rowsOf(count)]],
  ])("%s", (_, command) => {
    const grown = peakOf(...command(MANY)) - peakOf(...command(FEW));
    expect(grown / MANY).toBeLessThan(BYTES_A_ROW);
  });
});
