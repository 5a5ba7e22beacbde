import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Encoded, encoder } from "../../shared/data/encode.ts";
import { readTexts } from "../../shared/data/jsonl.ts";
import { loadTokenizer, type Tokenizer } from "../../shared/data/tokenizer.ts";
import { type Checkpoint, frozenWeights, openCheckpoint } from "../../shared/models/checkpoint.ts";
import type { Model } from "../../shared/models/model.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { FileRecord, PrecisionName, PublicSet } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Task } from "../../shared/protocol/task.ts";
import type { Bucket } from "./bucket.ts";

export const PRECISIONS = { fp32: "float32", fp16: "float16" } as const;

export interface OpenModel {
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
}

/** The provider's models, by way of their folders on this machine, which are kept for later jobs; each is opened once. */
export class Models {
  private readonly store: Bucket;
  /** Where the folders are. */
  private readonly cache: string;
  private readonly opened = new Map<string, OpenModel>();

  constructor(store: Bucket, cache: string) {
    this.store = store;
    this.cache = cache;
  }

  /** @throws ProblemError if a file is missing in the bucket, damaged, or no model that can be computed */
  async open(
    { digest, files }: { digest: string; files: readonly FileRecord[] },
    precision: PrecisionName = "fp32",
  ): Promise<OpenModel> {
    const key = `${digest} ${precision}`;
    const before = this.opened.get(key);
    if (before) return before;
    const folder = join(this.cache, digest);
    if (!(await stat(folder).catch(() => undefined))) await this.fetch(digest, files, folder);
    const checkpoint = await openCheckpoint(folder);
    const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint, PRECISIONS[precision]));
    const opened = { folder, checkpoint, model, tokenizer: await loadTokenizer(folder) };
    this.opened.set(key, opened);
    return opened;
  }

  private async fetch(digest: string, files: readonly FileRecord[], folder: string): Promise<void> {
    // Containers that share the folder may have the same process id.
    const partial = `${folder}.${randomUUID()}`;
    await mkdir(partial, { recursive: true });
    for (const { name, sha256 } of files) {
      await this.store.download(bucket.model(digest) + name, join(partial, name), sha256);
    }
    // Another job may have been faster: its folder is as good.
    await rename(partial, folder).catch(() => rm(partial, { recursive: true }));
  }
}

/** Downloads a public set; returns the file's path. */
export async function fetchPublicSet(store: Bucket, work: string, { digest }: PublicSet): Promise<string> {
  const path = join(work, "public.jsonl");
  await store.download(bucket.publicSet(digest), path, digest);
  return path;
}

/**
 * The texts of a JSONL file in the task's template, as tokens.
 *
 * @throws ProblemError if one is left without a token
 */
export async function readEncoded(path: string, task: Task, { model, tokenizer }: OpenModel): Promise<Encoded[]> {
  const encoded = (await readTexts(path)).map(encoder(task, tokenizer, model.kind));
  const empty = encoded.findIndex(({ ids }) => ids.length === 0);
  if (empty < 0) return encoded;
  throw new ProblemError("The data don't fit the task", `Text ${empty + 1} and the template together have no token.`);
}
