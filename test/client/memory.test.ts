/** What a run says that it needs, against what its process really took. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { gpt2 } from "../../shared/models/gpt2.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { fixture } from "../helpers/fixtures.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const json = { model_type: "gpt2", n_layer: 8, n_embd: 512, n_head: 8, n_positions: 512, vocab_size: 4096 };

async function writeModel(folder: string): Promise<void> {
  const shapes = Object.entries(gpt2.parameters(gpt2.configure(json)));
  const weights = shapes.map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    return [name, { shape, data: data.map((_, i) => Math.sin(i) / 50) }];
  });
  mkdirSync(folder);
  await writeCheckpoint(folder, json, Object.fromEntries(weights));
  await copyTokenizer(fixture("tiny-gpt2"), folder);
}

// /proc is Linux's.
test.skipIf(process.platform !== "linux")(
  "the estimate is not 15 % below the peak, nor 40 % above it, with weights as published and in blocks",
  async () => {
    const folder = temporaryFolder();
    const model = join(folder, "model");
    await writeModel(model);
    const env = { ...process.env, SOFTPOST_HOME: join(folder, "home") };
    const program = fileURLToPath(new URL("../helpers/peak-memory.ts", import.meta.url));
    for (const [rows, virtualTokens, weights] of [
      [12, 400, "fp32"],
      [2, 20, "fp32"],
      [12, 400, "int8"],
    ] as const) {
      const data = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
      const size = [
        "--batch-size",
        `${rows}`,
        "--prompt-tokens",
        `${virtualTokens}`,
        "--steps",
        "4",
        "--weights",
        weights,
      ];
      const run = ["tune", "--model", model, ...data, ...size, "--out", join(folder, `prompt-${rows}-${weights}`)];
      const output = execFileSync(process.execPath, [program, ...run], { encoding: "utf8", stdio: "pipe", env });
      const estimated = 1e9 * Number(/Needs about ([\d.]+) GB/.exec(output)![1]);
      const peak = Number(output.trim().split("\n").at(-1));
      expect(estimated / peak, output).toBeGreaterThan(0.85);
      expect(estimated / peak, output).toBeLessThan(1.4);
    }
  },
);
