import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { parseJson, validate } from "../protocol/json.ts";
import { digestSchema } from "../protocol/manifest.ts";
import { hashModel } from "./model-files.ts";

/** In a student's folder, beside the model: what it was cut from. It is no part of the model, and isn't published. */
export const STUDENT_FILE = "softpost-student.json";
/** A few numbers and digests. */
const MAX_BYTES = 64 * 1024;

const recordSchema = z.strictObject({
  format: z.literal("softpost-student/1"),
  /** Digest of the model that lies beside it (`modelDigest`): a record that was carried to another one says nothing. */
  student: digestSchema,
  teacher: z.strictObject({ digest: digestSchema, layers: z.int().positive() }),
  /** Layers of the teacher that the student started from, counted from 0. */
  layers: z.array(z.int().nonnegative()).min(1),
  training: z.strictObject({
    steps: z.int().positive(),
    batchSize: z.int().positive(),
    maxLength: z.int().positive(),
    learningRate: z.number().positive(),
    seed: z.int().nonnegative(),
  }),
});

export type StudentRecord = z.output<typeof recordSchema>;

/**
 * Writes down beside a student, once its model and tokenizer are complete, what it was distilled from.
 *
 * @param cut.layers as they were asked for: negative ones count from the teacher's end
 */
export async function writeStudentRecord(
  folder: string,
  { teacher, layers, training }: Pick<StudentRecord, "teacher" | "layers" | "training">,
): Promise<void> {
  const { digest } = await hashModel(folder);
  const counted = layers.map((layer) => (layer < 0 ? layer + teacher.layers : layer));
  const record: StudentRecord = { format: "softpost-student/1", student: digest, teacher, layers: counted, training };
  await writeFile(join(folder, STUDENT_FILE), `${JSON.stringify(recordSchema.parse(record), null, 2)}\n`);
}

/**
 * The record of a student's folder; undefined where there is none.
 *
 * @throws ProblemError with every fault if it isn't one
 */
export async function readStudentRecord(folder: string): Promise<StudentRecord | undefined> {
  const path = join(folder, STUDENT_FILE);
  const title = "The student's record is not valid";
  const { size } = (await stat(path).catch(() => undefined)) ?? {};
  if (size === undefined) return undefined;
  if (size > MAX_BYTES) throw new ProblemError(title, `${path} has ${size} bytes; at most ${MAX_BYTES} are read.`);
  return validate(recordSchema, parseJson(await readFile(path, "utf8"), path, title), path, title);
}
