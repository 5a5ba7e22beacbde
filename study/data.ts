import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { shuffle } from "../shared/data/batches.ts";
import { readTask } from "../shared/data/files.ts";
import { type Example, readExamples, readTexts } from "../shared/data/jsonl.ts";
import { requireClasses } from "../shared/operations/checks.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";
import type { ClassificationTask } from "../shared/protocol/task.ts";
import { rowsDigest } from "./digest.ts";

/** Of the private rows, the part that settings are chosen by, and no more rows than this. */
const VALIDATION = 0.1;
const MOST_VALIDATED = 500;

const drawsOf = (seed: number) => new Draws(seededRandom(seed));

/** A private data set as whoever chooses settings sees it: there is no way from here to its test rows. */
export interface PrivateData {
  readonly name: string;
  readonly task: ClassificationTask;
  /** Rows that prompts are tuned on … */
  readonly train: readonly Example[];
  /** … and rows of the same file that settings are chosen by. */
  readonly validation: readonly Example[];
  /** Of all these rows. */
  readonly digest: string;
}

/** Texts that a provider has, and their digest. */
export interface PublicTexts {
  readonly texts: readonly string[];
  readonly digest: string;
}

/** Reads `task.json` and `train.jsonl` of a folder, and splits off rows for validation. */
export async function readPrivate(folder: string, name: string): Promise<PrivateData> {
  const task = requireClasses(await readTask(join(folder, name, "task.json")));
  const rows = shuffle(await readExamples(join(folder, name, "train.jsonl"), task), drawsOf(0));
  const held = Math.min(MOST_VALIDATED, Math.ceil(rows.length * VALIDATION));
  return { name, task, train: rows.slice(held), validation: rows.slice(0, held), digest: rowsDigest(rows) };
}

/** The test rows of a data set. Only the end of a study calls this, when every prompt is made and every setting chosen. */
export function readTest(folder: string, { name, task }: PrivateData): Promise<readonly Example[]> {
  return readExamples(join(folder, name, "test.jsonl"), task);
}

/** Names of the data sets with a task. */
export function tasksIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "task.json")))
    .sort();
}

/** The texts that a provider has under a name: `public.jsonl`, or the rows of `train.jsonl` without their labels. */
export async function readPublic(folder: string, name: string, limit: number): Promise<PublicTexts> {
  const own = join(folder, name, "public.jsonl");
  const all = new Set(await readTexts(existsSync(own) ? own : join(folder, name, "train.jsonl")));
  const texts = shuffle([...all], drawsOf(1)).slice(0, limit);
  return { texts, digest: rowsDigest(texts) };
}
