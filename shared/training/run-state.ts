import { open, rename, rm } from "node:fs/promises";
import { exists, unreadable } from "../data/files.ts";
import { writeProblem } from "../data/write-problem.ts";
import type { Value } from "../graph/engine.ts";
import { readFully, readHeader } from "../models/weight-files.ts";
import { safetensorsPieces } from "../prompt/safetensors.ts";
import { ProblemError } from "../protocol/errors.ts";

/** Whatever makes a run what it is: options, digests of models and data. Two runs with equal settings are one run. */
export type RunSettings = Readonly<Record<string, string | number | boolean | null>>;

/** Where an unfinished run stood. */
export interface RunState {
  /** Steps that are done. */
  readonly step: number;
  readonly variables: Readonly<Record<string, Value>>;
}

const TITLE = "The run can't be resumed";

/** Where a state is written, before it takes the place of the one before. */
const temporaryOf = (path: string) => `${path}.tmp`;

/**
 * Writes the state of a run, for its user's eyes only, so that a crash at any moment leaves the old state or the new one.
 * @throws ProblemError if the disk refuses it
 */
export async function saveRun(path: string, settings: RunSettings, { step, variables }: RunState): Promise<void> {
  const tensors = Object.entries(variables).map(([name, { shape, data }]) => ({
    name,
    shape,
    data: data as Float32Array,
  }));
  const pieces = safetensorsPieces(tensors, { step: String(step), settings: JSON.stringify(settings) });
  const temporary = temporaryOf(path);
  try {
    await rm(temporary, { force: true });
    await using file = await open(temporary, "wx", 0o600);
    for (const piece of pieces) await file.appendFile(piece);
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    // A full disk has room for the result then.
    await rm(temporary, { force: true }).catch(() => {});
    throw writeProblem(error, path, "The run can't be saved");
  }
}

/** Removes the state of a run, and what a crash left of one that was being written. */
export async function removeRun(path: string): Promise<void> {
  for (const each of [path, temporaryOf(path)]) await rm(each, { force: true });
}

/**
 * Reads the state of an unfinished run, a tensor at a time: a file of all may be larger than any array; undefined if there is none.
 * @throws ProblemError if the file is damaged, or is of a run with other settings (all differences are named)
 */
export async function loadRun(path: string, settings: RunSettings): Promise<RunState | undefined> {
  if (!(await exists(path))) return undefined;
  await using file = await open(path).catch(unreadable(path));
  const { metadata, tensors } = await readHeader(path);
  const step = Number(metadata.step);
  const before: RunSettings = JSON.parse(metadata.settings ?? "{}");
  const names = new Set([...Object.keys(before), ...Object.keys(settings)]);
  const faults = [...names]
    .filter((name) => before[name] !== settings[name])
    .map((name) => ({ at: name, message: `was ${before[name]}, is ${settings[name]} now` }));
  if (faults.length > 0 || !Number.isSafeInteger(step) || tensors.some(([, { dtype }]) => dtype !== "F32")) {
    throw new ProblemError(
      TITLE,
      `${path} is of another run. Give the same options, or start anew with another --out.`,
      {
        status: 409,
        faults,
      },
    );
  }
  const variables: Record<string, Value> = {};
  for (const [name, { shape, location }] of tensors) {
    const data = new Float32Array(location.length / Float32Array.BYTES_PER_ELEMENT);
    await readFully(file, new Uint8Array(data.buffer), location.offset);
    variables[name] = { shape, data };
  }
  return { step, variables };
}
