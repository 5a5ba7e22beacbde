import type { Engine } from "../../shared/graph/engine.ts";
import type { Precision } from "../../shared/models/model.ts";
import { frozenWeights } from "../../shared/models/weights.ts";
import { ADAM } from "../../shared/training/optimizers.ts";
import { transfer } from "../../shared/training/transfer.ts";
import { parameterCount } from "../storage/check-student.ts";
import { emptyModel } from "./tiny-model.ts";

const gpt2 = (n_layer: number, n_embd: number, n_head: number) => ({
  model_type: "gpt2",
  vocab_size: 50_257,
  n_positions: 1024,
  n_layer,
  n_embd,
  n_head,
});

/** GPT-2's own sizes. */
export const SIZES: Readonly<Record<string, ReturnType<typeof gpt2>>> = {
  small: gpt2(12, 768, 12),
  large: gpt2(36, 1280, 20),
  xl: gpt2(48, 1600, 25),
};

/** A transfer as docs/costs.md has it: 8 texts of 128 tokens and a prompt of 100. */
const [BATCH, LENGTH, ROWS] = [8, 128, 100];
/** The first steps of a graph also make its plan and its memory. */
const WARM_UP = 3;
const TIMED = 8;

/**
 * Times the steps of a transfer to an empty model of a size.
 *
 * @param memory how much is in use
 * @returns the median of some steps in seconds, the number of weights, and the memory in use after the last step
 */
export async function timeStep(
  engine: Engine,
  folder: string,
  size: (typeof SIZES)[string],
  precision: Precision,
  memory: () => Promise<number | undefined>,
): Promise<{ seconds: number; weights: number; memory: number | undefined }> {
  const checkpoint = await emptyModel(folder, size);
  const target = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint, precision));
  const states = () => new Float32Array(BATCH * size.n_embd);
  const start = { shape: [ROWS, size.n_embd], data: new Float32Array(ROWS * size.n_embd) };
  const times: number[] = [];
  const options = {
    engine,
    target,
    texts: Array.from({ length: BATCH }, () => ({ ids: new Int32Array(LENGTH).fill(1), readAt: LENGTH - 1 })),
    fitted: Int32Array.from({ length: BATCH }, (_, text) => text),
    criterion: { loss: "vocabulary" as const, alpha: 0.5, classes: [[1], [2]] },
    cache: { prompted: states(), bare: { student: states(), target: states() } },
    attempts: [{ start, learningRate: 1e-3 }],
    steps: WARM_UP + TIMED,
    averagedSteps: 1,
    batchSize: BATCH,
    optimizer: ADAM,
    seed: 0,
    state: { path: `${folder}/state`, settings: {}, resume: false },
  };
  await transfer(options, {
    onEvent: ({ kind }) => kind === "progress" && times.push(performance.now()),
    saveEvery: Number.POSITIVE_INFINITY,
  });
  const steps = times.slice(WARM_UP).map((time, i) => time - times[WARM_UP - 1 + i]!);
  const weights = parameterCount(checkpoint);
  const median = steps.toSorted((a, b) => a - b)[steps.length >> 1]!;
  return { seconds: median / 1000, weights, memory: await memory() };
}
