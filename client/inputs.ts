import { basename, resolve } from "node:path";
import { type Encoded, encoder } from "../shared/data/encode.ts";
import { hubOf, resolveModel } from "../shared/data/hub.ts";
import { readExamples, readTexts } from "../shared/data/jsonl.ts";
import { hashModel } from "../shared/data/model-files.ts";
import { loadTokenizer, type Tokenizer } from "../shared/data/tokenizer.ts";
import { type Checkpoint, openCheckpoint } from "../shared/models/checkpoint.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { ModelRecord } from "../shared/protocol/manifest.ts";
import type { Task } from "../shared/protocol/task.ts";
import type { Io } from "./output.ts";

/** A model folder that is ready to be used. */
export interface LoadedModel {
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  /** What a manifest says of it. */
  readonly record: ModelRecord;
}

/**
 * Opens the model that an option names: a folder or a hub id.
 *
 * @throws ProblemError if it can't be found, read or computed
 */
export async function loadModel(name: string, io: Io): Promise<LoadedModel> {
  const folder = await resolveModel(name, hubOf(process.env), io.message);
  const checkpoint = await openCheckpoint(folder);
  const tokenizer = await loadTokenizer(folder);
  const { digest } = await hashModel(folder);
  // A folder is called by its last part; what isn't allowed in an id is left out of it.
  const id = (folder === name ? basename(resolve(folder)) : name).replace(/[^A-Za-z0-9._/-]/g, "").slice(0, 128);
  const architecture = checkpoint.architecture as ModelRecord["architecture"];
  return { folder, checkpoint, tokenizer, record: { id: /^\w/.test(id) ? id : "model", digest, architecture } };
}

/** Examples as the model reads them, and their labels as indices. */
export interface LabelledData {
  readonly encoded: readonly Encoded[];
  readonly labels: Int32Array;
}

/** Reads and tokenises labelled rows; says how many texts were shortened. */
export async function loadLabelled(path: string, task: Task, tokenizer: Tokenizer, io: Io): Promise<LabelledData> {
  const examples = await readExamples(path, task);
  const encoded = encodeAll(
    examples.map(({ text }) => text),
    { path, task, tokenizer, io },
  );
  return { encoded, labels: Int32Array.from(examples, ({ label }) => label) };
}

/** Reads and tokenises the texts of rows; says how many were shortened. */
export async function loadTexts(path: string, task: Task, tokenizer: Tokenizer, io: Io): Promise<Encoded[]> {
  return encodeAll(await readTexts(path), { path, task, tokenizer, io });
}

interface Encoding {
  readonly path: string;
  readonly task: Task;
  readonly tokenizer: Tokenizer;
  readonly io: Io;
}

function encodeAll(texts: readonly string[], { path, task, tokenizer, io }: Encoding): Encoded[] {
  const encoded = texts.map(encoder(task, tokenizer));
  const shortened = encoded.filter((example) => example.shortened).length;
  if (shortened > 0) {
    io.message(
      `${path}: ${shortened} of ${encoded.length} texts were shortened to fit ${task.maxLength} tokens (maxLength).`,
    );
  }
  return encoded;
}

/**
 * Refuses a prompt and a task that together are longer than the model's positions.
 *
 * @param rows virtual tokens
 * @throws ProblemError that says what to change
 */
export function requireRoom(task: Task, rows: number, { checkpoint, folder }: LoadedModel): void {
  const { positions } = checkpoint.config;
  if (rows + task.maxLength <= positions) return;
  throw new ProblemError(
    "The prompt is too long",
    `${rows} virtual tokens and ${task.maxLength} tokens of text (the task's maxLength) make ${rows + task.maxLength}, ` +
      `but ${folder} has ${positions} positions. Lower --prompt-tokens or maxLength.`,
    { status: 422 },
  );
}
