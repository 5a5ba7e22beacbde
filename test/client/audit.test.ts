import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";
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
  ...["--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json"), "--delta", "1e-5", "--lr", "0.1"],
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

test("more canaries than rows are refused", async () => {
  const { code, stderr } = await softpost("audit", "one-run", ...inputs(5, "--prompt-tokens", "2"));
  expect([code, stderr]).toEqual([1, expect.stringContaining("5 rows can't give 100 canaries")]);
});
