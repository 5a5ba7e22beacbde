import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { exists } from "../shared/data/files.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { removeRun } from "../shared/training/run-state.ts";

const TITLE = "The result can't be written";

/** A folder that will be there whole or not at all. */
export interface OutFolder {
  /** Where the state of the run is kept until it is finished: beside the folder. */
  readonly statePath: string;
  /**
   * Lets `write` fill a new folder, gives it its name and removes the run's state. If `write` fails nothing is left.
   */
  finish(write: (folder: string) => Promise<void>): Promise<void>;
}

/**
 * Checks before any work that a command's result can be written.
 *
 * @throws ProblemError if the folder holds something already, or a run that wrote to it is unfinished and this isn't
 *   its resumption
 */
export async function openOut(out: string, { resume = false }: { resume?: boolean }): Promise<OutFolder> {
  const target = resolve(out);
  const parent = dirname(target);
  const statePath = join(parent, `.${basename(target)}.unfinished`);
  if (await holdsSomething(target)) {
    const finished = resume ? " It is finished, so there is nothing to resume." : "";
    const message = `${out} is there already.${finished} A free name: --out ${await freeName(out)}`;
    throw new ProblemError(TITLE, message, { faults: [{ at: "--out", message }] });
  }
  if (!resume) await requireNoUnfinished(statePath, "--resume");
  await attempt(() => mkdir(parent, { recursive: true }), parent);
  return { statePath, finish: (write) => finish(target, statePath, write) };
}

/**
 * @param resume how to go on with a run
 * @throws ProblemError if there is the state of an unfinished run, which a new one would overwrite
 */
export async function requireNoUnfinished(statePath: string, resume: string): Promise<void> {
  if (!(await exists(statePath))) return;
  const detail = `${statePath} is the state of an unfinished run. Go on with ${resume}, or remove it to start anew.`;
  throw new ProblemError(TITLE, detail);
}

/** The first of name-2, name-3, … that nothing stands under. */
export async function freeName(path: string): Promise<string> {
  const bare = path.replace(/\/+$/, "");
  for (let number = 2; ; number++) if (!(await exists(`${bare}-${number}`))) return `${bare}-${number}`;
}

async function finish(target: string, statePath: string, write: (folder: string) => Promise<void>): Promise<void> {
  const folder = join(dirname(target), `.${basename(target)}.writing-${randomUUID()}`);
  await attempt(() => mkdir(folder), target);
  try {
    await write(folder);
    await attempt(async () => {
      // An empty folder may stand where the result goes.
      if (await exists(target)) await rmdir(target);
      await rename(folder, target);
    }, target);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  await removeRun(statePath);
}

async function holdsSomething(path: string): Promise<boolean> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new ProblemError(TITLE, `--out ${path} can't be used (${error.code}).`, { cause: error });
  });
  return names.length > 0;
}

/** Turns a file system's refusal into a problem. */
async function attempt<T>(run: () => Promise<T>, path: string): Promise<T> {
  return run().catch((cause: NodeJS.ErrnoException) => {
    if (!cause.code) throw cause;
    throw new ProblemError(TITLE, `${path} can't be written (${cause.code}).`, { cause });
  });
}
