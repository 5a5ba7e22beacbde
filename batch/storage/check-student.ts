import { readStudentRecord } from "../../shared/data/student-record.ts";
import type { Checkpoint } from "../../shared/models/checkpoint.ts";
import { weightNames } from "../../shared/models/weight-files.ts";
import type { Student } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";

interface Side {
  readonly name: string;
  readonly digest: string;
  readonly checkpoint: Checkpoint;
}

const TITLE = "The student can't be published";

/**
 * A student is offered for download, its target never is: makes sure that what is published as a student is one.
 *
 * @param kind an open student isn't cut from the target, so only one that is shaped like it is looked at more closely
 * @param unknownOrigin the provider's word for a student that wasn't recorded as distilled from this very target
 * @throws ProblemError if it is the target, isn't smaller, holds weights of the target that it doesn't use, or its origin is unknown
 */
export async function checkStudent(
  student: Side,
  target: Side,
  kind: Student["kind"],
  unknownOrigin: boolean,
): Promise<void> {
  const [small, large] = [student.checkpoint, target.checkpoint];
  const refuse = (detail: string) => new ProblemError(TITLE, detail, { status: 422 });
  const exchanged = `Clients could download all of ${target.name}. Are student and target exchanged?`;
  if (student.digest === target.digest) throw refuse(`It is the target itself. ${exchanged}`);
  if (kind === "open" && !isShapedLike(small, large)) return;
  if (small.config.layers >= large.config.layers || parameterCount(small) >= parameterCount(large)) {
    const sizes = `${small.config.layers} layers of ${large.config.layers}, ${parameterCount(small)} weights of ${parameterCount(large)}`;
    throw refuse(`It isn't smaller than its target (${sizes}). ${exchanged}`);
  }
  const rest = await targetsWeights(small, large);
  if (rest.length > 0) {
    const names = `${rest.slice(0, 3).join(", ")}${rest.length > 3 ? " and more" : ""}`;
    throw refuse(
      `Its folder holds weights that the student doesn't use (${names}), and all would be published. Write it with softpost distill, or save it anew.`,
    );
  }
  if (unknownOrigin || kind === "open") return;
  const word = "If you are certain that it may be public, say --unknown-origin.";
  const record = await readStudentRecord(small.folder);
  if (!record) throw refuse(`${small.folder} has no record of what it was distilled from. ${word}`);
  if (record.student !== student.digest) throw refuse(`It was changed since it was distilled. ${word}`);
  if (record.teacher.digest !== target.digest)
    throw refuse(`It was distilled from another model than ${target.name}. ${word}`);
}

/** Whether a model could be a copy of another, or be cut from it. */
function isShapedLike(small: Checkpoint, large: Checkpoint): boolean {
  const { family, config } = small;
  return (
    family === large.family && config.width === large.config.width && config.vocabulary === large.config.vocabulary
  );
}

/** Weights in the student's folder that its own model doesn't read, but that are, by their name or their file, a larger model's. */
async function targetsWeights(small: Checkpoint, large: Checkpoint): Promise<string[]> {
  const used = new Set(Object.keys(small.family.parameters(small.config)).flatMap(bothNames));
  const theirs = new Set(Object.keys(large.family.parameters(large.config)).flatMap(bothNames));
  const read = new Set([...small.weights.values()].map(({ location }) => location.file));
  const stored = await weightNames(small.folder);
  return stored.flatMap(({ file, names }) =>
    read.has(file) ? names.filter((name) => theirs.has(name) && !used.has(name)) : [file],
  );
}

/** Base checkpoints leave out the prefix that language-model classes add. */
function bothNames(name: string): string[] {
  return [name, name.slice(name.indexOf(".") + 1)];
}

export function parameterCount({ family, config }: Checkpoint): number {
  const shapes = Object.values(family.parameters(config));
  return shapes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}
