import { mkdirSync } from "node:fs";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { gpt2 } from "../../shared/models/gpt2.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { fixture } from "./fixtures.ts";

const json = { model_type: "gpt2", n_layer: 8, n_embd: 512, n_head: 8, n_positions: 512, vocab_size: 4096 };

/** Writes a GPT-2 of 27 million weights, whose memory is more than the program's own, with the tiny one's tokenizer. */
export async function writeSizedModel(folder: string): Promise<void> {
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
