import { open, readFile, rename, rm, stat } from "node:fs/promises";
import type { Value } from "../graph/engine.ts";
import { toFloat32 } from "../prompt/dtype.ts";
import { parseHeader, safetensorsPieces } from "../prompt/safetensors.ts";
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

/** Writes the state of a run, for its user's eyes only, so that a crash at any moment leaves the old state or the new one. */
export async function saveRun(path: string, settings: RunSettings, { step, variables }: RunState): Promise<void> {
  const tensors = Object.entries(variables).map(([name, { shape, data }]) => ({
    name,
    shape,
    data: data as Float32Array,
  }));
  const pieces = safetensorsPieces(tensors, { step: String(step), settings: JSON.stringify(settings) });
  const temporary = temporaryOf(path);
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", 0o600);
  try {
    for (const piece of pieces) await file.appendFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Removes the state of a run, and what a crash left of one that was being written. */
export async function removeRun(path: string): Promise<void> {
  for (const each of [path, temporaryOf(path)]) await rm(each, { force: true });
}

/**
 * Reads the state of an unfinished run; undefined if there is none.
 * @throws ProblemError if the file is damaged, or is of a run with other settings (all differences are named)
 */
export async function loadRun(path: string, settings: RunSettings): Promise<RunState | undefined> {
  if (!(await stat(path).catch(() => undefined))) return undefined;
  const bytes = new Uint8Array(await readFile(path));
  const { metadata, tensors } = parseHeader(bytes, bytes.length, path);
  const step = Number(metadata.step);
  const before: RunSettings = JSON.parse(metadata.settings ?? "{}");
  const names = new Set([...Object.keys(before), ...Object.keys(settings)]);
  const faults = [...names]
    .filter((name) => before[name] !== settings[name])
    .map((name) => ({ at: name, message: `was ${before[name]}, is ${settings[name]} now` }));
  if (faults.length > 0 || !Number.isSafeInteger(step)) {
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
  for (const [name, { shape, begin, end }] of tensors) {
    variables[name] = { shape, data: toFloat32(bytes.subarray(begin, end), "F32") };
  }
  return { step, variables };
}
