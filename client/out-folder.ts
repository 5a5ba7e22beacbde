import { mkdir, readdir, rename, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { exists } from "../shared/data/files.ts";
import { partialFolder, syncFolder, syncNames } from "../shared/data/partial-folder.ts";
import { writeProblem } from "../shared/data/write-problem.ts";
import type { Say } from "../shared/operations/texts.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { removeRun } from "../shared/training/run-state.ts";
import { holdRun } from "./hold-run.ts";
import { isCharged } from "./run-id.ts";

const TITLE = "The result can't be written";
/** What a system says where a folder can't take the place of what is there. */
const TAKEN = ["ENOTEMPTY", "EEXIST", "ENOTDIR", "EISDIR"];

/** A folder that will be there whole or not at all. Until it is disposed of no other process of this machine writes to it. */
export interface OutFolder extends Disposable {
  /** Where the state of the run is kept until it is finished: beside the folder. */
  readonly statePath: string;
  /**
   * Lets `write` fill a new folder, gives it its name and removes the run's state. If `write` fails the state stays. Where something else has
   * taken the name meanwhile the result gets a free one, which is said.
   *
   * @returns the folder's path
   */
  finish(write: (folder: string) => Promise<void>, say?: Say): Promise<string>;
}

/**
 * Checks before any work that a command's result can be written, and holds its place.
 *
 * @throws ProblemError if the folder holds something already, another process works on it, or a run that wrote to it is unfinished and this isn't
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
  await attempt(() => mkdir(parent, { recursive: true }), parent);
  const lock = join(parent, `.${basename(target)}.lock`);
  const held = await attempt(() => holdRun(lock, `--out ${out}`), out);
  if (!resume) {
    await requireNoUnfinished(statePath, "--resume").catch((error: unknown) => {
      held[Symbol.dispose]();
      throw error;
    });
  }
  return {
    statePath,
    finish: (write, say) => finish({ out, target, statePath }, write, say),
    [Symbol.dispose]: () => held[Symbol.dispose](),
  };
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

interface Place {
  /** As the user says it. */
  readonly out: string;
  readonly target: string;
  readonly statePath: string;
}

async function finish(
  { out, target, statePath }: Place,
  write: (folder: string) => Promise<void>,
  say?: Say,
): Promise<string> {
  const name = `.${basename(target)}`;
  await using partial = await attempt(() => partialFolder(dirname(target), name), target);
  const inside = partial.path;
  try {
    await write(inside);
    await syncFolder(inside);
  } catch (error) {
    throw writeProblem(error, out, TITLE, { inside, kept: await keptOf(statePath) });
  }
  const place = await attempt(() => takePlace(inside, { out, target }, say), out);
  await syncNames(dirname(target));
  await removeRun(statePath);
  return place;
}

/** Gives the result its name, or a free one. */
async function takePlace(
  folder: string,
  { out, target }: Omit<Place, "statePath">,
  say: Say | undefined,
): Promise<string> {
  try {
    // An empty folder may stand where the result goes.
    if (await exists(target)) await rmdir(target);
    await rename(folder, target);
    return out;
  } catch (error) {
    if (!say || !TAKEN.includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
  const free = await freeName(out);
  await rename(folder, free);
  say(`${out} was taken while this ran. The result is in ${free}.`);
  return free;
}

/** How a run goes on whose result could not be written. */
async function keptOf(statePath: string): Promise<string> {
  if (await exists(statePath)) return "The run's state is kept: the same command with --resume goes on from there.";
  if (isCharged(statePath)) return "The same command with --resume does the run again and charges nothing more.";
  return "";
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
  return run().catch((error: unknown) => {
    throw writeProblem(error, path, TITLE);
  });
}
