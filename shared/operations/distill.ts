import { copyTokenizer } from "../data/model-files.ts";
import { writeStudentRecord } from "../data/student-record.ts";
import { type Tokens, tokensDigest } from "../data/token-stream.ts";
import { maskTokens } from "../data/tokenizer.ts";
import type { Engine } from "../graph/engine.ts";
import { writeCheckpoint } from "../models/write-checkpoint.ts";
import { computedModel } from "../protocol/weights.ts";
import { type Distillate, distill } from "../training/distill.ts";
import type { Watch } from "../training/events.ts";
import { requireFinite } from "./checks.ts";
import type { OpenModel } from "./open-model.ts";

export interface DistillRequest {
  readonly teacher: OpenModel;
  /** Token ids of public text. */
  readonly tokens: Tokens;
  /** The teacher's layers that the student starts from; negative ones count from the end. */
  readonly layers: readonly number[];
  readonly steps: number;
  readonly batchSize: number;
  /** Tokens a row. */
  readonly length: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Where the run's state is kept, and whether it goes on from there. */
  readonly state: { readonly path: string; readonly resume: boolean };
}

/**
 * Makes a student of a teacher.
 * @throws ProblemError for layers that the teacher hasn't, or weights that aren't finite; InterruptedError when stopped
 */
export async function distillStudent(request: DistillRequest, engine: Engine, watch: Watch): Promise<Distillate> {
  const { teacher, tokens, layers, steps, batchSize, length, learningRate, seed, state } = request;
  const numbers = { steps, batchSize, length, learningRate, seed };
  const corpus = tokensDigest(tokens);
  const identities = { command: "distill", teacher: computedModel(teacher.record), corpus, layers: layers.join() };
  const mask = maskTokens(teacher.tokenizer, teacher.checkpoint.config.vocabulary);
  const run = { ...state, settings: { ...identities, ...numbers } };
  const options = { engine, teacher: teacher.checkpoint, layers, tokens, mask, ...numbers, state: run };
  const student = await distill(options, watch);
  for (const [name, { data }] of Object.entries(student.weights)) requireFinite(data, `The student's ${name}`);
  return student;
}

/** Writes a student, its teacher's tokenizer, and the record of what it was distilled from, into an existing folder. */
export async function writeStudent(
  folder: string,
  student: Distillate,
  { teacher, layers, steps, batchSize, length: maxLength, learningRate, seed }: DistillRequest,
): Promise<void> {
  await writeCheckpoint(folder, student.json, student.weights);
  await copyTokenizer(teacher.folder, folder);
  await writeStudentRecord(folder, {
    teacher: { digest: teacher.record.digest, layers: teacher.checkpoint.config.layers },
    layers: [...layers],
    training: { steps, batchSize, maxLength, learningRate, seed },
  });
}
