import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { DigestRecords } from "../../shared/data/digest-records.ts";
import { type OpenModel, openModel } from "../../shared/operations/open-model.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { FileRecord, PrecisionName, PublicSet } from "../../shared/protocol/catalogue.ts";
import type { Quantisation, WeightsName } from "../../shared/protocol/weights.ts";
import type { Watch } from "../../shared/training/events.ts";
import { jobLog } from "../lifecycle/log.ts";
import type { Bucket } from "./bucket.ts";
import { damagedFiles } from "./cached-model.ts";

/** A cached file that looks untouched is believed for so long. */
const DAY = 86_400_000;

/** What the names of precisions in specs stand for. */
export const PRECISIONS = { fp32: "float32", fp16: "float16" } as const;

/** A model in the bucket, as a job's spec names it. */
interface StoredModel {
  readonly id: string;
  readonly digest: string;
  readonly files: readonly FileRecord[];
}

/** What a model is computed in, and how its matrices are held; as published if it isn't said. */
export interface Form {
  readonly precision?: PrecisionName | undefined;
  readonly weights?: WeightsName | Quantisation | undefined;
}

/** The provider's models, by way of their folders on this machine, which are kept for later jobs; each is opened once. */
export class Models {
  private readonly store: Bucket;
  /** Where the folders are. */
  private readonly cache: string;
  private readonly records: DigestRecords;
  private readonly opened = new Map<string, OpenModel>();

  constructor(store: Bucket, cache: string) {
    this.store = store;
    this.cache = cache;
    this.records = new DigestRecords(join(cache, "digests"), { maxAge: DAY });
  }

  /** @throws ProblemError if a file is missing in the bucket, damaged, or no model that can be computed */
  async open(
    { id, digest, files }: StoredModel,
    { precision = "fp32", weights = "fp32" }: Form = {},
    watch: Watch = {},
  ): Promise<OpenModel> {
    const key = `${digest} ${precision} ${JSON.stringify(weights)}`;
    const before = this.opened.get(key);
    if (before) return { ...before, name: id, record: { ...before.record, id } };
    const folder = join(this.cache, digest);
    if (!(await stat(folder).catch(() => undefined))) await this.fetch(digest, files, folder);
    else await this.mend(digest, files, folder);
    const wanted = { weights, cache: join(this.cache, "weights"), hash: this.records.hash, watch };
    const opened = await openModel(folder, { id, digest }, { precision: PRECISIONS[precision], wanted });
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
    try {
      await rename(partial, folder);
    } catch {
      // Another job was faster: its folder is as good.
      await rm(partial, { recursive: true });
      return;
    }
    // The downloads have compared the digests.
    for (const file of files) await this.records.keep(join(folder, file.name), file);
  }

  /** Downloads what was damaged on this machine since an earlier job. Each file appears at once, so that another job may go on reading. */
  private async mend(digest: string, files: readonly FileRecord[], folder: string): Promise<void> {
    const damaged = await damagedFiles(folder, files, this.records);
    if (damaged.length === 0) return;
    for (const file of damaged) {
      const path = join(folder, file.name);
      jobLog({ model: digest })("cached file was damaged", { file: file.name });
      await this.store.download(bucket.model(digest) + file.name, path, file.sha256);
      await this.records.keep(path, file);
    }
  }
}

/** Downloads a public set; returns the file's path. */
export async function fetchPublicSet(store: Bucket, work: string, { digest }: PublicSet): Promise<string> {
  const path = join(work, `${digest}.jsonl`);
  await store.download(bucket.publicSet(digest), path, digest);
  return path;
}
