import { readCorpus } from "../../shared/data/corpus.ts";
import type { Data } from "../../shared/data/jsonl.ts";
import { type DistillRequest, distillStudent, writeStudent } from "../../shared/operations/distill.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import type { Distillate } from "../../shared/training/distill.ts";
import type { Watch } from "../../shared/training/events.ts";
import { requireNumbers } from "../number-rules.ts";
import { openOut } from "../out-folder.ts";
import { sayTo } from "./task.ts";
import { type EngineOptions, withEngine } from "./with-engine.ts";

/** What isn't told: the first and the last layer of the target, and how long it is trained. */
export const DISTILL_DEFAULTS = {
  layers: [0, -1],
  steps: 1000,
  batchSize: 8,
  maxLength: 128,
  learningRate: 2.5e-4,
  seed: 0,
} as const;

export interface DistillOptions extends EngineOptions {
  readonly target: OpenModel;
  /** Files of public text, or rows. */
  readonly public: readonly Data[];
  /** A new folder for the student. */
  readonly out: string;
  /** The target's layers that the student starts from; negative ones count from the end. */
  readonly layers?: readonly number[];
  readonly steps?: number;
  readonly batchSize?: number;
  /** Tokens a row. */
  readonly maxLength?: number;
  readonly learningRate?: number;
  readonly seed?: number;
  /** Go on with an unfinished run to the same folder. */
  readonly resume?: boolean;
}

/**
 * Compresses a target into a student of a few of its layers, in a new folder.
 *
 * @throws ProblemError for a folder that holds something, or texts or layers that can't be used; InterruptedError when stopped
 */
export async function distill(
  options: DistillOptions,
  watch: Watch = {},
): Promise<Pick<Distillate, "loss" | "nextToken">> {
  requireNumbers(options);
  const { target: teacher, public: files, resume = false } = options;
  const { layers, steps, batchSize, maxLength: length, learningRate, seed } = { ...DISTILL_DEFAULTS, ...options };
  using out = await openOut(options.out, { resume });
  using tokens = await readCorpus(files, teacher.tokenizer);
  const state = { path: out.statePath, resume };
  const request: DistillRequest = { teacher, tokens, layers, steps, batchSize, length, learningRate, seed, state };
  const student = await withEngine(options, (engine) => distillStudent(request, engine, watch));
  await out.finish((folder) => writeStudent(folder, student, request), sayTo(watch));
  return { loss: student.loss, nextToken: student.nextToken };
}
