/** What a run says that it needs, against what its process really took. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compared } from "../../bench/memory-commands.ts";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { gpt2 } from "../../shared/models/gpt2.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { fixture } from "../helpers/fixtures.ts";

const json = { model_type: "gpt2", n_layer: 8, n_embd: 512, n_head: 8, n_positions: 512, vocab_size: 4096 };

async function writeModel(folder: string): Promise<void> {
  const shapes = Object.entries(gpt2.parameters(gpt2.configure(json)));
  // No two matrices alike: ONNX Runtime would hold the same packed bytes once.
  const weights = shapes.map(([name, shape], index) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    return [name, { shape, data: data.map((_, i) => Math.sin(i + 1e4 * index) / 50) }];
  });
  mkdirSync(folder);
  await writeCheckpoint(folder, json, Object.fromEntries(weights));
  await copyTokenizer(fixture("tiny-gpt2"), folder);
}

/** Milliseconds: making the int8 weights takes minutes beside other tests. */
const LONG = 900_000;
const TASK = fixture("tiny-task/task.json");
const folder = mkdtempSync(join(tmpdir(), "softpost-test-"));
const model = join(folder, "model");
const tune = (batch: number, prompt: number) => [
  ...["tune", "--model", model, "--task", TASK, "--train", fixture("tiny-task/train.jsonl"), "--steps", "2"],
  ...["--batch-size", String(batch), "--prompt-tokens", String(prompt)],
];

beforeAll(() => writeModel(model));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// /proc is Linux's.
test.skipIf(process.platform !== "linux").each([
  ["tune, mostly weights", [...tune(2, 20), "--out", join(folder, "small")]],
  ["tune, mostly activations", [...tune(12, 400), "--out", join(folder, "large")]],
  ["tune, int8", [...tune(12, 400), "--weights", "int8", "--out", join(folder, "int8")]],
  ["evaluate", ["evaluate", "--model", model, "--task", TASK, "--data", fixture("tiny-task/test.jsonl")]],
])("%s: what it says that it needs is within 15 percent of its peak", { timeout: LONG }, async (_, command) => {
  const { estimate, peak } = await compared(["--threads", "1", ...command], join(folder, "home"));
  expect(estimate! / peak, `${estimate} for ${peak}`).toBeGreaterThan(0.85);
  expect(estimate! / peak, `${estimate} for ${peak}`).toBeLessThan(1.15);
});
