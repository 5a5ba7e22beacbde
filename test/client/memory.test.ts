/** What a run says that it needs, against what its process really took. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compared } from "../../bench/memory-commands.ts";
import { fixture } from "../helpers/fixtures.ts";
import { writeSizedModel } from "../helpers/sized-model.ts";

/** Milliseconds: making the int8 weights takes minutes beside other tests. */
const LONG = 900_000;
const TASK = fixture("tiny-task/task.json");
const folder = mkdtempSync(join(tmpdir(), "softpost-test-"));
const model = join(folder, "model");
const tune = (batch: number, prompt: number) => [
  ...["tune", "--model", model, "--task", TASK, "--train", fixture("tiny-task/train.jsonl"), "--steps", "2"],
  ...["--batch-size", String(batch), "--prompt-tokens", String(prompt)],
];
const distill = [
  ...["distill", "--target", model, "--public", fixture("tiny-task/train.jsonl"), "--steps", "2"],
  ...["--batch-size", "8", "--max-length", "64"],
];

beforeAll(() => writeSizedModel(model));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// /proc is Linux's.
test.skipIf(process.platform !== "linux").each([
  ["tune, mostly weights", [...tune(2, 20), "--out", join(folder, "small")]],
  ["tune, mostly activations", [...tune(12, 400), "--out", join(folder, "large")]],
  ["tune, int8", [...tune(12, 400), "--weights", "int8", "--out", join(folder, "int8")]],
  ["distill", [...distill, "--out", join(folder, "student")]],
  ["evaluate", ["evaluate", "--model", model, "--task", TASK, "--data", fixture("tiny-task/test.jsonl")]],
])("%s: what it says that it needs is within 15 percent of its peak", { timeout: LONG }, async (_, command) => {
  const { estimate, peak } = await compared(["--threads", "1", ...command], join(folder, "home"));
  expect(estimate! / peak, `${estimate} for ${peak}`).toBeGreaterThan(0.85);
  expect(estimate! / peak, `${estimate} for ${peak}`).toBeLessThan(1.15);
});
