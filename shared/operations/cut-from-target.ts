import { bitsOf, dequantiseRows, quantiseRows } from "../models/narrow-matrix.ts";
import { readRows } from "../models/weights.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { BlockQuantisation } from "../protocol/weights.ts";
import type { OpenModel } from "./open-model.ts";

/**
 * Checks that a student has its target's embeddings of some tokens: as they were published, where both have them. Of rows of which a folder has only what they
 * were rounded to, whether the other's are rounded to the same.
 * @param ids tokens of the target
 * @throws ProblemError if the student has others, or if both are rounded, and not alike
 */
export async function requireCutFromTarget(target: OpenModel, student: OpenModel, ids: Int32Array): Promise<void> {
  const title = "The student is not of this target";
  if (await areSame(target, student, ids)) return;
  const [of, other] = [onlyRounded(target), onlyRounded(student)].map(
    (rounding) => rounding && JSON.stringify(rounding),
  );
  if (of && other && of !== other) {
    const detail = `${student.name} and ${target.name} are both quantised, in two ways, so that their token embeddings can't be compared. Take the published model of one of them.`;
    throw new ProblemError(title, detail, { status: 422 });
  }
  const detail = `${student.name} does not have the token embeddings of ${target.name}. A model of its own can be an open student (--open).`;
  throw new ProblemError(title, detail, { status: 422 });
}

async function areSame(target: OpenModel, student: OpenModel, ids: Int32Array): Promise<boolean> {
  const { width, vocabulary } = student.checkpoint.config;
  if (width !== target.checkpoint.config.width || ids.some((id) => id >= vocabulary)) return false;
  const [wanted, own] = [await rowsOf(target, ids), await rowsOf(student, ids)];
  // What was rounded isn't always rounded to itself: a student may have been cut from a target that was.
  if (sameValues(own, wanted)) return true;
  const [of, other] = [onlyRounded(target), onlyRounded(student)];
  if (of && other) return false;
  return sameValues(of ? rounded(own, width, of) : own, other ? rounded(wanted, width, other) : wanted);
}

const embeddingsOf = ({ checkpoint: { family, config } }: OpenModel) => family.embeddings(config)[0]!;

const rowsOf = (model: OpenModel, ids: Int32Array) => readRows(model.checkpoint, embeddingsOf(model), ids);

/** How a model's embeddings were rounded, if its folder doesn't have them as published. */
function onlyRounded(model: OpenModel): BlockQuantisation | undefined {
  const { weights, quantisation } = model.checkpoint;
  if (weights.has(embeddingsOf(model)) || !quantisation || quantisation.weights === "fp16") return undefined;
  return quantisation;
}

function rounded(rows: Float32Array, width: number, { weights, block, symmetric }: BlockQuantisation): Float32Array {
  const kind = { bits: bitsOf(weights), block, symmetric };
  return dequantiseRows(quantiseRows(rows, width, kind), width, kind);
}

const sameValues = (a: Float32Array, b: Float32Array) => a.every((value, i) => value === b[i]);
